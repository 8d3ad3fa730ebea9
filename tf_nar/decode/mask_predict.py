"""Mask-Predict decoding (Ghazvininejad et al., EMNLP 2019, arXiv:1904.09324).

The first pass predicts all tokens. Pass t = 0, ..., T - 1 of a target of N tokens masks the n_t tokens with the lowest
log p and predicts them again, given the others:

  n_0 = N,   n_t = max(1, floor(N (1 - t / T)))

fairseq's program omits the max, so that its last passes may predict nothing. The log p of a token is that of the pass
that predicted it. `rewrite` is the variant of Huang et al. (CMLMC, ICLR 2022): each pass replaces all tokens and their
log p, also those that were not masked, which its model is trained to predict.
"""
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.decode import refine
from tf_nar.ops import choice
from tf_nar.ops import masking


class State(NamedTuple):
  """The state between passes, one row per candidate."""

  predictions: tf.Tensor  # int32 [B·N, T]
  log_prob: tf.Tensor  # float32 [B·N, T], the log p of each token in the pass that predicted it.
  inputs: tf.Tensor  # int32 [B·N, T], the input of the pass.


def mask_predict(
    predict: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], canvas: tf.Tensor, counts: np.ndarray,
    rescore: types.Rescore | None = None, *, rewrite: bool = False, stop: bool = False,
    alpha: float) -> tuple[types.Translation, types.Trace]:
  """Decodes the candidates of all sentences together, in one pass for each row of `counts`, and ranks them.

  # Differs: like the paper's program, this ranks by the mean log p over all positions of a candidate; but here the
  tokens after the first EOS are cut off, so that a teacher can rescore the result.

  Args:
    predict: maps the decoder's input, int32 [B·N, T], MASK at the positions to predict and PAD past the length, to the
      best token at each position and its log p, int32 and float32 [B·N, T]; candidate n of sentence b is row b·N + n.
    canvas: int32 [B, N, T], MASK within the length of each candidate, PAD past it; all PAD for a padding row.
    counts: int32 [P, longest + 1], as returned by `masked`: how many tokens of a candidate each pass predicts.
    rescore: maps tokens int32 [B, N, T + 1] to log p float32 [B, N]; None ranks by the mean log p per token.
    rewrite: see the module docstring.
    stop: whether a candidate is finished once a pass does not change it; the passes end when all candidates are.
    alpha: the exponent of the length penalty of `rescore`.

  Returns:
    A `Translation` of T + 1 positions, and its `Trace`.
  """
  shape, canvas = tf.shape(canvas), tf.reshape(canvas, [-1, tf.shape(canvas)[2]])
  inside, lengths = masking.valid(canvas), masking.lengths(canvas)

  def one_pass(t, before):
    hidden = choice.lowest(before.log_prob, tf.gather(tf.constant(counts)[t], lengths), inside)
    inputs = tf.where(hidden, types.MASK, before.predictions)
    token, sure = predict(inputs)
    written = inside if rewrite else hidden
    return State(tf.where(written, token, before.predictions), tf.where(written, sure, before.log_prob), inputs)

  same = lambda before, after: tf.reduce_all(before.predictions == after.predictions, -1)
  found = refine.refine(
    one_pass, State(canvas, tf.zeros(tf.shape(canvas)), canvas), len(counts), done=same if stop else None, trace=True)
  last, inputs, predictions = found.state, found.trace.inputs, found.trace.predictions  # The traces are [P, B·N, T].

  tokens = tf.reshape(argmax.finish(last.predictions), [shape[0], shape[1], shape[2] + 1])
  if rescore is None:
    total = tf.reduce_sum(tf.where(inside, last.log_prob, 0.0), -1)
    score = tf.where(lengths > 0, total / tf.cast(lengths, tf.float32), -float("inf"))
    score = tf.reshape(score, shape[:2])
  else:
    score = length_parallel.rescored(tokens, rescore, alpha=alpha)
  score, order = tf.math.top_k(score, shape[1])  # [B, N]; ties keep their order.
  inputs, predictions = (_by_candidate(steps, shape) for steps in (inputs, predictions))
  tokens, inputs, predictions = (tf.gather(x, order, batch_dims=1) for x in (tokens, inputs, predictions))
  return types.Translation(tokens, score, found.passes + (rescore is not None)), types.Trace(inputs, predictions)


def masked(passes: int, longest: int, least: int = 1) -> np.ndarray:
  """Returns a table of n_t, the number of tokens that pass t predicts for a target of N tokens: int32 [T, longest + 1].

  No pass predicts fewer than `least` tokens: 1 as in the paper's program, 0 as in fairseq's.
  It is computed in float64 as in the paper's program, since rounding matters: floor(10 (1 - 8 / 10)) is 1 there. TPUs
  have no float64, hence a table.

  Raises:
    ValueError: for no pass.
  """
  if passes < 1:
    raise ValueError(f"masked needs passes >= 1, got {passes}; 1 predicts all tokens at once.")
  share = 1 - np.arange(passes) / passes
  return np.maximum(np.floor(share[:, None] * np.arange(longest + 1)), least).astype(np.int32)


def _by_candidate(steps, shape):
  """[P, B·N, T] -> [B, N, P, T]."""
  return tf.reshape(tf.transpose(steps, [1, 0, 2]), [shape[0], shape[1], -1, shape[2]])
