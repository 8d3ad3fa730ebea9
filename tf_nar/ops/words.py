"""Which words may be said."""
import tensorflow as tf

from tf_nar import types

UNSAYABLE = (types.PAD, types.BOS)  # They never stand in a target.


def without(logits, forbid):
  """Returns logits [..., V] with those of the ids `forbid` at -inf; nothing is renormalised."""
  if not len(forbid):
    return logits
  never = tf.reduce_any(tf.one_hot(forbid, logits.shape[-1], on_value=True, off_value=False), 0)  # [V]
  return tf.where(never, tf.constant(-float("inf"), logits.dtype), logits)
