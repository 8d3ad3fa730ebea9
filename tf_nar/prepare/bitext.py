"""Parallel text: files of which line n of one translates line n of the other."""
import itertools
import os
from typing import NamedTuple

from tf_nar.data import text


class Survey(NamedTuple):
  """What one reading of a parallel text tells."""

  pairs: int
  inputs: list  # (file name, SHA-256 of its uncompressed text), sources then targets.


def pairs(sources, targets):
  """Yields (source line, target line) of equally long lists of files that were surveyed."""
  for source, target in zip(sources, targets, strict=True):
    yield from zip(text.read(source, warn=False), text.read(target, warn=False), strict=True)


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
  both = text.read(source), text.read(target)
  for _ in itertools.zip_longest(*both):
    pass
  for lines in both:
    if not lines.count:
      raise ValueError(f"{lines.name} is empty; expected one sentence a line.")
  if both[0].count != both[1].count:
    raise ValueError(f"{source} has {both[0].count} lines but {target} has {both[1].count}; "
                     "line n of one must translate line n of the other.")
  return both[0].count, *((os.path.basename(lines.name), lines.sha256) for lines in both)
