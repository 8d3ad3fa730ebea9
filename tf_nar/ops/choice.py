"""Choosing some of the places of each row, as many as are asked for."""
import tensorflow as tf

from tf_nar.ops import noise


def lowest(values, counts, among):
  """Chooses the places with the lowest values, of equals the first.

  Args:
    values: float [B, T].
    counts: int32 [B], how many; where there are fewer places, all of them.
    among: bool [B, T], the places to choose from.

  Returns:
    bool [B, T].
  """
  order = tf.argsort(tf.where(among, values, float("inf")))
  rank = tf.argsort(order)  # The inverse of a permutation.
  return among & (rank < counts[:, None])


def uniform(seed, counts, among):
  """Chooses `counts` int32 [B] of the places `among` bool [B, T], every set of so many alike; bool [B, T].

  Args:
    seed: int32 [2], all randomness.
    counts, among: as in `lowest`.
  """
  return lowest(noise.uniform(tf.shape(among), seed), counts, among)


def any_number(seed, among):
  """Chooses n of the N places `among` bool [B, T] of each row, n uniform on {1, ..., N}; bool [B, T]."""
  draw = lambda n: tf.random.fold_in(seed, n, alg="philox")
  share = noise.uniform(tf.shape(among)[:1], draw(0))  # [0, 1)
  size = tf.math.count_nonzero(among, 1, dtype=tf.float32)
  return uniform(draw(1), 1 + tf.cast(share * size, tf.int32), among)
