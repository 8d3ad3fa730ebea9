"""Reads parallel text: pairs of files in which line n of the target translates line n of the source."""
import array
import hashlib
import itertools
import os
from typing import Iterable, Iterator, NamedTuple, Sequence

import numpy as np

from tf_nar.data import text

RANGE = 20_000  # Lines of a `Range`.


class Range(NamedTuple):
  """A range of lines of a parallel text, which is read without the lines before it."""

  source: str  # The files.
  target: str
  starts: tuple[int, int]  # Where it begins in each, in bytes of the uncompressed text.
  first: int  # Number of its first line in the whole text.
  lines: int


class Survey(NamedTuple):
  """The result of reading a parallel text once."""

  pairs: int
  inputs: list  # (file name, SHA-256 of its uncompressed text), sources then targets.
  files: list  # Number of pairs of each source file.
  ranges: list  # `Range`s of at most `RANGE` lines, in order, which together are the text.
  doubles: np.ndarray  # int [n], in order: the numbers of the lines that are as a line before them, on both sides.


def read(some: Range) -> Iterator[tuple[str, str]]:
  """Yields (source line, target line) of a range of a text that `survey` has checked."""
  both = (text.read(path, warn=False, start=start)
          for path, start in zip((some.source, some.target), some.starts, strict=True))
  return itertools.islice(zip(*both, strict=True), some.lines)


def pairs(sources: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[str, str]]:
  """Yields (source line, target line) of equally long lists of files that `survey` has checked."""
  for source, target in zip(sources, targets, strict=True):
    yield from zip(text.read(source, warn=False), text.read(target, warn=False), strict=True)


def survey(sources: Sequence[str], targets: Sequence[str], doubles: bool = False) -> Survey:
  """Reads a parallel text once, to check it and to count its lines.

  Args:
    sources: paths of the source files.
    targets: paths of their translations, in the same order.
    doubles: whether to look for pairs that occur again, by a hash of 64 bits; it needs 50 bytes of memory for a pair.

  Returns:
    A `Survey`.

  Raises:
    FileNotFoundError: if a file does not exist.
    ValueError: if a file is empty, is not UTF-8, or has another number of lines than its translation.
  """
  if len(sources) != len(targets) or not sources:
    raise ValueError(f"Each source file needs one target file; got {len(sources)} and {len(targets)}.")
  files, ranges, inputs, hashes = [], [], [], array.array("Q")
  for pair in zip(sources, targets, strict=True):
    known = len(ranges)
    inputs.append(_survey_pair(*pair, ranges, hashes if doubles else None))
    files.append(sum(some.lines for some in ranges[known:]))
  source_inputs, target_inputs = zip(*inputs, strict=True)
  doubles = _again(np.asarray(hashes))
  return Survey(sum(files), [*source_inputs, *target_inputs], files, ranges, doubles)


def _again(hashes):
  """Returns the indices, in order, of the numbers that occur before."""
  is_first = np.zeros(len(hashes), bool)
  is_first[np.unique(hashes, return_index=True)[1]] = True
  return np.flatnonzero(~is_first)


def _survey_pair(source, target, ranges, hashes):
  """Returns the names and hashes of two files, and adds their ranges to those of the files before.

  If `hashes` is not None, the hashes of the pairs are added to it.
  """
  both = text.read(source), text.read(target)
  first, starts = sum(ranges[-1][-2:]) if ranges else 0, [(0, 0)]
  for number, pair in enumerate(itertools.zip_longest(*both), 1):
    if hashes is not None:
      hashes.frombytes(hashlib.blake2b("\n".join(map(str, pair)).encode(), digest_size=8).digest())
    if number % RANGE == 0:
      starts.append(tuple(lines.bytes for lines in both))
  for lines in both:
    if not lines.count:
      raise ValueError(f"{lines.name} is empty; expected one sentence per line.")
  if both[0].count != both[1].count:
    raise ValueError(f"{both[0].name} has {both[0].count} lines but {both[1].name} has {both[1].count}; "
                     "line n of one must translate line n of the other.")
  ranges += [Range(source, target, start, first + before, min(RANGE, both[0].count - before))
             for before, start in zip(range(0, both[0].count, RANGE), starts, strict=False)]
  return [(os.path.basename(lines.name), lines.sha256) for lines in both]
