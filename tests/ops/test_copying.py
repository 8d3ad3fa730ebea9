"""Copies against loops over positions and tokens."""
import math

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import copying

SIZES = [(1, 1), (1, 5), (5, 1), (4, 7), (7, 4), (3, 3), (2, 9), (0, 0), (9, 2)]
SOURCES, TARGETS = (tf.constant(side) for side in zip(*SIZES, strict=True))


def test_uniform_is_round_half_up():
  found = tf.function(lambda: copying.uniform(SOURCES, TARGETS, 9), autograph=False)().numpy()
  for row, (sources, targets) in zip(found, SIZES, strict=True):
    expected = [math.floor(t * (sources - 1) / max(targets - 1, 1) + 0.5) for t in range(targets)]
    assert row[:targets].tolist() == expected
    assert row.min() >= 0 and row.max() <= max(sources - 1, 0)
    if targets > 1:
      assert (row[0], row[targets - 1]) == (0, sources - 1)


@pytest.mark.parametrize("tau", [0.3, 2.0])
def test_soft_is_a_bell_around_the_even_step(tau):
  found = tf.function(lambda: copying.soft(SOURCES, TARGETS, 11, 9, tau), autograph=False)().numpy()
  assert found.shape == (len(SIZES), 9, 11) and np.isfinite(found).all()
  for row, (sources, targets) in zip(found, SIZES, strict=True):
    assert not row[:, sources:].any()
    for t in range(1, targets + 1):
      bell = [math.exp(-(s - t * sources / targets) ** 2 / tau) for s in range(1, sources + 1)]
      np.testing.assert_allclose(row[t - 1, :sources], np.array(bell) / sum(bell), atol=1e-5)


def test_a_sharp_soft_copy_of_equal_lengths_is_the_source():
  np.testing.assert_allclose(copying.soft(tf.constant([4]), tf.constant([4]), 4, 4, 0.01)[0], np.eye(4), atol=1e-6)


@pytest.mark.parametrize("jit", [False, True])
def test_fertilities_copy_in_order(jit):
  fertility = np.random.default_rng(0).integers(0, 4, [30, 5]).astype(np.int32)
  fertility[0] = 0
  found = tf.function(lambda f: copying.by_fertility(f, 15), jit_compile=jit, autograph=False)(fertility).numpy()
  for row, counts in zip(found, fertility, strict=True):
    assert row[:counts.sum()].tolist() == np.repeat(np.arange(5), counts).tolist()
    assert row.min() >= 0 and row.max() <= 4
