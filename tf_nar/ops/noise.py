"""Dropout whose randomness is an argument: the same seed drops the same places, on any machine and at any time."""
import numpy as np
import tensorflow as tf

LEVELS = 256  # A place is dropped by one random byte, the cheapest draw there is.


class Dropout:
  """A numbered row of dropout masks grown from one seed.

  Layers draw in the order in which the model calls them, so a mask can be drawn again from
  (seed, draw), and two passes with two `Noise` of one seed drop the same units.
  """

  def __init__(self, seed):
    """Args: seed: int32 [2], or None for a model at rest, which drops nothing."""
    self._seed = seed
    self._draws = 0

  @property
  def deterministic(self):
    """Whether nothing is ever dropped."""
    return self._seed is None

  def drop(self, x, rate):
    """Zeroes a share of x and scales the rest so that the mean stays.

    # Differs: the share is `rate` to the nearest 1/256.
    """
    below = round(rate * LEVELS)
    if self.deterministic or not below:
      return x
    self._draws += 1
    seed = tf.random.fold_in(self._seed, self._draws, alg="philox")
    kept = tf.cast(_bytes(tf.shape(x), seed) >= below, x.dtype)
    return x * (kept * (LEVELS / (LEVELS - below)))


def uniform(shape, seed):
  """Returns float32 of `shape` in [0, 1), in steps of 2^-24.

  Made of whole numbers, for TensorFlow's own floats are others under XLA.
  """
  whole = tf.random.stateless_uniform(shape, seed, 0, 1 << 24, tf.int32, alg="philox")
  return tf.cast(whole, tf.float32) / (1 << 24)


def normal(shape, seed):
  """Returns float32 of `shape`, standard normal: Box and Muller's, of `uniform`, so that XLA makes the same."""
  radius, angle = (uniform(shape, tf.random.fold_in(seed, n, alg="philox")) for n in range(2))
  return tf.sqrt(-2.0 * tf.math.log1p(-radius)) * tf.cos(2 * np.pi * angle)


def stream(seed, number):
  """Returns the seed, int32 [2], of one of a family's streams of randomness: what draws apart has another number.

  A `Noise` takes the numbers from 1 of its own seed for its masks, so whoever shares one with it takes 0.
  """
  return tf.random.fold_in(seed, number, alg="philox")


def _bytes(shape, seed):
  """Returns uint8 of `shape`, uniform: four of each random int32."""
  size = tf.reduce_prod(shape)
  tokens = tf.random.stateless_uniform([(size + 3) // 4], seed, None, None, tf.int32, alg="philox")
  return tf.reshape(tf.reshape(tf.bitcast(tokens, tf.uint8), [-1])[:size], shape)
