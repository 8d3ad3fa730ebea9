"""Clipped matches between the n-grams of a sentence and expected counts, as in BLEU."""
import tensorflow as tf


def matches(tokens: tf.Tensor, counts: tf.Tensor, lengths: tf.Tensor, order: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns Σ_g min(C_y(g), E[C(g)]) over the n-grams g of each sentence y, and their number, both float32 [...].

  Args:
    tokens: int32 [..., T].
    counts: float32 [..., T], the expected count of the n-gram that begins at each token; not read where none begins.
    lengths: int32 [...], the number of tokens of each sentence, at most T.
    order: n.
  """
  grams = tf.maximum(lengths - order + 1, 0)
  inside = tf.sequence_mask(grams, tf.shape(tokens)[-1])  # [..., T]
  same = tokens[..., :, None] == tokens[..., None, :]  # [..., T, T]
  alike = same & inside[..., None, :]  # Whether two positions begin the same n-gram.
  for n in range(1, order):
    none = [[0, 0]] * (tokens.shape.rank - 1)
    alike &= tf.pad(same, [*none, [0, n], [0, n]])[..., n:, n:]  # T may be below n.
  often = tf.reduce_sum(tf.cast(alike, tf.float32), -1)
  # The expected count of an n-gram is divided among its occurrences in y, each of which matches 1 at most.
  matched = tf.minimum(counts / tf.maximum(often, 1.0), 1.0)
  return tf.reduce_sum(tf.where(inside, matched, 0.0), -1), tf.cast(grams, tf.float32)


def expected(log_prob: tf.Tensor, lengths: tf.Tensor, order: int) -> tf.Tensor:
  """Returns E[C(g)], Σ_i Π_k p_{i+k}(g_k), of the n-gram g that begins at each token, of independent tokens.

  Args:
    log_prob: float32 [B, T, T], log p at each position of each token.
    lengths: int32 [B], the number of positions.
    order: n.

  Returns:
    float32 [B, T]; without meaning where no n-gram begins.
  """
  prob = tf.where(tf.sequence_mask(lengths, tf.shape(log_prob)[1])[..., None], tf.exp(log_prob), 0.0)
  found = prob
  for n in range(1, order):
    found *= tf.pad(prob, [[0, 0], [0, n], [0, n]])[:, n:, n:]
  return tf.reduce_sum(found, 1)
