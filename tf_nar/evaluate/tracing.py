"""Shows the inputs and predictions of each decoder pass of a search, one sentence at a time."""
import functools
from typing import Any, Callable, Iterable

import tensorflow as tf

from tf_nar import types


def searcher(model: Any, search: Any,
             teacher_score: Callable[..., tf.Tensor] | None = None) -> Callable[..., tuple]:
  """Returns `model.trace` as one graph: int32 [B, S] -> `types.Translation`, `types.Trace`; see `corpus.searcher`."""
  @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32)], autograph=False)
  def trace_batch(src):
    return model.trace(src, search, rescore=teacher_score and functools.partial(teacher_score, src))
  return trace_batch


def tracer(run: Any, search: Any,
           teacher_score: Callable[..., tf.Tensor] | None = None) -> Callable[[list[int]], list]:
  """Returns a function from a source's ids with EOS to [(inputs, predictions)], two lists of tokens for each pass.

  They are those of the best candidate; a source of EOS only has no pass.

  Args:
    run: the run that translates.
    search: the `Search` of its family.
    teacher_score: as in `corpus.searcher`.

  Raises:
    ValueError: if the search of the family is not iterative.
  """
  if "trace" not in run.model.traits.offers:
    raise ValueError("A trace needs an iterative search, whose passes change the translation; "
                     f"{run.experiment.family} has none. Use a family such as cmlm.")

  trace = searcher(run.model, search, teacher_score)

  def passes(source):
    if all(token == types.EOS for token in source):
      return []
    # [P, T] each, of the best candidate.
    inputs, predictions = (steps[0, 0].numpy() for steps in trace(tf.constant([source]))[1])
    spell = lambda tokens: run.vocab.spell(tokens[tokens != types.PAD])
    return [(spell(one), spell(other)) for one, other in zip(inputs, predictions, strict=True)]

  return passes


def formatted(index: int, passes: Iterable[tuple[list[str], list[str]]]) -> list[str]:
  """Returns one line per pass: `index ||| pass ||| inputs ||| predictions`, with passes counted from 1."""
  return [f"{index} ||| {number} ||| {' '.join(inputs)} ||| {' '.join(predictions)}"
          for number, (inputs, predictions) in enumerate(passes, 1)]
