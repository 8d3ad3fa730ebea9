"""Text, one sentence a line: the one reader and the one writer of the house.

Plain files, .gz archives, gs://, pipes, FIFOs and standard input are read alike, and everything is UTF-8 whatever the
locale says. Only a line feed ends a line: Unicode has other separators, which are characters of a sentence here, so
that two parallel files keep their lines together. A byte order mark is no text, a carriage return before the line feed
belongs to the line end, and one inside a line is read as a space, which is counted and said.
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

from absl import logging

from tf_nar.data import atomic

_BLOCK = 1 << 20  # Bytes.
_GZIP = b"\x1f\x8b"
_OTHER_ENCODINGS = {codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
STANDARD_INPUT = "standard input"


class Lines:
  """The lines of a text, as strings without line end; what was read is known once they are all read.

  Attributes:
    name: what messages call it.
    count: lines read so far.
    sha256: of the bytes read so far, of an archive uncompressed.
    mended: lines so far that had a carriage return inside.
  """

  def __init__(self, path="", prompt="", warn=True):
    """Args:
      path: a file; empty or "-" is standard input.
      prompt: shown before each line is asked for, on a terminal.
      warn: whether to say at the end how many lines had a carriage return inside.

    Raises:
      FileNotFoundError: for a file that is not there, or a folder.
    """
    self._path, self._prompt, self._warn = "" if path == "-" else path, prompt, warn
    self.name = os.fsencode(self._path).decode("utf-8", "backslashreplace") or STANDARD_INPUT
    if self._path:
      atomic.check_readable(self._path)
    self.count = self.mended = 0
    self._digest = hashlib.sha256()

  @property
  def sha256(self):
    return self._digest.hexdigest()

  def facts(self):
    """Returns which text it was: {"path", "lines", "sha256"}."""
    return {"path": self.name, "lines": self.count, "sha256": self.sha256}

  def __iter__(self):
    """Yields the lines.

    Raises:
      ValueError: for a line that is not UTF-8, by its number, an archive that is broken, or a closed standard input.
    """
    with _opened(self._path) as file:
      for raw in _whole(self._asked(file), self.name):
        self._digest.update(raw)
        self.count += 1
        yield self._decoded(raw)
    if self.mended and self._warn:
      logging.warning("%s: %d lines have a carriage return inside, which is read as a space.", self.name, self.mended)

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
    if self.count == 1:
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
        raise ValueError(f"{self.name} is {encoding}, expected is UTF-8; convert it: iconv -f {encoding} -t UTF-8.")


def read(path="", prompt="", warn=True):
  """Returns the `Lines` of a file, or of standard input where `path` is empty or "-"."""
  return Lines(path, prompt, warn)


def _whole(raws, name):
  """Yields what an archive or file has, and says in one line which is broken."""
  try:
    yield from raws
  except (EOFError, zlib.error, gzip.BadGzipFile) as error:
    raise ValueError(f"{name} is a broken .gz archive ({error}); fetch or pack it again.") from None


@contextlib.contextmanager
def _opened(path):
  """Gives a binary stream of lines; only what cannot be sought is asked of the source, so a pipe will do."""
  with contextlib.ExitStack() as stack:
    if not path:
      file = _standard_input()
    elif atomic.is_remote(path):
      file = io.BufferedReader(_Remote(path), _BLOCK)
    else:
      file = stack.enter_context(open(path, "rb"))
    packed = hasattr(file, "peek") and file.peek(2)[:2] == _GZIP
    if path.endswith(".gz") and not packed:
      raise ValueError(f"{path} is no gzip archive, though its name says so; unpack or rename it.")
    yield io.BufferedReader(gzip.GzipFile(fileobj=file), _BLOCK) if packed else file


def _standard_input():
  if sys.stdin is None:
    raise ValueError("Standard input is closed; give the name of a file.")
  return sys.stdin.buffer


class _Remote(io.RawIOBase):
  """A file on gs:// or another file system of TensorFlow's."""

  def __init__(self, path):
    import tensorflow as tf
    self._file = tf.io.gfile.GFile(path, "rb")

  def readable(self):
    return True

  def readinto(self, buffer):
    data = self._file.read(len(buffer))
    buffer[:len(data)] = data
    return len(data)


@contextlib.contextmanager
def kept(*paths):
  """Gives paths that can be read several times: of what is no regular file, as a pipe or "-", that of a copy."""
  with tempfile.TemporaryDirectory() as folder:
    yield [_copy(path, os.path.join(folder, str(number))) if _is_once(path) else path
           for number, path in enumerate(paths)]


def _is_once(path):
  if path == "-":
    return True
  return not atomic.is_remote(path) and os.path.exists(path) and not os.path.isdir(path) and not os.path.isfile(path)


def _copy(path, folder):
  os.mkdir(folder)
  copy = os.path.join(folder, "standard_input" if path == "-" else os.path.basename(path))
  with contextlib.nullcontext(_standard_input()) if path == "-" else open(path, "rb") as source:
    with open(copy, "wb") as target:
      while block := source.read(_BLOCK):
        target.write(block)
  return copy


@contextlib.contextmanager
def writing(path=""):
  """Gives a function that writes one line, to a file or, where `path` is empty or "-", at once to standard output.

  A file has a temporary name until all is written: a half-written translation is never taken for a whole one. A device
  or a FIFO is written into, and a link is followed.

  Raises:
    ValueError: for a folder, or a standard output that is closed.
  """
  if path in {"", "-"}:
    if sys.stdout is None:
      raise ValueError("Standard output is closed; give the name of a file to write.")
    as_utf8(sys.stdout)
    yield lambda line: print(line, flush=True)
    return
  with atomic.replacing(path) as file:
    yield lambda line: file.write(f"{line}\n".encode())


def is_terminal(stream):
  """Whether a stream of this process, None where it is closed, is a terminal."""
  return stream is not None and stream.isatty()


def as_utf8(stream):
  """Makes a stream of this process write UTF-8, whatever the locale; what is no character is written escaped."""
  if isinstance(stream, io.TextIOWrapper):
    stream.reconfigure(encoding="utf-8", errors="backslashreplace")

