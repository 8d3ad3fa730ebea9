"""Which places hold words, and how batches are cut to what they hold."""
import tensorflow as tf

from tf_nar import types


def valid(tokens):
  """int32 [B, T] -> bool [B, T], True at words and EOS."""
  return tokens != types.PAD


def lengths(tokens):
  """int32 [..., T] -> int32 [...], words and EOS; 0 for a blank row."""
  return tf.reduce_sum(tf.cast(valid(tokens), tf.int32), -1)


def causal(size):
  """Returns bool [1, size, size]: a place sees itself and what is before it."""
  positions = tf.range(size)
  return (positions[:, None] >= positions)[None]


def shift_right(x):
  """float [B, T, D] -> float [B, T, D]: a zero vector first, the last place gone."""
  return tf.pad(x, [[0, 0], [1, 0], [0, 0]])[:, :-1]


def packed(tokens, kept):
  """Moves what is kept to the front, in its order: int32 [..., T], bool [..., T] -> int32 [..., T], then PAD."""
  order = tf.argsort(tf.cast(~kept, tf.int32), stable=True)
  return tf.gather(tf.where(kept, tokens, types.PAD), order, batch_dims=tokens.shape.rank - 1)
