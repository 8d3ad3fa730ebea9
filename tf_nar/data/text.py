"""Reads and writes text with one sentence per line.

Plain files, .gz archives, gs://, pipes, FIFOs and standard input are read alike, always as UTF-8 whatever the locale.
Only a line feed ends a line; other Unicode line separators are characters of the sentence, so that the lines of two
parallel files stay aligned. A byte order mark is dropped. A carriage return before the line feed belongs to the line
end; one inside a line is read as a space, and a warning gives the number of such lines.
"""
import codecs
import contextlib
import gzip
import hashlib
import io
import os
import sys
import tempfile
import zlib
from typing import IO, Any, Callable, Iterator

from absl import logging

from tf_nar.data import atomic

_BLOCK = 1 << 20  # Bytes that are read at a time.
_GZIP = b"\x1f\x8b"
_OTHER_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
STANDARD_INPUT = "standard input"
_COPIED = {}  # The copies of `kept` -> the paths that the user gave.


class Lines:
  """The lines of a text, as strings without line end. Its counts and hash are final once all lines are read.

  Attributes:
    path: the file; "-" is standard input.
    name: its name in messages.
    count: number of lines read so far.
    bytes: number of (uncompressed) bytes read so far.
    sha256: hash of the (uncompressed) bytes read so far.
    mended: number of lines so far with a carriage return inside.
  """

  def __init__(self, path="", prompt="", warn=True, start=0):
    """Args:
      path: a file; empty or "-" is standard input.
      prompt: printed on a terminal before each line is read.
      warn: whether to log at the end how many lines had a carriage return inside.
      start: the (uncompressed) bytes to leave out, up to the beginning of a line; 0 for what cannot be read twice.

    Raises:
      FileNotFoundError: if the file does not exist or is a folder.
    """
    self.path, self._prompt, self._warn, self._start = path or "-", prompt, warn, start
    self.name = name(path)
    if self.path != "-":
      atomic.check_readable(path)
    self.count = self.mended = self.bytes = 0
    self._digest = hashlib.sha256()

  @property
  def sha256(self) -> str:
    return self._digest.hexdigest()

  def facts(self) -> dict[str, Any]:
    """Returns {"path", "lines", "sha256"}, which identify the text."""
    return {"path": self.name, "lines": self.count, "sha256": self.sha256}

  def __iter__(self):
    """Yields the lines.

    Raises:
      ValueError: for a line that is not UTF-8 (with its number), a broken archive, or a closed standard input.
    """
    with _opened(self.path) as file:
      if self._start:
        file.seek(self._start)
      for raw in _whole(self._asked(file), self.name):
        self._digest.update(raw)
        self.count += 1
        self.bytes += len(raw)
        yield self._decoded(raw)
    if self.mended and self._warn:
      logging.warning("%s: %d lines have a carriage return inside; it is read as a space.", self.name, self.mended)

  def _asked(self, file):
    if not self._prompt:
      yield from file
      return
    while True:
      sys.stderr.write(self._prompt)
      sys.stderr.flush()
      raw = file.readline()
      if not raw:
        return
      yield raw

  def _decoded(self, raw):
    if self.count == 1 and not self._start:
      self._check_encoding(raw)
      raw = raw.removeprefix(codecs.BOM_UTF8)
    raw = raw.removesuffix(b"\n").removesuffix(b"\r")
    if b"\r" in raw:
      self.mended += 1
      raw = raw.replace(b"\r", b" ")
    try:
      return raw.decode("utf-8")
    except UnicodeDecodeError as error:
      raise ValueError(f"{self.name}, line {self.count}: not UTF-8 (byte {error.start + 1} is "
                       f"0x{raw[error.start]:02x}); convert it first, as with iconv -t UTF-8.") from None

  def _check_encoding(self, raw):
    for mark, encoding in _OTHER_ENCODINGS.items():
      if raw.startswith(mark):
        raise ValueError(f"{self.name} must be UTF-8, but is {encoding}; convert it: iconv -f {encoding} -t UTF-8.")


def read(path: str = "", prompt: str = "", warn: bool = True, start: int = 0) -> Lines:
  """Returns the `Lines` of a file, or of standard input if `path` is empty or "-"."""
  return Lines(path, prompt, warn, start)


def name(path: str) -> str:
  """Returns the name of a text in messages, which a copy of `kept` has from its original."""
  path = _COPIED.get(path, path)
  return STANDARD_INPUT if path in {"", "-"} else os.fsencode(path).decode("utf-8", "backslashreplace")


def _whole(raws, called):
  """Yields the raw lines, and turns the errors of a broken archive into one that names it."""
  try:
    yield from raws
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise ValueError(f"{called} is a broken .gz archive ({error}); fetch or pack it again.") from None


@contextlib.contextmanager
def _opened(path):
  """Context manager of a binary stream of lines; opening never seeks in the source, so that pipes can be read."""
  with contextlib.ExitStack() as stack:
    if path == "-":
      file = _standard_input()
    elif atomic.is_remote(path):
      file = io.BufferedReader(_Remote(path), _BLOCK)
    else:
      file = stack.enter_context(open(path, "rb"))
    packed = hasattr(file, "peek") and file.peek(2)[:2] == _GZIP
    if name(path).endswith(".gz") and not packed:
      raise ValueError(f"{name(path)} must be a gzip archive by its name, but is not; rename it.")
    yield io.BufferedReader(gzip.GzipFile(fileobj=file), _BLOCK) if packed else file


def _standard_input():
  if sys.stdin is None:
    raise ValueError("Standard input is closed; give the name of a file.")
  return sys.stdin.buffer


class _Remote(io.RawIOBase):
  """A file on gs:// or another file system that TensorFlow accesses."""

  def __init__(self, path):
    import tensorflow as tf
    self._file = tf.io.gfile.GFile(path, "rb")

  def readable(self):
    return True

  def seekable(self):
    return True

  def seek(self, offset, whence=os.SEEK_SET):
    self._file.seek(offset, whence)
    return self.tell()

  def tell(self):
    return self._file.tell()

  def readinto(self, buffer):
    data = self._file.read(len(buffer))
    buffer[:len(data)] = data
    return len(data)


@contextlib.contextmanager
def kept(*paths: str) -> Iterator[list[str]]:
  """Context manager of paths that can be read several times; of pipes and "-" (standard input) they are of copies.

  Messages about a copy have the name of its original.

  Raises:
    ValueError: for an empty path, or one pipe for two texts.
  """
  if "" in paths:
    raise ValueError("The name of a text is empty; give a file, or - for standard input.")
  check_apart(*paths)
  with tempfile.TemporaryDirectory() as folder:
    copies = {path: os.path.join(folder, str(number)) for number, path in enumerate(paths) if _is_once(path)}
    for path, copy in copies.items():
      _copy(path, copy)
      _COPIED[copy] = path
    try:
      yield [copies.get(path, path) for path in paths]
    finally:
      for copy in copies.values():
        del _COPIED[copy]


def check_apart(*paths: str) -> None:
  """Checks that no two texts come from one pipe, FIFO or standard input, which can be read only once.

  Raises:
    ValueError: if two do.
  """
  seen = set()
  for path in filter(_is_once, paths):
    known = _identity(path)
    if known in seen:
      raise ValueError(f"{name(path)} can be read only once, but is given for two texts; save it to a file first.")
    seen.add(known)


def _identity(path):
  if path == "-":
    _standard_input()
  found = os.stat(0 if path == "-" else path)
  return found.st_dev, found.st_ino


def _is_once(path):
  if path == "-":
    return True
  return not atomic.is_remote(path) and os.path.exists(path) and not os.path.isdir(path) and not os.path.isfile(path)


def _copy(path, copy):
  with contextlib.nullcontext(_standard_input()) if path == "-" else open(path, "rb") as source:
    with open(copy, "wb") as target:
      while block := source.read(_BLOCK):
        target.write(block)


@contextlib.contextmanager
def writing(path: str = "") -> Iterator[Callable[[str], Any]]:
  """Context manager of a function that writes one line to a file, or to standard output if `path` is empty or "-".

  A file has a temporary name until all is written, so that an incomplete translation is not mistaken for a complete
  one. A device or a FIFO is written to directly, and a link is followed. Standard output is flushed after every line.

  Raises:
    ValueError: for a folder, or if standard output is closed.
  """
  if path in {"", "-"}:
    if sys.stdout is None:
      raise ValueError("Standard output is closed; give the name of a file to write.")
    as_utf8(sys.stdout)
    yield lambda line: print(line, flush=True)
    return
  with atomic.replacing(path) as file:
    yield lambda line: file.write(f"{line}\n".encode())


def is_terminal(stream: IO | None) -> bool:
  """Whether a stream of this process is a terminal; `stream` is None if it is closed."""
  return stream is not None and stream.isatty()


def as_utf8(stream: IO) -> None:
  """Makes a stream of this process write UTF-8, whatever the locale; invalid characters are escaped."""
  if isinstance(stream, io.TextIOWrapper):
    stream.reconfigure(encoding="utf-8", errors="backslashreplace")

