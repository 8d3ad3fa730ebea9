"""Which source token each target place copies: the canvas of Gu et al. (ICLR 2018) and its relatives.

Places are counted from 0. Past a row's lengths anything may stand, but it is finite.
"""
import tensorflow as tf


def uniform(sources, targets, positions):
  """Copies at even steps, the first place the first token and the last the last: round(t (S - 1) / (T - 1)).

  # Differs: the paper rounds S t / T, t from 1, which for a long target begins before the first token.

  Args:
    sources: int32 [B], source tokens, S.
    targets: int32 [B], target places, T.
    places: how wide the canvas is.

  Returns:
    int32 [B, places], which source token; halves are rounded up.
  """
  last, steps = tf.maximum(sources - 1, 0)[:, None], tf.maximum(targets - 1, 1)[:, None]
  return tf.minimum((2 * tf.range(positions) * last + steps) // (2 * steps), last)


def soft(sources, targets, width, positions, tau):
  """Mixes the tokens around the even step: weights softmax_s(-(s - t S / T)^2 / tau), s and t from 1.

  Args:
    sources, targets, places: as in `uniform`.
    width: of the source, padding and all.
    tau: how far a place looks.

  Returns:
    float32 [B, places, width]; 0 at padded sources.
  """
  count = lambda n: tf.range(1, n + 1, dtype=tf.float32)
  step = tf.cast(sources, tf.float32) / tf.cast(tf.maximum(targets, 1), tf.float32)  # [B]
  away = count(width) - (count(positions) * step[:, None])[..., None]  # [B, places, width]
  inside = tf.sequence_mask(sources, width)[:, None]
  return tf.nn.softmax(tf.where(inside, -away**2 / tau, -1e9)) * tf.cast(inside, tf.float32)


def by_fertility(fertility, positions):
  """Copies each token as often as its fertility, in order: int32 [B, S] -> int32 [B, places], which token."""
  ends = tf.cumsum(fertility, -1)  # Of each token's copies.
  before = ends[:, None] <= tf.range(positions)[:, None]  # [B, places, S]
  return tf.minimum(tf.math.count_nonzero(before, -1, dtype=tf.int32), tf.shape(fertility)[1] - 1)
