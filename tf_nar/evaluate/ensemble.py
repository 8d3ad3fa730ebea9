"""Several runs that act as one: the mean of their log p ranks candidates, or extends the hypotheses of a beam search.

  score(y | x) = 1/n Σ_m log p_m(y | x)        in a beam search, the same for each next token
"""
from typing import Any, Callable, Sequence

import tensorflow as tf

from tf_nar import types
from tf_nar.evaluate import rescoring


class Ensemble:
  """Models in the place of one, for translating, scoring and ranking; `variables` are those of all of them."""

  def __init__(self, models):
    self.models = models
    offers = frozenset.intersection(*(model.traits.offers for model in models)) & {"limit", "score_tokens", "align"}
    self.traits = models[0].traits._replace(offers=offers | {"score_candidates"})

  @property
  def variables(self) -> list:
    return [variable for model in self.models for variable in model.variables]

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the models' scores of tgt int32 [B, T], float32 [B]."""
    return self._mean([model.score(src, tgt) for model in self.models])

  def score_candidates(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the models' scores of tgt int32 [B, N, T], float32 [B, N]."""
    return self._mean([rescoring.of_candidates(model)(src, tgt) for model in self.models])

  def score_tokens(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the models' log p of each token of tgt int32 [B, T], float32 [B, T]."""
    return self._mean([model.score_tokens(src, tgt) for model in self.models])

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean of the models' alignments of tgt int32 [B, T], float32 [B, T, S]."""
    return self._mean([model.align(src, tgt) for model in self.models])

  def limit(self, search: Any, source: tf.Tensor | int) -> tf.Tensor:
    """Returns the greatest target length of a search, that of the first model."""
    return self.models[0].limit(search, source)

  def translate(self, src: tf.Tensor, search: Any, rescore: Callable | None = None) -> types.Translation:
    """Translates by the search of the first model, in which all take part."""
    first, *others = self.models
    return first.translate_with(others, src, search, rescore)

  def _mean(self, scores):
    return tf.add_n(scores) / len(scores)


def joined(found: Sequence[Any], *, translates: bool = False) -> Any:
  """Returns several runs as one, whose experiment and vocabulary are those of the first; a single run unchanged.

  Args:
    found: list of `runs.Run`s.
    translates: whether they are to translate together, which only a search that goes token by token can.

  Raises:
    ValueError: if a run has another vocabulary than the first or takes fewer tokens; or if the runs cannot translate
      together.
  """
  first, *others = found
  if not others:
    return first
  for other in others:
    rescoring.check_fits(other, first, "join")
  for each in found if translates else ():
    if each.experiment.family != first.experiment.family or "translate_with" not in each.model.traits.offers:
      raise ValueError(f"{each.workdir} cannot translate with other runs: only autoregressive runs can, as their log p "
                       f"is averaged token by token; it is of family {each.experiment.family}. To rank candidates by "
                       "several runs, give them as --rescore_with.")
  model = Ensemble([each.model for each in found])
  return first._replace(model=model, workdir=",".join(each.workdir for each in found))
