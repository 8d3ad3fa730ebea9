"""Masks and lengths of padded batches."""
import tensorflow as tf

from tf_nar import types


def valid(tokens: tf.Tensor) -> tf.Tensor:
  """int32 [B, T] -> bool [B, T], True at tokens and EOS, False at PAD."""
  return tokens != types.PAD


def lengths(tokens: tf.Tensor) -> tf.Tensor:
  """int32 [..., T] -> int32 [...], the number of tokens, EOS included; 0 for a padding row."""
  return tf.reduce_sum(tf.cast(valid(tokens), tf.int32), -1)


def causal(size: int | tf.Tensor) -> tf.Tensor:
  """Returns the causal mask, bool [1, size, size]: a position attends to itself and those before it."""
  positions = tf.range(size)
  return (positions[:, None] >= positions)[None]


def shift_right(x: tf.Tensor) -> tf.Tensor:
  """float [B, T, D] -> float [B, T, D]: prepends a zero vector and drops the last position."""
  return tf.pad(x, [[0, 0], [1, 0], [0, 0]])[:, :-1]


def packed(tokens: tf.Tensor, kept: tf.Tensor) -> tf.Tensor:
  """Moves the kept tokens to the front, in order: int32 [..., T], bool [..., T] -> int32 [..., T], PAD at the end."""
  order = tf.argsort(tf.cast(~kept, tf.int32), stable=True)
  return tf.gather(tf.where(kept, tokens, types.PAD), order, batch_dims=tokens.shape.rank - 1)
