"""Selection of positions: the lowest against sorting, random ones against their probabilities."""
import collections

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import choice


def rows(*lengths, width):
  return tf.sequence_mask(lengths, width)


@pytest.mark.parametrize("jit", [False, True])
def test_the_lowest_are_those_of_sorting(jit):
  draw = np.random.default_rng(0)
  values = draw.integers(0, 4, [60, 7]).astype(np.float32)  # With ties.
  among, counts = draw.random([60, 7]) < 0.6, draw.integers(0, 9, 60).astype(np.int32)
  found = tf.function(choice.lowest, jit_compile=jit, autograph=False)(values, counts, among).numpy()
  for row in range(60):
    order = sorted(np.flatnonzero(among[row]), key=lambda i: values[row, i])  # Stable: ties go to the first.
    assert np.flatnonzero(found[row]).tolist() == sorted(order[:counts[row]])


def test_what_is_not_among_them_may_have_any_value():
  values = tf.constant([[np.nan, -1.0, -np.inf, -2.0]])
  found = choice.lowest(values, tf.constant([1]), tf.constant([[False, True, False, True]]))
  assert found.numpy().tolist() == [[False, False, False, True]]


def test_every_set_of_a_size_is_as_likely():
  among = tf.repeat(tf.constant([[True, False, True, True, True]]), 6_000, 0)
  found = choice.uniform([1, 2], tf.fill([6_000], 2), among).numpy()
  sets = collections.Counter(map(tuple, found.tolist()))
  assert len(sets) == 6 and not found[:, 1].any()  # 2 of 4.
  np.testing.assert_allclose(list(sets.values()), 1_000, atol=6 * np.sqrt(1_000 * 5 / 6))


@pytest.mark.parametrize("length", [1, 2, 7])
def test_any_number_is_uniform_from_one_to_all(length):
  found = choice.any_number([3, length], rows(*[length] * 6_000, width=8)).numpy()
  assert not found[:, length:].any()
  sizes = np.bincount(found.sum(1), minlength=length + 1)
  assert sizes[0] == 0 and len(sizes) == length + 1
  np.testing.assert_allclose(sizes[1:], 6_000 / length, atol=6 * np.sqrt(6_000 / length))
  np.testing.assert_allclose(found[:, :length].mean(0), (length + 1) / 2 / length, atol=0.04)  # No bias.


def test_rows_differ_and_a_blank_one_has_none():
  found = choice.any_number([5, 6], rows(0, 20, 20, 1, width=20)).numpy()
  assert not found[0].any() and found[3].sum() == 1
  assert (found[1] != found[2]).any()
  np.testing.assert_array_equal(found, choice.any_number([5, 6], rows(0, 20, 20, 1, width=20)))
