import numpy as np
import tensorflow as tf

from tf_nar.ops import alignment

SRC, TGT = tf.constant([[7, 8, 1, 0]]), tf.constant([[5, 6, 1]])


def test_attention_is_averaged_and_the_ends_are_left_out():
  one = np.array([[0.5, 0.1, 0.4, 0.0], [0.0, 0.2, 0.8, 0.0], [1.0, 0.0, 0.0, 0.0]])
  other = np.array([[0.1, 0.1, 0.8, 0.0], [0.0, 1.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]])
  expected = [[0.75, 0.25, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0], [0.0] * 4]
  shared = tf.constant(np.stack([one, other])[None], tf.float32)  # Two heads of one block.
  np.testing.assert_allclose(alignment.attended([shared], SRC, TGT)[0], expected, rtol=1e-6)
  apart = [shared[:, :1], shared[:, 1:]]
  np.testing.assert_allclose(alignment.attended(apart, SRC, TGT)[0], expected, rtol=1e-6)
  slot = tf.pad(shared, [[0, 0], [0, 0], [0, 0], [1, 0]], constant_values=0.5)
  np.testing.assert_allclose(alignment.attended([slot], SRC, TGT)[0], expected, rtol=1e-6)


def test_positions_are_those_of_their_source_token():
  places = tf.constant([[[0, 1, 1, 1, 0, 0, 0, 0], [0] * 8, [0, 0, 0, 0, 1, 0, 0, 0]]], tf.float32)
  found = alignment.upsampled(places, TGT, 2, 4)
  np.testing.assert_allclose(found[0], [[1 / 3, 2 / 3, 0, 0], [0] * 4, [0] * 4], rtol=1e-6)


def test_copies():
  np.testing.assert_array_equal(alignment.copied([[1, 0, 2]], TGT, 4)[0], [[0, 1, 0, 0], [1, 0, 0, 0], [0] * 4])
