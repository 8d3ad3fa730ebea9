"""Copies unknown words: where a translation has UNK, the source token that it is aligned with takes its place.

The alignment is that of the model's `align`. A vocabulary with byte fallback has no unknown words.
"""
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
    pairs = [(ids, each.tokens) for _, ids, found in some for each in found if types.UNK in each.tokens]
    weights = iter(of_tokens.alignments(self._run, pairs, self._graphs, self._tokens))
    return [[self._copied(each, text, weights) for each in found] for text, _, found in some]

  def _copied(self, candidate, text, weights):
    if types.UNK not in candidate.tokens:
      return candidate
    return candidate._replace(tokens=copied(candidate.tokens, self._run.vocab.split(text), next(weights)))


def copied(ids, source, weights):
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
