"""Two-stream attention as one sequence of blocks, and a mask of which position may attend to which.

In two-stream attention (XLNet, MPNet) a content stream holds tokens, and a query stream asks for them: a query sees
content but neither its own token nor other queries. Both streams have the same weights, so that it makes no difference
whether they are two sequences, or one in which no position attends to a query. Rows of a mask attend, columns are
attended to.
"""
import tensorflow as tf

from tf_nar.ops import masking


def completing(hidden: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
  """Returns the mask of three blocks, bool [B, 3·T, 3·T], which complete a partly masked sentence from left to right.

  The blocks are a canvas, with MASK at the hidden positions; the tokens themselves; and queries. The canvas sees the
  canvas. Token i sees the observed tokens, the hidden ones up to i, and the MASKs after i; its query sees the MASK at i
  instead of the token. So both see every position once. Rows of tokens and queries that are not hidden have no meaning.

  Args:
    hidden: bool [B, T].
    inside: bool [B, T], True where there is a token.
  """
  size = tf.shape(hidden)[1]
  row, column = tf.range(size)[:, None], tf.range(size)
  shown, hidden = (x[:, None] for x in (inside & ~hidden, hidden))  # [B, 1, T]
  canvas = tf.broadcast_to(inside[:, None], [tf.shape(hidden)[0], size, size])
  none = tf.zeros_like(canvas)
  rows = [
    (canvas, none, none),
    (shown | hidden & (column > row), hidden & (column <= row), none),
    (shown | hidden & (column >= row), hidden & (column < row), none)]
  return tf.concat([tf.concat(columns, 2) for columns in rows], 1)


def continuing(size: int | tf.Tensor) -> tf.Tensor:
  """Returns the mask of two blocks, bool [1, 2·size, 2·size], which continue a sentence from left to right.

  The blocks are the tokens, shifted right by one, and queries; both see the tokens up to their own position.
  """
  return tf.pad(tf.tile(masking.causal(size), [1, 2, 1]), [[0, 0], [0, 0], [0, size]])


def joined(one: tf.Tensor, other: tf.Tensor) -> tf.Tensor:
  """Returns the mask of two sequences that do not see each other: bool [B, T, T], [1, U, U] -> [B, T + U, T + U]."""
  other = tf.tile(other, [tf.shape(one)[0], 1, 1])
  sizes = [tf.shape(x)[1] for x in (one, other)]
  return tf.concat([tf.pad(one, [[0, 0], [0, 0], [0, sizes[1]]]), tf.pad(other, [[0, 0], [0, 0], [sizes[0], 0]])], 1)
