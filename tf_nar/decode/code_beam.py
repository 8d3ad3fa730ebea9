"""Beam search over sequences of known length, such as the codes of a sentence whose length is predicted.

  score(c) = Σ_t log p(c_t | c_<t)        of M codes, all of equal length, so that no penalty compares lengths

There is no code for the end: a sentence with fewer codes than others keeps its hypotheses while theirs grow.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

NEVER = -float("inf")


class Found(NamedTuple):
  """The result of `search`."""

  codes: tf.Tensor  # int32 [B, K, M], best first; 0 past a sentence's length.
  score: tf.Tensor  # float32 [B, K], log p; -inf where there are fewer than K sequences.
  passes: tf.Tensor  # int32 [], the number of calls of `step`.


class _State(NamedTuple):
  codes: tf.Tensor  # int32 [B, K, M]
  score: tf.Tensor  # float32 [B, K]
  last: tf.Tensor  # int32 [B·K]
  state: Any


def search(step: Callable, state: Any, lengths: tf.Tensor, *, beam: int, steps: int | tf.Tensor) -> Found:
  """Finds the `beam` most probable sequences, as far as a beam search finds them; a beam of 1 is greedy search.

  Args:
    step: maps (previous codes int32 [B·K], t int32 [] from 0, state) to (logits float [B·K, V], state). Hypothesis k of
      sentence b is row b·K + k; at t = 0 the previous code is 0 and means nothing.
    state: a nest of tensors [B·K, ...] of fixed shapes, such as a key/value cache written at t.
    lengths: int32 [B], the number of codes of each sentence; 0 for a padding row.
    beam: K.
    steps: M, the width of the result, at least the greatest length; an int32 [] tensor unless compiled by XLA.

  Returns:
    A `Found`.

  Raises:
    ValueError: if `beam` is below 1.
  """
  if beam < 1:
    raise ValueError(f"search needs beam >= 1, got {beam}; 1 is greedy search.")
  batch = tf.shape(lengths)[0]
  score = tf.tile(tf.where(tf.range(beam) == 0, 0.0, NEVER)[None], [batch, 1])
  start = _State(tf.zeros([batch, beam, steps], tf.int32), score, tf.zeros([batch * beam], tf.int32), state)

  def body(t, old):
    logits, state = step(old.last, t, old.state)
    return t + 1, _advance(old._replace(state=state), tf.nn.log_softmax(tf.cast(logits, tf.float32)), t, lengths)

  longest = tf.reduce_max(lengths)
  passes, last = tf.while_loop(lambda t, _: t < longest, body, (tf.constant(0), start))
  return Found(last.codes, last.score, passes)


def _advance(old, log_prob, t, lengths):
  """Returns the hypotheses after one code more; `old.state` already is the state after the current step."""
  batch, beam, codes = tf.shape(lengths)[0], old.score.shape[1], log_prob.shape[-1]
  growing = (t < lengths)[:, None]  # [B, 1]
  each = old.score[..., None] + tf.reshape(log_prob, [batch, beam, codes])
  score, which = tf.math.top_k(tf.reshape(each, [batch, beam * codes]), beam)  # [B, K]
  parent = tf.where(growing, which // codes, tf.range(beam))
  code = tf.where(growing, which % codes, 0)
  here = tf.range(tf.shape(old.codes)[2]) == t  # [M]
  grown = tf.where(here, code[..., None], tf.gather(old.codes, parent, batch_dims=1))
  rows = tf.reshape(tf.range(batch)[:, None] * beam + parent, [-1])
  move = lambda x: tf.ensure_shape(tf.gather(x, rows), x.shape)
  state = old.state if beam == 1 else tf.nest.map_structure(move, old.state)
  return _State(grown, tf.where(growing, score, old.score), tf.reshape(code, [-1]), state)
