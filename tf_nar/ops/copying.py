"""Which source token each target position copies: the decoder input of Gu et al. (ICLR 2018), and similar ones.

Positions are counted from 0. The values past a row's lengths are arbitrary but finite.
"""
import tensorflow as tf


def uniform(sources: tf.Tensor, targets: tf.Tensor, positions: int | tf.Tensor) -> tf.Tensor:
  """Copies at even steps, from the first token at the first position to the last at the last one.

  Position t copies token round(t (S - 1) / (T - 1)).

  # Differs: the paper rounds S t / T, t from 1, which for a long target begins before the first token.

  Args:
    sources: int32 [B], S, the number of source tokens.
    targets: int32 [B], T, the number of target positions.
    positions: the padded number of target positions.

  Returns:
    int32 [B, positions], the index of the source token; halves are rounded up.
  """
  last, steps = tf.maximum(sources - 1, 0)[:, None], tf.maximum(targets - 1, 1)[:, None]
  return tf.minimum((2 * tf.range(positions) * last + steps) // (2 * steps), last)


def soft(
    sources: tf.Tensor, targets: tf.Tensor, width: int | tf.Tensor, positions: int | tf.Tensor, tau: float | tf.Tensor,
    first: int = 1) -> tf.Tensor:
  """Mixes the source tokens near t S / T: weights softmax_s(-(s - t S / T)^2 / tau), s and t from `first`.

  Args:
    sources, targets, positions: as in `uniform`.
    width: the padded source length.
    tau: the temperature, a number or float32 []; larger values mix more distant tokens.
    first: 1 aligns the last tokens of both (Gu et al.), 0 the first (Shu et al., AAAI 2020).

  Returns:
    float32 [B, positions, width]; 0 at source padding.
  """
  count = lambda n: tf.cast(tf.range(first, n + first), tf.float32)
  step = tf.cast(sources, tf.float32) / tf.cast(tf.maximum(targets, 1), tf.float32)  # [B]
  away = count(width) - (count(positions) * step[:, None])[..., None]  # [B, positions, width]
  inside = tf.sequence_mask(sources, width)[:, None]
  return tf.nn.softmax(tf.where(inside, -away**2 / tau, -1e9)) * tf.cast(inside, tf.float32)


def by_fertility(fertility: tf.Tensor, positions: int | tf.Tensor) -> tf.Tensor:
  """Copies each token, in order, as often as its fertility int32 [B, S]: the token's index, int32 [B, positions]."""
  ends = tf.cumsum(fertility, -1)  # The end of each token's copies.
  before = ends[:, None] <= tf.range(positions)[:, None]  # [B, positions, S]
  return tf.minimum(tf.math.count_nonzero(before, -1, dtype=tf.int32), tf.shape(fertility)[1] - 1)
