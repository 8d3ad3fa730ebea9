"""Selection of a given number of positions in each row."""
import tensorflow as tf

from tf_nar.ops import noise


def lowest(values: tf.Tensor, counts: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
  """Selects the positions with the lowest values; ties go to the first.

  Args:
    values: float [B, T].
    counts: int32 [B], the number of positions; all of `among` if it has fewer.
    among: bool [B, T], the positions to select from.

  Returns:
    bool [B, T], True at the selected positions.
  """
  order = tf.argsort(tf.where(among, values, float("inf")))
  rank = tf.argsort(order)  # The inverse of a permutation.
  return among & (rank < counts[:, None])


def uniform(seed: tf.Tensor, counts: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
  """Draws `counts` int32 [B] of the positions `among` bool [B, T], uniformly without replacement: bool [B, T].

  Args:
    seed: int32 [2], the only source of randomness.
    counts, among: as in `lowest`.
  """
  return lowest(noise.uniform(tf.shape(among), seed), counts, among)


def any_number(seed: tf.Tensor, among: tf.Tensor) -> tf.Tensor:
  """Draws n of the N positions `among` bool [B, T] in each row, with n uniform on {1, ..., N}: bool [B, T]."""
  draw = lambda n: tf.random.fold_in(seed, n, alg="philox")
  share = noise.uniform(tf.shape(among)[:1], draw(0))  # [0, 1)
  size = tf.math.count_nonzero(among, 1, dtype=tf.float32)
  return uniform(draw(1), 1 + tf.cast(share * size, tf.int32), among)
