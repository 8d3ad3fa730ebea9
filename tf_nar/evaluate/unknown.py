"""Copies unknown words: where a translation has UNK, the source token that it is aligned with takes its place.

The alignment is that of the model's `align`. A vocabulary with byte fallback has no unknown words.
"""
from typing import Iterable, Sequence

import numpy as np

from tf_nar import types
from tf_nar.evaluate import of_tokens


class Copier:
  """Replaces UNK in translations by source tokens."""

  def __init__(self, run, tokens_per_batch):
    """Args:
      run: the `runs.Run` that translates.
      tokens_per_batch: see `of_tokens.alignments`.

    Raises:
      ValueError: if the family has no alignment.
    """
    of_tokens.check(run, "align")
    self._run, self._graphs, self._tokens = run, {}, tokens_per_batch

  def __call__(self, some):
    """Returns the candidates of each sentence, with strings in the place of ids for the tokens that are copied.

    The vocabulary's `decode` and `spell` take such tokens.

    Args:
      some: list of (text, ids, candidates): a source, its ids with EOS, and a list of `corpus.Candidate`.
    """
    made = iter(self.copied([(text, ids, each.tokens) for text, ids, found in some for each in found]))
    return [[each._replace(tokens=next(made)) for each in found] for _, _, found in some]

  def copied(self, rows: Iterable[tuple[str, list[int], list[int]]]) -> list[list[int | str]]:
    """Does the same for a list of (text, ids, tokens), of one translation each; returns the tokens."""
    pairs = [(ids, tokens) for _, ids, tokens in rows if types.UNK in tokens]
    weights = iter(of_tokens.alignments(self._run, pairs, self._graphs, self._tokens))
    return [copied(tokens, self._run.vocab.source.split(text), next(weights)) if types.UNK in tokens else tokens
            for text, _, tokens in rows]


def copied(ids: list[int], source: Sequence[str], weights: np.ndarray | None) -> list[int | str]:
  """Returns ids with the aligned source token, a string, in the place of each UNK that has one.

  Args:
    ids: of a translation.
    source: the tokens of the source as strings, without EOS.
    weights: float [T, S], of the tokens of the translation and those of the source, EOS included; None: not known.
  """
  if weights is None:
    return ids
  best = weights[:, :-1].argmax(1) if source else []
  return [source[best[at]] if token == types.UNK and source and weights[at, best[at]] > 0 else token
          for at, token in enumerate(ids)]
