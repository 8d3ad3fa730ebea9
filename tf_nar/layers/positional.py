"""Positional attention: queries and keys are sine positions, values are states (Gu et al., ICLR 2018; Lee et al.).

  out = W_o softmax(W_q P (W_k P)^T / sqrt(d)) W_v x        P: the positions, the same for all sentences

It moves states by where they are, whatever they are.
"""
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import attention
from tf_nar.layers import dense as dense_lib
from tf_nar.layers import sine
from tf_nar.ops import noise as noise_lib


class PositionalAttention(keras.layers.Layer):
  """See the module docstring. One of several shards has a part of the heads, as in `attention.Attention`."""

  def __init__(self, width: int, heads: int, dropout: float = 0.0, shards: int = 1, **kw: Any):
    super().__init__(**kw)
    self.width, self.rate, self.heads, self.inner = width, dropout, heads // shards, width // shards
    dense = lambda units, parts, name, projections: dense_lib.Dense(
      units, projections=projections, kernel_initializer=attention.glorot(parts), name=name, dtype=self.dtype_policy)
    self.query_key = dense(2 * self.inner, 2, "query_key", 2)
    self.value, self.out = dense(self.inner, 1, "value", 1), dense(width, 1, "out", 0)

  def build(self, _: tuple | None) -> None:
    for part in (self.query_key, self.value):
      part.build((None, None, self.width))
    self.out.build((None, None, self.inner))
    self.built = True

  def call(
      self, x: tf.Tensor, penalty: tf.Tensor, *, sentences: int | tf.Tensor,
      dropout: noise_lib.Dropout = attention.NO_DROPOUT) -> tf.Tensor:
    """Computes attention.

    Args:
      x: float [B·T, D], the positions of all sentences, one sentence after the other.
      penalty: [B or 1, 1, T or 1, T], subtracted from the scores.
      sentences: B.
      dropout: a `noise.Dropout`.

    Returns:
      float [B·T, D].
    """
    depth = self.inner // self.heads
    value = tf.reshape(self.value(x), [sentences, -1, self.heads, depth])
    positions = tf.cast(sine.positions(tf.shape(value)[1], self.width), self.compute_dtype)
    query, key = tf.unstack(tf.reshape(self.query_key(positions), [-1, 2, self.heads, depth]), axis=1)
    scores = tf.einsum("thd,shd->hts", query * depth**-0.5, key)
    weights = dropout.drop(tf.nn.softmax(scores - penalty), self.rate)  # [B, H, T, T]
    return self.out(tf.reshape(tf.einsum("bhts,bshd->bthd", weights, value), [-1, self.inner]))
