"""Gaussians: known values, and expectations by sampling."""
import numpy as np
import tensorflow as tf

from tf_nar.ops import gaussian
from tf_nar.ops import noise


def two():
  draw = np.random.default_rng(0)
  make = lambda: gaussian.Gaussian(tf.constant(draw.normal(size=[3, 4]), tf.float32),
                                   tf.constant(draw.uniform(0.5, 2.0, [3, 4]), tf.float32))
  return make(), make()


def test_log_prob_of_a_known_point():
  one = gaussian.Gaussian(tf.constant([[1.0, 0.0]]), tf.constant([[2.0, 1.0]]))
  want = -0.5 * 1.0 - np.log(2.0) - 0.5 * 4.0 - np.log(2 * np.pi)  # z is 1 and 2 standard deviations away.
  np.testing.assert_allclose(one.log_prob(tf.constant([[3.0, -2.0]])), [want], rtol=1e-6)


def test_kl_is_the_mean_difference_of_log_probabilities():
  q, p = two()
  z = q.sample(noise.normal([40_000, 3, 4], tf.constant([1, 2])))
  each = q.kl_by_dimension(p)
  np.testing.assert_allclose(tf.reduce_mean(q.log_prob(z) - p.log_prob(z), 0), tf.reduce_sum(each, -1), rtol=0.05)
  np.testing.assert_allclose(q.kl_by_dimension(q), np.zeros([3, 4]), atol=1e-6)


def test_sample_has_the_mean_and_the_scaled_deviation():
  q, _ = two()
  z = q.sample(noise.normal([40_000, 3, 4], tf.constant([3, 4])), temperature=0.5)
  np.testing.assert_allclose(tf.reduce_mean(z, 0), q.mean, atol=0.03)
  np.testing.assert_allclose(tf.math.reduce_std(z, 0), 0.5 * q.std, rtol=0.03)


def test_importance_bound_is_the_logarithm_of_the_mean_weight():
  weights = np.array([[1.0, 2.0, 6.0], [4.0, 4.0, 4.0]])
  np.testing.assert_allclose(gaussian.importance_bound(tf.constant(np.log(weights), tf.float32)), np.log([3.0, 4.0]),
                             rtol=1e-6)
