"""Halving and doubling: lengths, padding, what a code can see, and the costs."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.layers import compression
from tf_nar.layers import transformer

NET = transformer.Config(width=8, ffn=8, heads=2)
LENGTHS = tf.constant([7, 3, 0])
X = tf.constant(np.random.default_rng(0).normal(size=(3, 7, 8)), tf.float32)


@pytest.fixture(scope="module", params=[0, 1, 2])
def both(request):
  keras.utils.set_random_seed(0)
  times = request.param
  return times, compression.Compressor(NET, times, name="down"), compression.Upsampler(NET, times, name="up")


def test_lengths(both):
  times, down, up = both
  codes = -(-7 // 2**times)
  assert compression.halved(LENGTHS, times).numpy().tolist() == [codes, -(-3 // 2**times), 0]
  compressed = down(X, LENGTHS)
  assert compressed.shape == (3, codes, 8) and up(compressed, LENGTHS).shape == (3, codes * 2**times, 8)


def test_padding_changes_nothing(both):
  times, down, up = both
  real = tf.sequence_mask(LENGTHS, 7)[..., None]
  other = tf.pad(tf.where(real, X, 9.0), [[0, 0], [0, 6], [0, 0]], constant_values=5.0)
  one, wide = down(X, LENGTHS), down(other, LENGTHS)
  for row, length in enumerate(LENGTHS.numpy()):
    codes = -(-length // 2**times)
    np.testing.assert_allclose(one[row, :codes], wide[row, :codes], rtol=1e-4, atol=1e-5)
  lost = tf.where(tf.sequence_mask(compression.halved(LENGTHS, times), one.shape[1])[..., None], one, 3.0)
  up_one, up_wide = up(one, LENGTHS), up(tf.pad(lost, [[0, 0], [0, 2], [0, 0]]), LENGTHS)
  for row, length in enumerate(LENGTHS.numpy()):
    np.testing.assert_allclose(up_one[row, :length], up_wide[row, :length], rtol=1e-4, atol=1e-5)


def test_a_code_sees_its_positions_and_some_neighbours():
  keras.utils.set_random_seed(0)
  down, x = compression.Compressor(NET, 2, name="down"), tf.random.normal([1, 40, 8])
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = tf.reduce_sum(down(x, tf.constant([40]))[0, 5] * tf.range(8.0))
  seen = np.flatnonzero(np.abs(tape.gradient(value, x)[0].numpy()).max(-1))
  # Three positions on each side of its own four, by the first level; three pairs on each side, by the second.
  assert (seen.min(), seen.max()) == (20 - 6 - 3, 23 + 6 + 3)


def test_operations_by_hand():
  # One halving of two positions to one, in width 2: three convolutions at two positions, one map of 4 to 2; back: three
  # convolutions at one position, one map of 2 to 4.
  net = transformer.Config(width=2, ffn=2, heads=1)
  assert compression.operations(net, 1, 1) == 3 * 3 * 4 * 2 + 4 * 2 + 3 * 3 * 4 + 2 * 4
