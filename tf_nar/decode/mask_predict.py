"""Mask-Predict (Ghazvininejad et al., EMNLP 2019, arXiv:1904.09324): say all words, then doubt the least sure ones.

Pass t = 0, ..., T - 1 of a target of N words masks the n_t least likely ones and says them again, seeing the rest:

  n_0 = N,   n_t = max(1, floor(N (1 - t / T)))

fairseq's program counts without the max, so that its last passes may say nothing again.
The log p of a word stays that of the pass that said it. `rewrite` is the variant of Huang et al. (CMLMC, ICLR 2022):
each pass replaces all words and their log p, those it saw too; its model was trained to say them.
"""
import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.ops import choice
from tf_nar.ops import masking


def mask_predict(predict, canvas, rescore=None, *, passes, longest, least=1, rewrite=False, alpha):
  """Fills the candidates of all sentences together, in exactly `passes` passes, and ranks them.

  # Differs: the paper's program, as this, ranks by the mean of all N places; what is after the first EOS is cut
  off here, by which it may be rescored.

  Args:
    predict: maps what is seen, int32 [B*N, T], MASK at the places to say and PAD past the length, to the best
      word of each place and its log p, int32 and float32 [B*N, T]; candidate n of sentence b is row b*N + n.
    canvas: int32 [B, N, T], MASK in the length of each candidate, PAD past it; all PAD is a blank row.
    rescore: maps tokens int32 [B, N, T + 1] to log p float32 [B, N]; None ranks by the mean log p of a word.
    passes: how often `predict` is called, at least 1.
    longest: the most words of a candidate.
    least, rewrite: see `masked` and the module.
    alpha: the exponent of the length penalty of `rescore`.

  Returns:
    A `Translation` of T + 1 places, and its `Trace`.

  Raises:
    ValueError: for no pass.
  """
  if passes < 1:
    raise ValueError(f"mask_predict needs passes >= 1, got {passes}; 1 says all words at once.")
  shape, canvas = tf.shape(canvas), tf.reshape(canvas, [-1, tf.shape(canvas)[2]])
  inside, lengths = masking.valid(canvas), masking.lengths(canvas)

  def one_pass(before, counts):
    _, said, log_prob = before
    hidden = choice.lowest(log_prob, tf.gather(counts, lengths), inside)
    seen = tf.where(hidden, types.MASK, said)
    word, sure = predict(seen)
    written = inside if rewrite else hidden
    return seen, tf.where(written, word, said), tf.where(written, sure, log_prob)

  start = canvas, canvas, tf.zeros(tf.shape(canvas))
  seen, said, log_prob = tf.scan(one_pass, tf.constant(masked(passes, longest, least)), start)  # [P, B*N, T] each

  tokens = tf.reshape(argmax.finish(said[-1]), [shape[0], shape[1], shape[2] + 1])
  if rescore is None:
    total = tf.reduce_sum(tf.where(inside, log_prob[-1], 0.0), -1)
    score = tf.where(lengths > 0, total / tf.cast(lengths, tf.float32), -float("inf"))
    score = tf.reshape(score, shape[:2])
  else:
    score = length_parallel.rescored(tokens, rescore, alpha=alpha)
  score, order = tf.math.top_k(score, shape[1])  # [B, N]; of equals the first.
  tokens, seen, said = (
    tf.gather(x, order, batch_dims=1) for x in (tokens, _by_candidate(seen, shape), _by_candidate(said, shape)))
  return types.Translation(tokens, score, tf.constant(passes + (rescore is not None))), types.Trace(seen, said)


def masked(passes, longest, least=1):
  """Returns n_t above, how many words each pass says, of N words: int32 [T, longest + 1].

  No pass says fewer than `least`: 1 as the paper's program, 0 as fairseq's.
  In the float64 of the paper's program, which counts: floor(10 (1 - 8 / 10)) is 1 in it. A TPU has none, hence a table.
  """
  share = 1 - np.arange(passes) / passes
  return np.maximum(np.floor(share[:, None] * np.arange(longest + 1)), least).astype(np.int32)


def _by_candidate(steps, shape):
  """[P, B*N, T] -> [B, N, P, T]."""
  return tf.reshape(tf.transpose(steps, [1, 0, 2]), [shape[0], shape[1], -1, shape[2]])
