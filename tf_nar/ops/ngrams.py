"""Which n-grams of a sentence are the same, and how many of those expected match."""
import tensorflow as tf


def matches(tokens, counts, lengths, order):
  """Returns Σ_g min(C_y(g), E[C(g)]) over the n-grams g of each sentence y, and their number, both float32 [...].

  Args:
    tokens: int32 [..., T].
    counts: float32 [..., T], how often the n-gram that begins at each word is expected; not read where none begins.
    lengths: int32 [...], how many of the T tokens are no padding.
    order: n.
  """
  grams = tf.maximum(lengths - order + 1, 0)
  inside = tf.sequence_mask(grams, tf.shape(tokens)[-1])  # [..., T]
  same = tokens[..., :, None] == tokens[..., None, :]  # [..., T, T]
  alike = same & inside[..., None, :]  # Whether a place begins the same n-gram as another.
  for n in range(1, order):
    none = [[0, 0]] * (tokens.shape.rank - 1)
    alike &= tf.pad(same, [*none, [0, n], [0, n]])[..., n:, n:]  # There may be fewer than n.
  often = tf.reduce_sum(tf.cast(alike, tf.float32), -1)
  # Each place of an n-gram has its part of what is expected of it, 1 at most.
  matched = tf.minimum(counts / tf.maximum(often, 1.0), 1.0)
  return tf.reduce_sum(tf.where(inside, matched, 0.0), -1), tf.cast(grams, tf.float32)
