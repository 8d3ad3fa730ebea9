"""Mask-Predict (Ghazvininejad et al., EMNLP 2019, arXiv:1904.09324): say all words, then doubt the least sure ones.

Pass t = 0, ..., T - 1 of a target of N words masks the n_t least likely ones and says them again, seeing the rest:

  n_0 = N,   n_t = max(1, floor(N (1 - t / T)))

fairseq's program counts without the max, so that its last passes may say nothing again.
The log p of a word stays that of the pass that said it. `rewrite` is the variant of Huang et al. (CMLMC, ICLR 2022):
each pass replaces all words and their log p, those it saw too; its model was trained to say them.
"""
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
  """What the passes hand on, of candidates in rows."""

  predictions: tf.Tensor  # int32 [B*N, T]
  log_prob: tf.Tensor  # float32 [B*N, T], of each when it was said.
  inputs: tf.Tensor  # int32 [B*N, T], what the pass was given.


def mask_predict(predict, canvas, counts, rescore=None, *, rewrite=False, stop=False, alpha):
  """Fills the candidates of all sentences together, in as many passes as there are `counts`, and ranks them.

  # Differs: the paper's program, as this, ranks by the mean of all N places; what is after the first EOS is cut
  off here, by which it may be rescored.

  Args:
    predict: maps what is seen, int32 [B*N, T], MASK at the places to say and PAD past the length, to the best
      word of each place and its log p, int32 and float32 [B*N, T]; candidate n of sentence b is row b*N + n.
    canvas: int32 [B, N, T], MASK in the length of each candidate, PAD past it; all PAD is a blank row.
    counts: int32 [P, longest + 1], as `masked` gives them: how many words of a candidate each pass says.
    rescore: maps tokens int32 [B, N, T + 1] to log p float32 [B, N]; None ranks by the mean log p of a word.
    rewrite: see the module.
    stop: whether a candidate is done once a pass changes nothing in it, and the passes end when all are.
    alpha: the exponent of the length penalty of `rescore`.

  Returns:
    A `Translation` of T + 1 places, and its `Trace`.
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
  last, inputs, predictions = found.state, found.trace.inputs, found.trace.predictions  # The traces are [P, B*N, T].

  tokens = tf.reshape(argmax.finish(last.predictions), [shape[0], shape[1], shape[2] + 1])
  if rescore is None:
    total = tf.reduce_sum(tf.where(inside, last.log_prob, 0.0), -1)
    score = tf.where(lengths > 0, total / tf.cast(lengths, tf.float32), -float("inf"))
    score = tf.reshape(score, shape[:2])
  else:
    score = length_parallel.rescored(tokens, rescore, alpha=alpha)
  score, order = tf.math.top_k(score, shape[1])  # [B, N]; of equals the first.
  inputs, predictions = (_by_candidate(steps, shape) for steps in (inputs, predictions))
  tokens, inputs, predictions = (tf.gather(x, order, batch_dims=1) for x in (tokens, inputs, predictions))
  return types.Translation(tokens, score, found.passes + (rescore is not None)), types.Trace(inputs, predictions)


def masked(passes, longest, least=1):
  """Returns n_t above, how many words each pass says, of N words: int32 [T, longest + 1].

  No pass says fewer than `least`: 1 as the paper's program, 0 as fairseq's.
  In the float64 of the paper's program, which counts: floor(10 (1 - 8 / 10)) is 1 in it. A TPU has none, hence a table.

  Raises:
    ValueError: for no pass.
  """
  if passes < 1:
    raise ValueError(f"masked needs passes >= 1, got {passes}; 1 says all words at once.")
  share = 1 - np.arange(passes) / passes
  return np.maximum(np.floor(share[:, None] * np.arange(longest + 1)), least).astype(np.int32)


def _by_candidate(steps, shape):
  """[P, B*N, T] -> [B, N, P, T]."""
  return tf.reshape(tf.transpose(steps, [1, 0, 2]), [shape[0], shape[1], -1, shape[2]])
