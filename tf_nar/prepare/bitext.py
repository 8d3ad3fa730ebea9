"""Reads parallel text: pairs of files in which line n of the target translates line n of the source."""
import itertools
import os
from typing import Iterable, Iterator, NamedTuple, Sequence

from tf_nar.data import text


class Survey(NamedTuple):
  """The result of reading a parallel text once."""

  pairs: int
  inputs: list  # (file name, SHA-256 of its uncompressed text), sources then targets.


def pairs(sources: Iterable[str], targets: Iterable[str]) -> Iterator[tuple[str, str]]:
  """Yields (source line, target line) of equally long lists of files that `survey` has checked."""
  for source, target in zip(sources, targets, strict=True):
    yield from zip(text.read(source, warn=False), text.read(target, warn=False), strict=True)


def survey(sources: Sequence[str], targets: Sequence[str]) -> Survey:
  """Reads a parallel text once, to check it and to count its lines.

  Args:
    sources: paths of the source files.
    targets: paths of their translations, in the same order.

  Returns:
    A `Survey`.

  Raises:
    FileNotFoundError: if a file does not exist.
    ValueError: if a file is empty, is not UTF-8, or has another number of lines than its translation.
  """
  if len(sources) != len(targets) or not sources:
    raise ValueError(f"Each source file needs one target file; got {len(sources)} and {len(targets)}.")
  counted = [_count_pair(source, target) for source, target in zip(sources, targets, strict=True)]
  counts, source_inputs, target_inputs = zip(*counted, strict=True)
  return Survey(sum(counts), [*source_inputs, *target_inputs])


def _count_pair(source, target):
  both = text.read(source), text.read(target)
  for _ in itertools.zip_longest(*both):
    pass
  for lines in both:
    if not lines.count:
      raise ValueError(f"{lines.name} is empty; expected one sentence per line.")
  if both[0].count != both[1].count:
    raise ValueError(f"{both[0].name} has {both[0].count} lines but {both[1].name} has {both[1].count}; "
                     "line n of one must translate line n of the other.")
  return both[0].count, *((os.path.basename(lines.name), lines.sha256) for lines in both)
