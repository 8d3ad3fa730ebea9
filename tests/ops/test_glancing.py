import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import glancing


@pytest.mark.parametrize("step, expected", [(0, 0.5), (50, 0.45), (100, 0.4), (200, 0.3), (201, 0.3), (10**9, 0.3)])
def test_ratio_falls_along_a_line_and_then_stays(step, expected):
  for given in (step, tf.constant(step, tf.int64)):
    found = glancing.ratio(given, 0.5, 0.3, 200)
    assert found.dtype == tf.float32 and found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_as_large_a_share_is_shown_as_was_wrong():
  places = 20_000
  right = tf.reshape(tf.range(4 * places) % 4, [4, places]) < [[0], [2], [3], [4]]  # 1, 1/2, 1/4, 0 are wrong.
  inside = tf.sequence_mask([places] * 3 + [places // 2], places)
  shown = glancing.shown(right, inside, 0.6, [1, 2]).numpy()
  np.testing.assert_allclose(shown.mean(1), [0.6, 0.3, 0.15, 0.0], atol=0.02)
  np.testing.assert_array_equal(shown, glancing.shown(right, inside, 0.6, [1, 2]))
  assert np.any(shown != glancing.shown(right, inside, 0.6, [1, 3]).numpy())


def test_only_real_places_count_and_are_shown():
  right = tf.fill([3, 100], False)
  shown = glancing.shown(right, tf.sequence_mask([100, 10, 0], 100), 1.0, [1, 2]).numpy()
  np.testing.assert_array_equal(shown.sum(1), [100, 10, 0])
  assert shown[1, :10].all()


def test_nothing_is_shown_at_a_ratio_of_zero():
  assert not np.any(glancing.shown(tf.fill([2, 50], False), tf.fill([2, 50], True), 0.0, [1, 2]))
