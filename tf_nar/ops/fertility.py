"""Fertilities: the number of target tokens of each source token, p(f | x) = Π_s p(f_s | x), 0 to K - 1 each.

Padding has fertility 0 with probability 1. The source's EOS is copied for the target's EOS, and perhaps for others.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import noise

_NEVER = -float("inf")


def log_probs(logits: tf.Tensor, src: tf.Tensor) -> tf.Tensor:
  """float32 [B, S, K], int32 [B, S] -> log p, float32 [B, S, K]."""
  sure = tf.one_hot(0, logits.shape[-1], 0.0, _NEVER)
  return tf.where((src != types.PAD)[..., None], tf.nn.log_softmax(logits), sure)


def of(log_prob: tf.Tensor, fertility: tf.Tensor) -> tf.Tensor:
  """Returns log p(f | x), float32 [B, N], of fertilities int32 [B, N, S] below K under log_prob [B, S, K]."""
  each = tf.gather(log_prob, tf.transpose(fertility, [0, 2, 1]), batch_dims=2)  # [B, S, N]
  return tf.reduce_sum(each, 1)


def candidates(log_prob: tf.Tensor, count: int, seed: tf.Tensor, longest: int) -> tf.Tensor:
  """Returns int32 [B, count, S]: the most probable fertilities, then samples of p(f | x), which may repeat.

  All sentences use the same random numbers, so that the result does not depend on the batch or on padding.

  Args:
    log_prob: float32 [B, S, K].
    count: N.
    seed: int32 [2], the only source of randomness.
    longest: an upper bound of S that is known when the graph is built.
  """
  best = tf.argmax(log_prob, -1, tf.int32)[:, None]  # [B, 1, S]
  number = noise.uniform([longest, count - 1], seed)[:tf.shape(log_prob)[1]]  # [S, N - 1]
  return tf.concat([best, drawn(log_prob, number)], 1)


def drawn(log_prob: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
  """Returns samples of p(f | x), int32 [B, N, S], by uniform numbers float32 [B, S, N] or [S, N]."""
  below = tf.cumsum(tf.exp(log_prob), -1)[:, :, None] <= number[..., None]  # [B, S, N, K]
  # The sum of all may be below one by rounding; the last class gets the rest.
  found = tf.math.count_nonzero(below[..., :-1], -1, dtype=tf.int32)
  return tf.transpose(found, [0, 2, 1])


def mean(log_prob: tf.Tensor) -> tf.Tensor:
  """Returns the expected fertility of each token, rounded, int32 [B, S], under log_prob [B, S, K]."""
  each = tf.exp(log_prob) * tf.range(log_prob.shape[-1], dtype=tf.float32)
  return tf.cast(tf.round(tf.reduce_sum(each, -1)), tf.int32)


def bounded(fertility: tf.Tensor, src: tf.Tensor, most: int | tf.Tensor) -> tf.Tensor:
  """Bounds the sum of fertilities to 1 to `most`: EOS has at least one, and tokens beyond `most` positions have none.

  # Differs: the original stops at twice the source length, and allows empty translations.

  Args:
    fertility: int32 [B, N, S].
    src: int32 [B, S].
    most: the greatest number of positions, such as `net.max_length`; or one for each sentence, int32 [B, 1, 1].

  Returns:
    int32 [B, N, S]; 0 in padding rows.
  """
  end = tf.cast(src == types.EOS, tf.int32)[:, None]  # [B, 1, S]
  room = most - 1 + tf.cumsum(end, -1)  # One position is left for EOS.
  ends = tf.minimum(tf.cumsum(tf.maximum(fertility, end), -1), room)
  return ends - tf.pad(ends, [[0, 0], [0, 0], [1, 0]])[..., :-1]


def likeliest(log_prob: tf.Tensor, total: tf.Tensor, most: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Finds the most probable fertilities of a given sum, by an exact dynamic programme over tokens and sums.

  Args:
    log_prob: float32 [B, S, K], from `log_probs`.
    total: int32 [B], the sums.
    most: an upper bound of the sums.

  Returns:
    fertility: int32 [B, S]. Ties go to the least fertility of the last token.
    log_prob: float32 [B], log p(f | x); -inf where no fertilities have that sum, and `fertility` is then arbitrary.
  """
  classes = log_prob.shape[-1]
  left = tf.range(most + 1)[:, None] - tf.range(classes)  # [most + 1, K]: the sum before a token of fertility k.
  of_token = tf.transpose(log_prob, [1, 0, 2])  # [S, B, K]

  def add(found, each):
    before = tf.gather(found[0], tf.maximum(left, 0), axis=1)  # [B, most + 1, K]
    ways = tf.where(left >= 0, before, _NEVER) + each[:, None]
    return tf.reduce_max(ways, -1), tf.argmax(ways, -1, tf.int32)

  rows = tf.shape(total)[0]
  start = tf.where(tf.range(most + 1) == 0, 0.0, _NEVER) + tf.zeros([rows, 1])
  best, choice = tf.scan(add, of_token, (start, tf.zeros([rows, most + 1], tf.int32)))  # [S, B, most + 1]

  def back(state, choices):
    here = tf.gather(choices, state[0], batch_dims=1)
    return tf.maximum(state[0] - here, 0), here

  _, fertility = tf.scan(back, choice, (total, tf.zeros_like(total)), reverse=True)
  return tf.transpose(fertility), tf.gather(best[-1], total, batch_dims=1)
