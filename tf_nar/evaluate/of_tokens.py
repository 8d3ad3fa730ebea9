"""log p and the alignment of each token of translations, which are given as ids."""
import math
from typing import Any, Sequence

import numpy as np

from tf_nar import types
from tf_nar.evaluate import corpus


def scores(run: Any, pairs: Sequence[tuple[list[int], list[int]]], graphs: dict,
           tokens_per_batch: int) -> list[list[float]]:
  """Returns log p of each token of the targets, EOS included, a list of float for each pair.

  They are those of one pass over the given target, which the model's `score` sums up; 0 where the source is empty, and
  -inf in a target longer than the model can produce.

  Args:
    run: a `runs.Run`.
    pairs: (source, target) lists of ids with EOS.
    graphs: a dict that keeps the graphs from call to call.
    tokens_per_batch: padded tokens of one side per batch.

  Raises:
    ValueError: if tokens have no log p of their own in this family, as it sums over alignments.
  """
  zeros = lambda source, target: np.zeros(len(target))
  found = _found(run, "score_tokens", pairs, zeros, graphs, tokens_per_batch)
  return [[-math.inf] * len(target) if each is None else each.tolist()
          for (_, target), each in zip(pairs, found, strict=True)]


def alignments(run: Any, pairs: Sequence[tuple[list[int], list[int]]], graphs: dict,
               tokens_per_batch: int) -> list[np.ndarray | None]:
  """Returns the share of each source token in each target token, float [T, S] for each pair.

  EOS is counted in T and S; a row sums to 1, or to 0 where there is none, as at EOS. None for a target longer than the
  model can produce. The arguments are those of `scores`.

  Raises:
    ValueError: if the family has no alignment.
  """
  zeros = lambda source, target: np.zeros([len(target), len(source)])
  return _found(run, "align", pairs, zeros, graphs, tokens_per_batch)


WITHOUT = {"score_tokens": "whose tokens have no log p of their own; --scores prints that of the whole sentence",
           "align": "which has no alignment of tokens"}


def check(run: Any, method: str) -> None:
  """Raises ValueError if the model of a run does not offer a method of `WITHOUT`."""
  if method not in run.model.traits.offers:
    raise ValueError(f"{run.workdir} is of family {run.experiment.family}, {WITHOUT[method]}.")


def _found(run, method, pairs, zeros, graphs, tokens_per_batch):
  """Returns the results of a model's method for every pair, see `corpus.by_token`; zeros for an empty source."""
  check(run, method)
  if method not in graphs:
    graphs[method] = corpus.of_pairs(getattr(run.model, method))
  found = [zeros(*pair) for pair in pairs]
  asked = [i for i, (source, _) in enumerate(pairs) if any(token != types.EOS for token in source)]
  made = corpus.by_token(graphs[method], [pairs[i] for i in asked], tokens_per_batch=tokens_per_batch,
                         longest=run.experiment.model.net.max_length)
  for i, each in zip(asked, made, strict=True):
    found[i] = each
  return found
