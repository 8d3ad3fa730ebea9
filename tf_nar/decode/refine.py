"""The loop of iterative refinement, for any state: tokens, scores or latents.

  s_0 given,   s_{t+1} = step(t, s_t)   for t = 0, ..., passes - 1

A row that is finished keeps its state while other rows of the batch go on. The loop ends when all rows are finished,
and a pass counts as long as any row needs it.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf


class Refined(NamedTuple):
  """The result of `refine`."""

  state: Any  # The state after the last pass.
  passes: tf.Tensor  # int32 [], the number of calls of `step`.
  trace: Any  # The states after each pass, every tensor [P, ...]; None unless requested.


def refine(
    step: Callable, state: Any, passes: int, *, done: Callable[..., tf.Tensor] | None = None,
    trace: bool = False) -> Refined:
  """Runs the loop.

  Args:
    step: maps t int32 [] and a state to the next state, of the same shapes.
    state: a NamedTuple of tensors [R, ...], with a row for each sentence or candidate.
    passes: P, the greatest number of calls of `step`, an int of at least 1.
    done: maps the states before and after a pass to bool [R], True where a row needs no further pass; None: every row
      gets all passes.
    trace: whether to return the states of all P passes; the last state is repeated for passes that were not needed.

  Returns:
    A `Refined`.

  Raises:
    ValueError: if `passes` is below 1.
  """
  if passes < 1:
    raise ValueError(f"refine needs passes >= 1, got {passes}; 1 calls `step` once.")
  rows = tf.shape(state[0])[0]
  kept = [tf.TensorArray(tensor.dtype, passes, element_shape=tensor.shape) for tensor in state] if trace else []

  def body(t, state, over, kept):
    after = step(t, state)
    if done is not None:
      after = _frozen(state, after, over)
      over |= done(state, after)
    kept = [array.write(t, tensor) for array, tensor in zip(kept, after, strict=True)] if trace else []
    return t + 1, after, over, kept

  going = lambda t, state, over, kept: ~tf.reduce_all(over) if done is not None else True
  start = tf.constant(0), state, tf.zeros([rows], tf.bool), kept
  count, last, _, kept = tf.while_loop(going, body, start, maximum_iterations=passes)
  return Refined(last, count, type(state)(*(_filled(array, count, passes) for array in kept)) if trace else None)


def _frozen(before, after, over):
  """Returns the new state, in which rows that are `over`, bool [R], keep the old one."""
  keep = lambda old, new: tf.where(tf.reshape(over, [-1] + [1] * (new.shape.rank - 1)), old, new)
  return type(after)(*map(keep, before, after))


def _filled(array, count, passes):
  """Stacks the states of `count` passes, and repeats the last one up to `passes`."""
  made = tf.minimum(tf.range(passes), count - 1)
  return array.gather(made)
