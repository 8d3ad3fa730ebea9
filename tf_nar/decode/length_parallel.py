"""Length-parallel decoding: several lengths are filled at once and the best translation wins.

Gu et al. (arXiv:1711.02281) and Wei et al. (arXiv:1906.02041) rank by an autoregressive teacher, which scores
all candidates in parallel.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import beam


def candidates(length_logits, count, longest):
  """Returns int32 [B, count]: consecutive lengths around the likeliest one.

  Args:
    length_logits: float [B, L]; class n stands for the length n, EOS included.
    count: how many lengths, at least 1. An odd number has the likeliest in its middle.
    longest: the largest length to try. At the borders lengths repeat, for the shapes stay fixed.

  Raises:
    ValueError: if `count` or `longest` is below 1.
  """
  if count < 1:
    raise ValueError(f"candidates needs count >= 1, got {count}; 1 tries the likeliest length alone.")
  if isinstance(longest, int) and longest < 1:
    raise ValueError(f"candidates needs longest >= 1, got {longest}; it counts EOS.")
  # Differs: the original replaces a length above 128 by the source's, a limit of its buffers.
  likeliest = tf.argmax(length_logits, -1, tf.int32)  # [B]
  base = tf.maximum(likeliest - count // 2, 2)  # One word and EOS.
  return tf.clip_by_value(base[:, None] + tf.range(count), 1, longest)


def length_parallel(fill, lengths, rescore=None, *, alpha):
  """Fills all lengths in one call and ranks what comes by score / ((5 + T) / 6)^alpha.

  Args:
    fill: maps lengths int32 [B*N] to (tokens int32 [B*N, T], score float32 [B*N]); candidate n of sentence
      b is row b*N + n. Tokens are cut at their first EOS here, or get one.
    lengths: int32 [B, N], EOS included.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N], as an autoregressive teacher does; None
      ranks by the score of `fill`.
    alpha: the exponent of the length penalty; 0 ranks by log p.

  Returns:
    A `Translation` of T + 1 places, best candidate first, of equals the first. `passes` is 1, for the call of
    `fill`.
  """
  batch, count = tf.unstack(tf.shape(lengths))
  tokens, score = fill(tf.reshape(lengths, [-1]))
  tokens = argmax.finish(tokens)
  tokens = tf.reshape(tokens, [batch, count, tf.shape(tokens)[1]])
  if rescore is None:
    score = tf.reshape(score, [batch, count])  # Of all places, those after EOS too.
  else:
    score = rescore(tokens)
    # Differs: the original takes the length asked for, and scores the places after EOS too. Cut, they have no
    # log p to pay, and an early EOS would be a bargain.
    lengths = tf.math.count_nonzero(tokens != types.PAD, -1, dtype=tf.int32)
  score, order = tf.math.top_k(score / beam.length_penalty(lengths, alpha), count)  # [B, N]
  return types.Translation(tf.gather(tokens, order, batch_dims=1), score, tf.constant(1))
