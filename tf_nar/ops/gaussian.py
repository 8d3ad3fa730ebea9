"""Diagonal Gaussians over the latents of a sentence: Z independent dimensions at each position."""
import math
from typing import NamedTuple

import tensorflow as tf


class Gaussian(NamedTuple):
  """A Gaussian per position and dimension. It is float32 under every dtype of the network."""

  mean: tf.Tensor  # float32 [..., Z].
  std: tf.Tensor  # float32 [..., Z], the standard deviation (not the variance), positive.

  def sample(self, noise: tf.Tensor, temperature: float = 1.0) -> tf.Tensor:
    """Returns mean + temperature * std * noise, which is differentiable in mean and std, for standard normal noise."""
    return self.mean + temperature * self.std * noise

  def log_prob(self, z: tf.Tensor) -> tf.Tensor:
    """Returns log N(z; mean, std²) summed over the dimensions: float32 [..., Z] -> [...], nats per position."""
    scaled = (z - self.mean) / self.std
    return -0.5 * tf.reduce_sum(scaled**2 + 2.0 * tf.math.log(self.std) + math.log(2.0 * math.pi), -1)

  def kl_by_dimension(self, prior: "Gaussian") -> tf.Tensor:
    """Returns KL(self || prior) of each dimension: float32 [..., Z], nats, at least 0."""
    ratio = self.std / prior.std
    apart = (self.mean - prior.mean) / prior.std
    return 0.5 * (ratio**2 + apart**2 - 1.0 - 2.0 * tf.math.log(ratio))


def importance_bound(log_weights: tf.Tensor) -> tf.Tensor:
  """Returns log (1/K) sum_k w_k, a lower bound of log p(y | x) in expectation that tightens as K grows.

  As in Burda et al. (ICLR 2016), with w_k = p(y | z_k, x) p(z_k | x) / q(z_k | x, y) and z_k drawn from q.

  Args:
    log_weights: float32 [..., K], log w_k.

  Returns:
    float32 [...], in nats.
  """
  return tf.reduce_logsumexp(log_weights, -1) - tf.math.log(tf.cast(tf.shape(log_weights)[-1], tf.float32))
