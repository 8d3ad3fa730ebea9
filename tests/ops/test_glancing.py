import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import glancing


@pytest.mark.parametrize("step, expected", [(0, 0.5), (50, 0.45), (100, 0.4), (200, 0.3), (201, 0.3), (10**9, 0.3)])
def test_the_ratio_falls_in_a_straight_line_and_then_stays(step, expected):
  for given in (step, tf.constant(step, tf.int64)):
    found = glancing.Glance(0.5, 0.3, 200).at(given)
    assert found.dtype == tf.float32 and found.shape == ()
    np.testing.assert_allclose(found, expected, rtol=1e-6)


@pytest.mark.parametrize("wrong, got", [
  (dict(start=1.5), "1.5, 0.3 and 300000"),
  (dict(end=-0.1), "0.5, -0.1 and 300000"),
  (dict(updates=0), "0.5, 0.3 and 0"),
])
def test_a_ratio_is_a_share(wrong, got):
  with pytest.raises(ValueError, match=f"glance needs start and end from 0 to 1 and updates of at least 1; got {got}"):
    glancing.Glance(**wrong)


def test_nothing_to_show_is_no_glancing():
  assert not glancing.OFF and glancing.Glance() and glancing.Glance(0.0, 0.1)


@pytest.mark.parametrize("jit", [False, True])
@pytest.mark.parametrize("ratio", [0.0, 0.3, 0.5, 1.0])
def test_as_many_are_shown_as_the_distance_says(ratio, jit):
  draw = np.random.default_rng(0)
  among = draw.integers(0, 12, [200, 1]) > np.arange(11)
  wrong = draw.random([200, 11]) < 0.5  # Past the lengths too, where it must not count.
  show = tf.function(lambda: glancing.shown([1, 2], wrong, among, tf.constant(ratio)), jit_compile=jit, autograph=False)
  shown = show().numpy()
  assert not (shown & ~among).any()
  np.testing.assert_array_equal(shown.sum(1), np.floor(np.float32(ratio) * (wrong & among).sum(1)))


def test_right_places_are_shown_as_often_as_wrong_ones():
  wrong = np.tile([[True] * 4 + [False] * 4], [4_000, 1])
  shown = glancing.shown([1, 2], wrong, np.ones_like(wrong), tf.constant(0.5)).numpy()
  assert (shown.sum(1) == 2).all()
  np.testing.assert_allclose(shown.mean(0), 0.25, atol=0.03)
