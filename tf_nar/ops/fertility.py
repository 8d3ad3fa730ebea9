"""Fertilities: how many target tokens each source token stands for, p(f | x) = Π_s p(f_s | x), 0 to K - 1 each.

Padding has the sure fertility 0. A source's EOS stands for the target's, and perhaps for more.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import noise

_NEVER = -float("inf")


def log_probs(logits, src):
  """float32 [B, S, K], int32 [B, S] -> log p, float32 [B, S, K]."""
  sure = tf.one_hot(0, logits.shape[-1], 0.0, _NEVER)
  return tf.where((src != types.PAD)[..., None], tf.nn.log_softmax(logits), sure)


def of(log_prob, fertility):
  """Returns log p(f | x), float32 [B, N], of fertilities int32 [B, N, S] below K under log_prob [B, S, K]."""
  each = tf.gather(log_prob, tf.transpose(fertility, [0, 2, 1]), batch_dims=2)  # [B, S, N]
  return tf.reduce_sum(each, 1)


def candidates(log_prob, count, seed, longest):
  """Returns int32 [B, count, S]: the likeliest fertilities, then draws from p(f | x), which may repeat.

  All sentences are drawn with the same numbers, so that batch-mates and padding change nothing.

  Args:
    log_prob: float32 [B, S, K].
    count: N.
    seed: int32 [2], all randomness.
    longest: an upper bound of S, known when graphs are made.
  """
  best = tf.argmax(log_prob, -1, tf.int32)[:, None]  # [B, 1, S]
  number = noise.uniform([longest, count - 1], seed)[:tf.shape(log_prob)[1]]  # [S, N - 1]
  below = tf.cumsum(tf.exp(log_prob), -1)[:, :, None] <= number[..., None]  # [B, S, N - 1, K]
  # The sum of all may fall short of one by rounding: the last class has the rest.
  drawn = tf.math.count_nonzero(below[..., :-1], -1, dtype=tf.int32)
  return tf.concat([best, tf.transpose(drawn, [0, 2, 1])], 1)


def bounded(fertility, src, most):
  """Makes fertilities a canvas of 1 to `most` places: EOS has one at least, tokens past the room have none.

  # Differs: the original stops at twice the source's length, and lets a sentence be empty.

  Args:
    fertility: int32 [B, N, S].
    src: int32 [B, S].
    most: places, as many as the net has.

  Returns:
    int32 [B, N, S]; blank rows have 0.
  """
  end = tf.cast(src == types.EOS, tf.int32)[:, None]  # [B, 1, S]
  room = most - 1 + tf.cumsum(end, -1)  # One is left for EOS.
  ends = tf.minimum(tf.cumsum(tf.maximum(fertility, end), -1), room)
  return ends - tf.pad(ends, [[0, 0], [0, 0], [1, 0]])[..., :-1]


def likeliest(log_prob, total, most):
  """Finds the likeliest fertilities of a given sum, by the exact dynamic programme over tokens and sums.

  Args:
    log_prob: float32 [B, S, K], as `log_probs` gives it.
    total: int32 [B], the sums.
    most: the greatest of them, or more.

  Returns:
    fertility: int32 [B, S]. Of equals that with the least fertility of the last token.
    log_prob: float32 [B], log p(f | x); -inf where no fertilities have that sum, and then they are of no use.
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
