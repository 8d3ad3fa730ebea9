"""Sine positions (Vaswani et al., 2017, §3.5), by keras_nlp.

It is imported when they are first used: that takes most of a second, and core Keras has no sinusoids.
"""
import functools

import tensorflow as tf


def positions(length: int | tf.Tensor, width: int) -> tf.Tensor:
  """Returns the first `length` (int, or int32 []) positions, float32 [length, width]."""
  return _layer()(tf.zeros([1, length, width]))[0]


@functools.cache
def _layer():
  import keras_nlp
  return keras_nlp.layers.SinePositionEncoding(dtype="float32")
