"""A length head that predicts the difference between target and source length.

As in Lee et al. (EMNLP 2018) and Shu et al. (AAAI 2020):

  p(T | x) = softmax(W mean(states of the real positions) + b)[T - S + K]        K = `REACH`

Lengths with |T - S| > K have probability 0. The mean excludes padding, so that a sentence's prediction does not depend
on its batch.
"""
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import dense
from tf_nar.layers import transformer

REACH = 64  # K, the greatest |T - S| that has a class.
NEVER = -1e9  # The logit of a length without a class.


class Offsets(keras.layers.Layer):
  """Classes of T - S from -REACH to REACH."""

  def __init__(self, config: transformer.Config, **kw: Any):
    super().__init__(dtype="float32", **kw)
    self.longest = config.max_length
    self.out = dense.Dense(2 * REACH + 1, name="out", dtype="float32")
    self.width = config.width
    self.build(None)

  def build(self, _: tuple | None) -> None:
    self.out.build((None, self.width))
    self.built = True

  def call(self, states: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Predicts the target length from an encoded source.

    Args:
      states: float [B, S, D].
      mask: bool [B, S], True at positions that are not padding; their number is the source length, EOS included.

    Returns:
      float32 [B, max_length + 1], logits of the target length, EOS included.
    """
    there = tf.cast(mask, tf.float32)
    count = tf.reduce_sum(there, 1)  # [B]
    mean = tf.einsum("bsd,bs->bd", tf.cast(states, tf.float32), there) / tf.maximum(count, 1.0)[:, None]
    offset = tf.range(self.longest + 1) - tf.cast(count, tf.int32)[:, None] + REACH  # [B, L]
    logits = tf.gather(self.out(mean), tf.clip_by_value(offset, 0, 2 * REACH), batch_dims=1)
    known = (offset >= 0) & (offset <= 2 * REACH) & (tf.range(self.longest + 1) >= 1)
    return tf.where(known, logits, NEVER)

  def nearest(self, lengths: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns the nearest target lengths that have a class, int32 [B], for sources with `mask` as in `call`."""
    sources = tf.math.count_nonzero(mask, 1, dtype=tf.int32)
    return tf.clip_by_value(lengths, tf.maximum(sources - REACH, 1), tf.minimum(sources + REACH, self.longest))
