"""The best tokens, searched by runs, against sorting the whole vocabulary."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import tokens as tokens_lib


def expected(logits, count, forbid):
  """Tokens and log p in order; a stable sort, so that ties go to the lower id."""
  log_prob = tf.nn.log_softmax(logits).numpy()
  log_prob[..., list(forbid)] = -np.inf
  token = np.argsort(-log_prob, -1, kind="stable")[..., :count]
  return token, np.take_along_axis(log_prob, token, -1)


# Counts above and below the number of runs; V a multiple of a run, and not.
@pytest.mark.parametrize("vocab", [2, 7, 128, 1280, 1300, 2000])
@pytest.mark.parametrize("count, forbid", [(1, ()), (3, (0, 3)), (3, ())])
def test_the_best_are_found(vocab, count, forbid):
  forbid = [token for token in forbid if token < vocab - 1]
  logits = np.random.default_rng(vocab).normal(size=[2, 5, vocab]).astype(np.float32)
  logits[0, 0, [-1, -2]] = 9, 8  # The last ones are.
  logits[0, 1, 0] = 9
  token, log_prob = tokens_lib.best(tf.constant(logits), count, forbid)
  wanted, wanted_log_prob = expected(logits, count, forbid)
  np.testing.assert_array_equal(token, wanted)
  np.testing.assert_allclose(log_prob, wanted_log_prob, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ends", [(0, 1, 7), (0, 5, 6, 300), (0, 640, 1300)])
def test_the_best_of_shards_are_found(ends):
  logits = np.random.default_rng(0).integers(-3, 4, [2, 5, ends[-1]]).astype(np.float32)  # With ties.
  logits[0, 0, 0] = 9
  found = []
  for first, end in itertools.pairwise(ends):
    token, *rest = tokens_lib.best_and_log_sum(tf.constant(logits[..., first:end]), 3, [0] if first == 0 else [])
    found.append((first + token, *rest))
  token, log_prob = tokens_lib.best_of_shards(found, 3)
  wanted, wanted_log_prob = expected(logits, 3, [0])
  np.testing.assert_array_equal(token, wanted)
  np.testing.assert_allclose(log_prob, wanted_log_prob, rtol=1e-5, atol=1e-6)


def test_of_equals_the_first_is_found():
  logits = np.zeros([1, 1300], np.float32)
  logits[0, [1299, 1281, 900, 5]], logits[0, 901] = 2, 3
  assert tokens_lib.best(tf.constant(logits), 4)[0].numpy().tolist() == [[901, 5, 900, 1281]]
  many = tf.cast(np.random.default_rng(0).integers(0, 3, [6, 1300]), tf.bfloat16)
  np.testing.assert_array_equal(tokens_lib.best(many, 3)[0], expected(tf.cast(many, tf.float32), 3, ())[0])
