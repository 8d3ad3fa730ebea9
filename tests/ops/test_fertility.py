import itertools

import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import fertility

SRC = tf.constant([[5, 6, 1, 0], [7, 1, 0, 0], [5, 6, 7, 1], [0, 0, 0, 0]])
CLASSES = 4


def log_prob(seed=0):
  logits = np.random.default_rng(seed).normal(size=[4, 4, CLASSES], scale=2).astype(np.float32)
  return fertility.log_probs(tf.constant(logits), SRC)


def test_padding_surely_has_none():
  found = np.exp(log_prob())
  np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
  padding = SRC.numpy() == types.PAD
  assert (found[padding] == [1, 0, 0, 0]).all() and (found[~padding] > 0).all()


def every(row, of):
  """All fertilities of a row, and log p of each."""
  tokens = int(np.count_nonzero(SRC[row]))
  some = [(*f, *[0] * (4 - tokens)) for f in itertools.product(range(CLASSES), repeat=tokens)]
  return {f: sum(of[row, s, n] for s, n in enumerate(f)) for f in some}


@pytest.mark.parametrize("jit", [False, True])
def test_the_likeliest_of_a_sum_is_that_of_all_fertilities(jit):
  table = log_prob().numpy()
  search = tf.function(lambda total: fertility.likeliest(log_prob(), total, 13), jit_compile=jit, autograph=False)
  for total in range(14):
    found, value = (x.numpy() for x in search(tf.fill([4], total)))
    for row in range(4):
      ways = {f: p for f, p in every(row, table).items() if sum(f) == total}
      if ways:
        best = max(ways, key=ways.get)
        assert found[row].tolist() == list(best)
        np.testing.assert_allclose(value[row], ways[best], rtol=1e-5)
      else:
        assert value[row] == -np.inf and (found[row] >= 0).all()


def test_log_p_of_fertilities():
  table, given = log_prob(), np.array([[[1, 2, 3, 0], [0, 0, 1, 0]]] * 4, np.int32)
  given[1, :, 2:] = 0
  given[3] = 0
  found = fertility.of(table, tf.constant(given)).numpy()
  for row, some in enumerate(given):
    np.testing.assert_allclose(found[row], [every(row, table.numpy())[tuple(f)] for f in some], rtol=1e-5)


def test_candidates_are_the_likeliest_and_draws_of_the_distribution():
  table = log_prob()
  found = fertility.candidates(table, 4_001, [1, 2], 4).numpy()
  np.testing.assert_array_equal(found[:, 0], np.argmax(table, -1))
  assert not found.transpose(0, 2, 1)[SRC.numpy() == types.PAD].any()
  shares = (found[:, 1:, :, None] == np.arange(CLASSES)).mean(1)
  np.testing.assert_allclose(shares, np.exp(table), atol=0.03)
  # Neighbours are drawn independently: all pairs of fertilities of a row's first two tokens.
  both = np.mean((found[2, 1:, 0] == found[2, 0, 0]) & (found[2, 1:, 1] == found[2, 0, 1]))
  np.testing.assert_allclose(both, np.exp(table[2, :2]).max(-1).prod(), atol=0.03)


def test_draws_are_of_the_seed_and_of_nothing_else():
  table = log_prob()
  draws = lambda table, seed=(1, 2): fertility.candidates(table, 9, list(seed), 8).numpy()
  np.testing.assert_array_equal(draws(table), draws(table))
  assert (draws(table) != draws(table, (1, 3))).any()
  np.testing.assert_array_equal(draws(table[1:2, :2])[0], draws(table)[1, :, :2])  # Alone, with less padding.
  assert fertility.candidates(table, 1, [1, 2], 8).shape == (4, 1, 4)


def test_a_canvas_is_neither_empty_nor_too_long():
  raw = tf.constant([[[0, 0, 0, 0], [3, 3, 3, 0], [3, 1, 0, 0], [9, 0, 0, 0], [1, 1, 9, 0], [0, 2, 1, 0]]])
  found = fertility.bounded(raw, SRC[:1], 5).numpy()[0]
  assert found.tolist() == [[0, 0, 1, 0], [3, 1, 1, 0], [3, 1, 1, 0], [4, 0, 1, 0], [1, 1, 3, 0], [0, 2, 1, 0]]
  assert not fertility.bounded(tf.zeros([1, 2, 4], tf.int32), SRC[3:], 5).numpy().any()
