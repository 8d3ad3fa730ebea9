"""A dense layer as one matrix product with bias and ReLU, which TensorFlow fuses into a single kernel.

keras.layers.Dense uses tf.tensordot, which prevents the fusion with the bias and adds a dozen small shape operators.
"""
from typing import Any

import keras
import tensorflow as tf


class Dense(keras.layers.Dense):
  """keras.layers.Dense over the last axis; the weights and their names are Keras's."""

  def __init__(self, units: int, *, projections: int = 0, **kw: Any):
    """Args: units: features of the output; projections: how many input projections, as query, key and value, are side
    by side in the kernel of a sub-layer that may be in shards (layers/shards.py); 0: it is an output projection.
    """
    super().__init__(units, **kw)
    self.projections = projections

  def call(self, x: tf.Tensor) -> tf.Tensor:
    """float [..., D] -> [..., units]."""
    kernel, bias = tf.convert_to_tensor(self.kernel), tf.convert_to_tensor(self.bias)
    rows = x if x.shape.rank == 2 else tf.reshape(x, [-1, kernel.shape[0]])
    y = self.activation(tf.nn.bias_add(tf.matmul(rows, kernel), bias))
    return y if x is rows else tf.reshape(y, tf.concat([tf.shape(x)[:-1], [self.units]], 0))
