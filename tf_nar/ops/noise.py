"""Dropout and random numbers as functions of a seed: the same seed gives the same result on every machine."""
from typing import Any

import numpy as np
import tensorflow as tf

LEVELS = 256  # Values of a random byte, the cheapest random number, of which dropout uses one per feature.


class Dropout:
  """A sequence of dropout masks from one seed.

  Masks are numbered in the order in which the layers draw them, so that each is a function of (seed, number), and two
  passes with two `Dropout` of one seed drop the same units.
  """

  def __init__(self, seed: tf.Tensor | None):
    """Args: seed: int32 [2], or None to turn dropout off."""
    self._seed = seed
    self._draws = 0

  @property
  def deterministic(self) -> bool:
    """Whether dropout is off."""
    return self._seed is None

  def drop(self, x: tf.Tensor, rate: float) -> tf.Tensor:
    """Sets a share `rate` of x to zero and scales the rest so that the mean is preserved.

    # Differs: the share is `rate` rounded to the nearest 1/256.
    """
    below = round(rate * LEVELS)
    if self.deterministic or not below:
      return x
    self._draws += 1
    seed = tf.random.fold_in(self._seed, self._draws, alg="philox")
    kept = tf.cast(_bytes(tf.shape(x), seed) >= below, x.dtype)
    return x * (kept * (LEVELS / (LEVELS - below)))


def uniform(shape: Any, seed: tf.Tensor) -> tf.Tensor:
  """Returns float32 of `shape` in [0, 1), in steps of 2^-24.

  It is made from integers, since TensorFlow's random floats differ under XLA.
  """
  whole = tf.random.stateless_uniform(shape, seed, 0, 1 << 24, tf.int32, alg="philox")
  return tf.cast(whole, tf.float32) / (1 << 24)


def normal(shape: Any, seed: tf.Tensor) -> tf.Tensor:
  """Returns standard normal float32 of `shape`, by Box-Muller from `uniform`, so that XLA gives the same numbers."""
  radius, angle = (uniform(shape, tf.random.fold_in(seed, n, alg="philox")) for n in range(2))
  return tf.sqrt(-2.0 * tf.math.log1p(-radius)) * tf.cos(2 * np.pi * angle)


def stream(seed: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
  """Returns the seed, int32 [2], of one of several independent random streams of a family.

  A `Dropout` uses the numbers from 1 of its own seed for its masks, so that only 0 is free for other uses of that seed.
  """
  return tf.random.fold_in(seed, number, alg="philox")


def _bytes(shape, seed):
  """Returns uniform uint8 of `shape`, four from each random int32."""
  size = tf.reduce_prod(shape)
  tokens = tf.random.stateless_uniform([(size + 3) // 4], seed, None, None, tf.int32, alg="philox")
  return tf.reshape(tf.reshape(tf.bitcast(tokens, tf.uint8), [-1])[:size], shape)
