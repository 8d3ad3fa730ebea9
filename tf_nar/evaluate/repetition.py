"""Measures repeated tokens and length, the two typical errors of NAR models.

Adjacent positions that are part of different translations often predict the same token; the share of such tokens
measures how far a model suffers from multi-modality (Ghazvininejad et al., arXiv:1904.09324).
"""
import itertools
from typing import Iterable, Sequence


def repetition(sentences: Iterable[Sequence]) -> float:
  """Returns the share of tokens, over all sentences, that equal the token before them.

  Args:
    sentences: lists of words or of ids, without EOS and PAD.

  Raises:
    ValueError: if a sentence is a string instead of a list.
  """
  repeats = total = 0
  for tokens in sentences:
    if isinstance(tokens, str):
      raise ValueError(f"Expected lists of words or ids; got a string, {tokens[:30]!r}; split it.")
    repeats += sum(a == b for a, b in itertools.pairwise(tokens))
    total += len(tokens)
  return repeats / total if total else 0.0


def deduplicate(tokens: Iterable) -> list:
  """Returns the list without adjacent repeats, as [5, 5, 6, 5] -> [5, 6, 5]."""
  return [token for token, _ in itertools.groupby(tokens)]


def length_ratio(hypotheses: Iterable[Sequence], references: Sequence[Sequence]) -> float:
  """Returns the ratio of hypothesis tokens to reference tokens over the corpus; below 1 is too short.

  Raises:
    ValueError: if the references have no tokens.
  """
  expected = sum(map(len, references))
  if not expected:
    raise ValueError("The references have no token, so there is no length ratio; give another file.")
  return sum(map(len, hypotheses)) / expected
