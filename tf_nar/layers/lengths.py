"""A length head by offset: how much longer the target is than its source.

As in Lee et al. (EMNLP 2018) and Shu et al. (AAAI 2020):

  p(T | x) = softmax(W mean(states of the real positions) + b)[T - S + K]        K = `REACH`

Lengths beyond the reach have probability 0. The mean leaves padding out, so that a sentence does not depend on its
batch.
"""
import keras
import tensorflow as tf

from tf_nar.layers import dense

REACH = 64  # The greatest difference, either way.
NEVER = -1e9  # The logit of a length that there is no class for.


class Offsets(keras.layers.Layer):
  """Classes of T - S from -REACH to REACH."""

  def __init__(self, config, **kw):
    super().__init__(dtype="float32", **kw)
    self.longest = config.max_length
    self.out = dense.Dense(2 * REACH + 1, name="out", dtype="float32")
    self.width = config.width
    self.build(None)

  def build(self, _):
    self.out.build((None, self.width))
    self.built = True

  def call(self, states, mask):
    """Reads an encoded source.

    Args:
      states: float [B, S, D].
      mask: bool [B, S], True at real positions; their number is the source's length, EOS included.

    Returns:
      float32 [B, max_length + 1], logits of the target's length, EOS included.
    """
    there = tf.cast(mask, tf.float32)
    count = tf.reduce_sum(there, 1)  # [B]
    mean = tf.einsum("bsd,bs->bd", tf.cast(states, tf.float32), there) / tf.maximum(count, 1.0)[:, None]
    offset = tf.range(self.longest + 1) - tf.cast(count, tf.int32)[:, None] + REACH  # [B, L]
    logits = tf.gather(self.out(mean), tf.clip_by_value(offset, 0, 2 * REACH), batch_dims=1)
    known = (offset >= 0) & (offset <= 2 * REACH) & (tf.range(self.longest + 1) >= 1)
    return tf.where(known, logits, NEVER)
