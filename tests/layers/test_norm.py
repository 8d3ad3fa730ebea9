"""Our layer normalisation against Keras's, forward and backward."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.layers import norm


def pair(dtype):
  layers = [cls(epsilon=1e-6, dtype=dtype) for cls in (norm.LayerNorm, keras.layers.LayerNormalization)]
  weights = np.random.default_rng(0).normal(size=[2, 12])
  for layer in layers:
    layer.build((None, None, 12))
    layer.set_weights(list(weights))
  return layers


def value_and_gradients(layer, x, up):
  with tf.GradientTape() as tape:
    tape.watch(x)
    y = layer(x)
  return [y, *tape.gradient(y, [x, *(v.value for v in layer.trainable_variables)], output_gradients=up)]


@pytest.mark.parametrize(("dtype", "near"), [("float32", 2e-6), ("mixed_bfloat16", 2e-2)])
def test_equals_keras(dtype, near):
  draw = lambda seed: tf.random.stateless_normal([15, 12], [seed, 0])
  ours, theirs = pair(dtype)
  x, up = (tf.cast(draw(seed), ours.compute_dtype) for seed in (1, 2))
  for a, b in zip(value_and_gradients(ours, 3 * x + 1, up), value_and_gradients(theirs, 3 * x + 1, up), strict=True):
    assert a.dtype == b.dtype
    np.testing.assert_allclose(tf.cast(a, tf.float32), tf.cast(b, tf.float32), rtol=near, atol=near * 10)


def test_gradient_equals_differences():
  x, gain, shift = (tf.random.stateless_normal(shape, [5, 0]) for shape in ([4, 6], [6], [6]))
  fn = lambda *args: norm.layer_norm(*args, 1e-3)
  for by_rule, by_difference in zip(*tf.test.compute_gradient(fn, [x, gain, shift], delta=1e-3), strict=True):
    np.testing.assert_allclose(by_rule, by_difference, rtol=1e-2, atol=2e-3)


def test_names_are_those_of_keras():
  assert [v.name for v in pair("float32")[0].variables] == ["gamma", "beta"]
