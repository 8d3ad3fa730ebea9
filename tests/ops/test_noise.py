import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import noise as noise_lib

ONES = tf.ones([100, 1_000])


def dropped(seed, draws=1, rate=0.1, x=ONES):
  """Returns the last of several draws from one seed."""
  noise = noise_lib.Dropout(seed)
  return [noise.drop(x, rate).numpy() for _ in range(draws)][-1]


@pytest.mark.parametrize("rate", [0.1, 0.3, 0.5])
def test_rate_and_mean_are_kept(rate):
  found = dropped([1, 2], rate=rate)
  share = round(rate * 256) / 256
  deviation = (share * (1 - share) / found.size) ** 0.5
  assert abs((found == 0).mean() - share) < 4 * deviation
  assert abs(found.mean() - 1) < 4 * deviation / (1 - share)
  np.testing.assert_allclose(np.unique(found), [0, 1 / (1 - share)], rtol=1e-6)


def test_same_seed_same_mask():
  np.testing.assert_array_equal(dropped([1, 2]), dropped([1, 2]))
  np.testing.assert_array_equal(dropped([1, 2], draws=3), dropped([1, 2], draws=3))


def test_draws_and_seeds_are_independent():
  masks = [dropped(seed, draws, 0.5) for seed, draws in (([1, 2], 1), ([1, 2], 2), ([1, 3], 1), ([2, 2], 1))]
  for i, one in enumerate(masks):
    for other in masks[:i]:
      assert abs(((one > 0) == (other > 0)).mean() - 0.5) < 0.01


def test_a_model_at_rest_is_left_alone():
  x = tf.constant([1.0, 2.0])
  assert noise_lib.Dropout(None).drop(x, 0.5) is x
  assert noise_lib.Dropout([1, 2]).drop(x, 0.0) is x


def test_a_rate_of_zero_draws_nothing():
  noise = noise_lib.Dropout([1, 2])
  noise.drop(ONES, 0.0)
  np.testing.assert_array_equal(noise.drop(ONES, 0.1), dropped([1, 2]))


@pytest.mark.parametrize("shape", [[], [1], [3], [5, 1], [2, 3, 7]])
@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_keeps_shape_and_type(shape, dtype):
  found = noise_lib.Dropout([1, 2]).drop(tf.ones(shape, dtype), 0.5)
  assert (found.shape, found.dtype) == (shape, dtype)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_drops_the_same_places(jit):
  found = tf.function(lambda x: noise_lib.Dropout([1, 2]).drop(x, 0.1), jit_compile=jit, autograph=False)(ONES)
  np.testing.assert_array_equal(found, dropped([1, 2]))


def test_gradient_flows_through_what_is_kept():
  x = tf.ones([50])
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = noise_lib.Dropout([1, 2]).drop(x, 0.5)
  np.testing.assert_array_equal(tape.gradient(y, x), y)


@pytest.mark.parametrize("shape", [[], [7], [40, 50]])
def test_uniform_is_the_same_under_xla(shape):
  draw = lambda: noise_lib.uniform(shape, [1, 2])
  found = tf.function(draw, jit_compile=True, autograph=False)()
  assert (found.dtype, found.shape) == (tf.float32, shape)
  np.testing.assert_array_equal(found, draw())
  np.testing.assert_array_equal(found, tf.function(draw, autograph=False)())
  assert np.any(found != noise_lib.uniform(shape, [1, 3]))


def test_uniform_is_uniform():
  found = noise_lib.uniform([100_000], [1, 2]).numpy()
  assert 0 <= found.min() and found.max() < 1
  counts, _ = np.histogram(found, 20, (0, 1))
  assert np.abs(counts - 5_000).max() < 5 * 5_000**0.5
