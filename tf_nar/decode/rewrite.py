"""Iterative refinement of a whole sentence (Lee, Mansimov & Cho, EMNLP 2018): every pass predicts all tokens again.

  y_1, h_1 = first()        y_{i+1}, h_{i+1} = again(y_i, h_i)        h: decoder states

The number of passes is fixed, or a candidate is finished once `patience` passes in a row have not changed it: its
tokens ("same"), or its tokens whatever their order ("bag"). This is decided for each candidate alone.

# Differs: the paper's program stops once one of the last four outputs equals the one before these, which takes at least
five passes.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.decode import refine
from tf_nar.ops import masking

STOPS = ("never", "same", "bag")


class State(NamedTuple):
  """The state after a pass, one row per candidate."""

  tokens: tf.Tensor  # int32 [B·N, T]
  log_prob: tf.Tensor  # float32 [B·N, T], the log p of each token.
  states: tf.Tensor  # float [B·N, T, D]
  calm: tf.Tensor  # int32 [B·N], the number of passes in a row that did not change the candidate.


def rewrite(
    first: Callable[[], tuple[tf.Tensor, tf.Tensor, tf.Tensor]],
    again: Callable[..., tuple[tf.Tensor, tf.Tensor, tf.Tensor]], passes: int, *, stop: str = "never",
    patience: int = 1, trace: bool = False) -> tuple[State, tf.Tensor, tf.Tensor | None]:
  """Makes the passes.

  Args:
    first: returns the tokens of the first pass, PAD past the length of each candidate, their log p, and the decoder
      states: int32 and float32 [B·N, T], float [B·N, T, D].
    again: maps tokens and decoder states to those of the next pass.
    passes: the greatest number of passes, the first one included.
    stop: one of `STOPS`.
    patience: see the module docstring.
    trace: whether to return the tokens after each pass.

  Returns:
    The last `State`; the number of passes, int32 []; and the tokens after each pass, int32 [P, B·N, T], or None.
  """
  tokens, *rest = first()
  start = State(tokens, *rest, tf.zeros(tf.shape(tokens)[:1], tf.int32))
  if passes == 1:
    return start, tf.constant(1), tokens[None] if trace else None

  def step(_, before):
    tokens, log_prob, states = again(before.tokens, before.states)
    calm = tf.where(_equal(tokens, before.tokens, stop), before.calm + 1, 0)
    return State(tokens, log_prob, tf.ensure_shape(states, before.states.shape), calm)

  done = None if stop == "never" else lambda _, after: after.calm >= patience
  found = refine.refine(step, start, passes - 1, done=done, trace=trace)
  steps = tf.concat([tokens[None], found.trace.tokens], 0) if trace else None
  return found.state, found.passes + 1, steps


def ranked(
    last: State, passes: tf.Tensor, count: int, rescore: types.Rescore | None = None, *,
    predicted: tuple[tf.Tensor, tf.Tensor] | None = None, collapse: bool = True, free: np.ndarray | None = None,
    alpha: float) -> tuple[types.Translation, tf.Tensor]:
  """Ranks the candidates by the mean log p of their tokens in the last pass, or by a teacher.

  Args:
    last: the last `State`.
    passes: int32 [].
    count: N.
    rescore: maps tokens int32 [B, N, T + 1] to log p float32 [B, N].
    predicted: other tokens to use instead of those of the last pass, int32 [B·N, T], and their log p, float32 [B·N].
    collapse: whether to remove a token that equals the one before it.
    free: bool [V], True for tokens that may be repeated; None: no token may be.
    alpha: the exponent of the length penalty of `rescore`.

  Returns:
    A `Translation` of T + 1 positions, and the order of the candidates, int32 [B, N].
  """
  if predicted is None:
    predicted = last.tokens, tf.reduce_sum(tf.where(masking.valid(last.tokens), last.log_prob, 0.0), -1)
  tokens, total = predicted
  if collapse:
    tokens = argmax.collapsed(tokens, None if free is None else tf.gather(tf.constant(free), tokens))
  tokens = argmax.finish(tokens)
  tokens = tf.reshape(tokens, [-1, count, tf.shape(tokens)[1]])
  if rescore is None:
    lengths = masking.lengths(last.tokens)
    score = tf.where(lengths > 0, total / tf.cast(lengths, tf.float32), -float("inf"))
    score = tf.reshape(score, [-1, count])
  else:
    score, passes = length_parallel.rescored(tokens, rescore, alpha=alpha), passes + 1
  score, order = tf.math.top_k(score, count)  # [B, N]; ties keep their order.
  return types.Translation(tf.gather(tokens, order, batch_dims=1), score, passes), order


def traced(inputs: tf.Tensor, steps: tf.Tensor, order: tf.Tensor) -> types.Trace:
  """Returns the `Trace` of candidates in their order.

  Args:
    inputs: int32 [B·N, T], what the first pass reads.
    steps: int32 [P, B·N, T], the tokens after each pass.
    order: int32 [B, N].
  """
  read = tf.concat([inputs[None], steps[:-1]], 0)

  def by_candidate(x):  # [P, B·N, T] -> [B, N, P, T]
    rows = tf.transpose(x, [1, 0, 2])
    return tf.gather(tf.reshape(rows, tf.concat([tf.shape(order), tf.shape(rows)[1:]], 0)), order, batch_dims=1)

  return types.Trace(by_candidate(read), by_candidate(steps))


def _equal(one, other, stop):
  """Returns whether sentences int32 [R, T] are equal, bool [R]; for "bag" whatever the order of their tokens."""
  if stop == "bag":
    one, other = tf.sort(one), tf.sort(other)
  return tf.reduce_all(one == other, -1)
