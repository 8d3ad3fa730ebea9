"""Parallel text, read line by line: plain or .gz, local or gs://."""
import contextlib
import gzip
import hashlib
import itertools
import os
from typing import NamedTuple

import tensorflow as tf

_BLOCK = 1 << 20  # Bytes.


class Survey(NamedTuple):
  """What one reading of a parallel text tells."""

  pairs: int
  inputs: list  # (file name, SHA-256 of its uncompressed text), sources then targets.


def lines(path, digest=None):
  """Yields the lines of a file as strings, without line end (LF or CRLF) and byte order mark.

  Args:
    path: the file; .gz is uncompressed.
    digest: a hashlib object to feed with the uncompressed bytes, or None.

  Raises:
    ValueError: at the first line that is not UTF-8.
  """
  for number, line in enumerate(_byte_lines(path, digest), 1):
    try:
      text = line.removesuffix(b"\r").decode("utf-8")
    except UnicodeDecodeError as error:
      byte = f"byte {error.start + 1} of the line is 0x{line[error.start]:02x}"
      raise ValueError(f"{path}:{number}: not UTF-8 ({byte}). Convert it, as with iconv -t UTF-8.") from error
    yield text.removeprefix("\ufeff") if number == 1 else text


def pairs(sources, targets):
  """Yields (source line, target line) of equally long lists of files that were surveyed."""
  for source, target in zip(sources, targets, strict=True):
    yield from zip(lines(source), lines(target), strict=True)


def survey(sources, targets):
  """Reads everything once.

  Args:
    sources: paths.
    targets: paths, the translation of the source at the same place.

  Returns:
    A `Survey`.

  Raises:
    FileNotFoundError, ValueError: for a file that is not there, is empty, is not UTF-8, or has not as
      many lines as its translation.
  """
  if len(sources) != len(targets) or not sources:
    raise ValueError(f"Each source file needs one target file; got {len(sources)} and {len(targets)}.")
  counted = [_count_pair(source, target) for source, target in zip(sources, targets, strict=True)]
  counts, source_inputs, target_inputs = zip(*counted, strict=True)
  return Survey(sum(counts), [*source_inputs, *target_inputs])


def _count_pair(source, target):
  digests = hashlib.sha256(), hashlib.sha256()
  missing = object()
  counts = [0, 0]
  both = itertools.zip_longest(lines(source, digests[0]), lines(target, digests[1]), fillvalue=missing)
  for pair in both:
    for side in (0, 1):
      counts[side] += pair[side] is not missing
  for path, count in zip((source, target), counts, strict=True):
    if not count:
      raise ValueError(f"{path} is empty; expected one sentence a line.")
  if counts[0] != counts[1]:
    raise ValueError(f"{source} has {counts[0]} lines but {target} has {counts[1]}; "
                     "line n of one must translate line n of the other.")
  return counts[0], *((os.path.basename(path), digest.hexdigest())
                      for path, digest in zip((source, target), digests, strict=True))


def _byte_lines(path, digest):
  if not tf.io.gfile.exists(path):
    raise FileNotFoundError(f"No file {path}.")
  rest = b""
  with contextlib.ExitStack() as stack:
    file = stack.enter_context(tf.io.gfile.GFile(path, "rb"))
    if path.endswith(".gz"):
      file = stack.enter_context(gzip.GzipFile(fileobj=file))
    while block := file.read(_BLOCK):
      if digest:
        digest.update(block)
      *whole, rest = (rest + block).split(b"\n")
      yield from whole
  if rest:
    yield rest
