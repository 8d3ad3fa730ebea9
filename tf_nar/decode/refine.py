"""The loop of every search that improves a translation in several passes: tokens, scores, latents, whatever they are.

  s_0 given,   s_{t+1} = step(t, s_t)   for t = 0, ..., passes - 1

A row that is done is frozen: it keeps its state, and a batch-mate that goes on changes nothing in it. The loop ends
when every row is done, and a pass is counted as long as any row goes on.
"""
from typing import Any, NamedTuple

import tensorflow as tf


class Refined(NamedTuple):
  """What a loop came to."""

  state: Any  # That after the last pass.
  passes: tf.Tensor  # int32 [], how often `step` was called.
  trace: Any  # The states after each pass, every tensor [P, ...]; None unless asked for.


def refine(step, state, passes, *, done=None, trace=False):
  """Runs the loop.

  Args:
    step: maps t int32 [] and a state to the next state, of equal shapes.
    state: a NamedTuple of tensors [R, ...], a row each sentence or candidate.
    passes: how often `step` is called at most, an int of at least 1.
    done: maps the states before and after a pass to bool [R], True where a row needs no further pass; None: every row
      has all passes.
    trace: whether to keep all states; those of passes that nobody needed any more are the last ones.

  Returns:
    A `Refined`.

  Raises:
    ValueError: for no pass.
  """
  if passes < 1:
    raise ValueError(f"refine needs passes >= 1, got {passes}.")
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
  """Returns the state in which rows that are `over`, bool [R], stay as they were."""
  keep = lambda old, new: tf.where(tf.reshape(over, [-1] + [1] * (new.shape.rank - 1)), old, new)
  return type(after)(*map(keep, before, after))


def _filled(array, count, passes):
  """Stacks the states of `count` passes, the last one again for those that were not made."""
  made = tf.minimum(tf.range(passes), count - 1)
  return array.gather(made)
