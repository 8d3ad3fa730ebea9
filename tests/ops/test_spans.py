"""The masks of JANUS: how many tokens they cover, and that they are spans."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import spans


def covered(length, rows=4_000, seed=(1, 2), share=0.7, more=3):
  inside = tf.sequence_mask([length] * rows, length + more)
  found = spans.spans(seed, inside, share).numpy()
  assert not found[:, length:].any()
  return found[:, :length]


# A replica of the description, sentence by sentence.
def one(length, draw, share=0.7):
  budget, found = int(np.ceil(share * length - 1e-3)), np.zeros(length, bool)
  for start in draw.permutation(length):
    size = 0
    while not 1 <= size <= spans.LONGEST:
      size = draw.poisson(spans.MEAN)
    size = min(size, budget)
    budget -= size
    if start + size > length:
      size = min(size, 1)
    found[start:start + size] = True
  return found


@pytest.mark.parametrize("length", [1, 2, 6, 10, 30])
def test_share_of_covered_tokens_is_that_of_the_description(length):
  draw = np.random.default_rng(0)
  expected = np.array([one(length, draw) for _ in range(4_000)])
  found = covered(length)
  np.testing.assert_allclose(found.mean(), expected.mean(), atol=0.01)
  np.testing.assert_allclose(found.mean(0), expected.mean(0), atol=0.05)
  np.testing.assert_allclose(found.sum(1).std(), expected.sum(1).std(), rtol=0.1, atol=0.02)
  pairs = lambda x: (x[:, 1:] & x[:, :-1]).mean() if length > 1 else 0  # More neighbours than without spans.
  np.testing.assert_allclose(pairs(found), pairs(expected), atol=0.015)


def test_never_more_than_the_budget_and_never_nothing():
  for length in (1, 3, 10, 20):
    count = covered(length).sum(1)
    assert count.min() >= 1 and count.max() <= np.ceil(0.7 * length - 1e-3)


def test_a_row_depends_on_its_length_and_seed_alone():
  assert (covered(8) == covered(8)).all() and (covered(8) != covered(8, seed=(1, 3))).any()
  assert not spans.spans((1, 2), tf.zeros([2, 4], tf.bool), 0.7).numpy().any()
