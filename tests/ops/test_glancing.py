import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import glancing


@pytest.mark.parametrize("step, expected", [(0, 0.5), (50, 0.3), (100, 0.1), (10**9, 0.1)])
def test_ratio_falls_in_a_line_and_stays(step, expected):
  for given in (step, tf.constant(step, tf.int64)):
    found = glancing.ratio(given, 0.5, 0.1, 100)
    assert found.dtype == tf.float32 and found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_chosen_are_as_many_as_wanted_and_each_as_often():
  places = tf.constant([[True] * 4 + [False] * 2] * 2_000)
  found = glancing.chosen(tf.tile([3, 1, 0, 4], [500]), places, [1, 2]).numpy()
  assert (found.sum(1).reshape(-1, 4) == [3, 1, 0, 4]).all() and not found[:, 4:].any()
  np.testing.assert_allclose(found[::4, :4].mean(0), 0.75, atol=0.06)
  np.testing.assert_array_equal(found, glancing.chosen(tf.tile([3, 1, 0, 4], [500]), places, [1, 2]))
  assert np.any(found != glancing.chosen(tf.tile([3, 1, 0, 4], [500]), places, [1, 3]).numpy())
