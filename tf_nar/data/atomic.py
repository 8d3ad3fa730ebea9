"""Atomic writing: a file or folder is written under a temporary name and renamed, so it is complete or absent.

All temporary names of the package are made here. Each is new, so no other file is overwritten or removed, and contains
the id of its process, so that the leftovers of a killed process are recognised and removed.
"""
import contextlib
import errno
import os
import re
import secrets
import shutil
import socket
import stat
from typing import BinaryIO, Iterator

_NO_ROOM = errno.ENOSPC, errno.EDQUOT, errno.EFBIG
_STREAMS = "/dev/fd/", "/dev/std", "/proc/"  # Paths to open files of a process, such as the shell's redirections.


def is_remote(path: str) -> bool:
  """Whether a path is on gs:// or another file system that TensorFlow accesses."""
  return "://" in path


def check_readable(path: str) -> None:
  """Checks that a path is a file to read.

  Raises:
    FileNotFoundError: if the path does not exist or is a folder.
  """
  if is_remote(path):
    files = _remote()
    there = files.exists(path) and not files.isdir(path)
  else:
    there = os.path.exists(path) and not os.path.isdir(path)
  if not there:
    raise FileNotFoundError(f"No file {path}; give a text file, one sentence per line.")


@contextlib.contextmanager
def renamed(path: str) -> Iterator[str]:
  """Context manager of a temporary path, which is renamed to `path` unless an exception is raised; follows links.

  Raises:
    ValueError: if `path` is a folder.
    OSError: if it cannot be written; the temporary file is removed.
  """
  check_no_folder(path)
  if is_remote(path):
    temporary, files = _temporary(path), _remote()
    yield temporary
    files.rename(temporary, path, overwrite=True)
    return
  path = os.path.realpath(path)
  os.makedirs(os.path.dirname(path), exist_ok=True)
  _remove_abandoned(path)
  temporary = _temporary(path)
  try:
    yield temporary
    if os.path.exists(path):
      shutil.copymode(path, temporary)
    os.replace(temporary, path)
  finally:
    with contextlib.suppress(FileNotFoundError):
      os.remove(temporary)


@contextlib.contextmanager
def replacing(path: str) -> Iterator[BinaryIO]:
  """Context manager of a binary file to write, which replaces `path` unless an exception is raised.

  A device or a FIFO cannot be replaced and is written to directly. Raises as `renamed`.
  """
  if is_remote(path):
    with renamed(path) as temporary, _remote().GFile(temporary, "wb") as file:
      yield file
    return
  with _named(path), contextlib.nullcontext(path) if is_special(path) else renamed(path) as target:
    with open(target, "wb") as file:
      yield file


@contextlib.contextmanager
def _named(path):
  """Adds the path to the error of a full disk, which the operating system leaves out."""
  try:
    yield
  except OSError as error:
    if error.errno in _NO_ROOM and error.filename is None:
      error.filename = path
    raise


def write(path: str, data: bytes) -> None:
  """Writes `data` (bytes) as `path`; raises as `renamed`."""
  with replacing(path) as file:
    file.write(data)


@contextlib.contextmanager
def folder(out: str, last: str = "") -> Iterator[str]:
  """Context manager of a temporary folder to fill, which becomes `out`; it is removed if an exception is raised.

  Args:
    out: the folder, which must not exist or be empty.
    last: the name of the file that marks the folder as complete; where folders cannot be renamed it is moved last.

  Raises:
    FileExistsError: as `check_free`.
  """
  check_free(out)
  out = os.path.join(out, "").rstrip("/")
  if is_remote(out):
    yield from _remote_folder(out, last)
    return
  out = os.path.realpath(out)
  _remove_abandoned(out)
  temporary = _temporary(out)
  os.makedirs(temporary)
  try:
    with _named(out):
      yield temporary
    try:
      os.rename(temporary, out)
    except OSError:
      check_free(out)  # Another process may have made it meanwhile.
      raise
  finally:
    shutil.rmtree(temporary, ignore_errors=True)


def _remote_folder(out, last):
  files, temporary = _remote(), _temporary(out)
  files.makedirs(temporary)
  try:
    yield temporary
    found = [os.path.join(above, name) for above, _, names in files.walk(temporary) for name in names]
    for path in sorted(found, key=lambda path: (os.path.basename(path) == last, path)):
      target = out + path[len(temporary):]
      files.makedirs(os.path.dirname(target))
      files.rename(path, target, overwrite=True)
  finally:
    files.rmtree(temporary)


def check_free(out: str, flag: str = "--out") -> None:
  """Checks that an output folder can be made, before long work starts; `flag` is the one that gives it.

  Raises:
    FileExistsError: if `out` is a file or a folder that is not empty.
  """
  if is_remote(out):
    files = _remote()
    taken = files.exists(out) and (not files.isdir(out) or files.listdir(out))
  else:
    taken = os.path.lexists(out) and (not os.path.isdir(out) or os.listdir(out))
  if taken:
    raise FileExistsError(f"{out} already exists and is not an empty folder; remove it, or choose another {flag}.")


def check_no_folder(path: str) -> None:
  """Checks that a path to write is not a folder.

  Raises:
    ValueError: if `path` is a folder or ends in a slash.
  """
  if path.endswith("/") or not is_remote(path) and os.path.isdir(path):
    raise ValueError(f"{path} is a folder; give the name of a file to write.")


def is_special(path: str) -> bool:
  """Whether a path is neither a regular file nor a folder, as a device or a FIFO, or leads to an open file."""
  try:
    mode = os.stat(path).st_mode
  except OSError:
    return False
  return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode) or os.path.abspath(path).startswith(_STREAMS)


def exists(path: str) -> bool:
  """Whether a file or folder exists, local or gs://."""
  return _remote().exists(path) if is_remote(path) else os.path.exists(path)


def open_read(path: str) -> BinaryIO:
  """Opens a file to read bytes, local or gs://."""
  return _remote().GFile(path, "rb") if is_remote(path) else open(path, "rb")


def _temporary(path):
  return f"{path}.{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(4)}.tmp"


def _remove_abandoned(out):
  """Removes the temporary files and folders of `out` that were left by ended processes of this machine."""
  above, name = os.path.split(out)
  mine = re.compile(re.escape(f"{name}.{socket.gethostname()}-") + r"(\d+)-[0-9a-f]{8}\.tmp")
  for other in os.listdir(above) if os.path.isdir(above) else ():
    if (match := mine.fullmatch(other)) and not _lives(int(match[1])):
      path = os.path.join(above, other)
      if os.path.isdir(path):
        shutil.rmtree(path, ignore_errors=True)
      else:
        with contextlib.suppress(OSError):
          os.remove(path)


def _lives(process):
  try:
    os.kill(process, 0)
  except ProcessLookupError:
    return False
  except PermissionError:
    pass
  return True


def _remote():
  import tensorflow as tf  # Imported here, as local files are read and written without it.
  return tf.io.gfile
