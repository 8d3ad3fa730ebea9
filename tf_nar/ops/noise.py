"""Dropout whose randomness is an argument: the same seed drops the same places, on any machine and at any time."""
import tensorflow as tf


class Noise:
  """A numbered row of dropout masks grown from one seed.

  Layers draw in the order in which the model calls them, so a mask can be drawn again from
  (seed, draw), and two passes with two `Noise` of one seed drop the same units.
  """

  def __init__(self, seed):
    """Args: seed: int32 [2], or None for a model at rest, which drops nothing."""
    self._seed = seed
    self._draws = 0

  def drop(self, x, rate):
    """Zeroes a share `rate` of x and scales the rest by 1 / (1 - rate)."""
    if self._seed is None or not rate:
      return x
    self._draws += 1
    seed = tf.random.fold_in(self._seed, self._draws, alg="philox")
    return tf.nn.experimental.stateless_dropout(x, rate, seed, rng_alg="philox")
