"""Ranking of candidates from several latents."""
import numpy as np
import tensorflow as tf

from tf_nar.decode import latent

NEVER = -np.inf


def test_doubles_are_missing_and_come_last():
  tokens = tf.constant([[[5, 1], [6, 1], [5, 1], [7, 1]], [[5, 1], [5, 1], [5, 1], [0, 0]]])
  score = tf.constant([[-3.0, -1.0, -2.0, -4.0], [-1.0, -1.0, -0.5, NEVER]])
  found, order = latent.ordered(tokens, score, tf.constant(3))
  np.testing.assert_array_equal(found.tokens, [[[6, 1], [5, 1], [7, 1], [0, 0]], [[5, 1], [0, 0], [0, 0], [0, 0]]])
  np.testing.assert_array_equal(found.score, [[-1.0, -2.0, -4.0, NEVER], [-0.5, NEVER, NEVER, NEVER]])
  np.testing.assert_array_equal(order, [[1, 2, 3, 0], [2, 0, 1, 3]])
  assert int(found.passes) == 3


def test_a_trace_is_in_the_order_of_the_translation():
  steps = [tf.constant([[5, 1], [6, 1]]), tf.constant([[7, 1], [8, 1]])]
  trace = latent.trace(steps, tf.constant([[1, 0]]))
  np.testing.assert_array_equal(trace.predictions, [[[[6, 1], [8, 1]], [[5, 1], [7, 1]]]])
  np.testing.assert_array_equal(trace.inputs, [[[[0, 0], [6, 1]], [[0, 0], [5, 1]]]])
