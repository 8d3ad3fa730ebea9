"""Corruptions against changes made one by one; their number, their kinds, and what they leave alone."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import corruption

NOTHING, REPEAT, REPLACE, SWAP = corruption.KINDS
VOCAB = 105


def one_by_one(tokens, kinds, others):
  tokens = list(tokens)
  for at, kind in enumerate(kinds):
    if kind == REPEAT:
      tokens[at + 1] = tokens[at]
    elif kind == REPLACE:
      tokens[at] = others[at]
    elif kind == SWAP:
      tokens[at], tokens[at + 1] = tokens[at + 1], tokens[at]
  return tokens


@pytest.mark.parametrize("kinds, found", [
  ([NOTHING] * 4, [5, 6, 7, 1]),
  ([REPEAT, NOTHING, NOTHING, NOTHING], [5, 5, 7, 1]),
  ([NOTHING, REPLACE, NOTHING, NOTHING], [5, 9, 7, 1]),
  ([NOTHING, NOTHING, SWAP, NOTHING], [5, 6, 1, 7]),
  ([SWAP, SWAP, NOTHING, NOTHING], [6, 7, 5, 1]),  # A token moves on.
  ([REPEAT, REPEAT, REPEAT, NOTHING], [5, 5, 5, 5]),
])
def test_known_changes(kinds, found):
  assert corruption.changed(*map(tf.constant, ([[5, 6, 7, 1]], [kinds], [[9] * 4]))).numpy().tolist() == [found]


def test_equals_changes_made_one_by_one():
  draw = np.random.default_rng(0)
  tokens, others = draw.integers(5, 100, [2, 300, 9])
  kinds = draw.integers(0, 4, [300, 9]) * (np.arange(9) < 8)
  found = tf.function(corruption.changed, autograph=False)(*(tf.constant(x, tf.int32) for x in (tokens, kinds, others)))
  assert found.numpy().tolist() == [one_by_one(*rows) for rows in zip(tokens, kinds, others, strict=True)]


def targets(*lengths):
  """Sentences of different tokens, with EOS: int32 [B, T]."""
  width = max(lengths)
  rows = [[*range(5, 4 + n), types.EOS][:n] + [types.PAD] * (width - n) for n in lengths]
  return tf.constant(rows, tf.int32)


def test_as_many_positions_as_the_rate_says(monkeypatch):
  counts = {}
  monkeypatch.setattr(corruption, "changed", lambda tokens, kinds, others: counts.update(kinds=kinds, others=others))
  corruption.corrupted([1, 2], targets(20, 8, 2, 1), 0.25, VOCAB)
  kinds = counts["kinds"].numpy()
  assert np.count_nonzero(kinds, 1).tolist() == [5, 2, 1, 0]  # floor(rate T), at least 1; none in a sentence of EOS.
  assert not kinds[0, 19] and not kinds[1, 7:].any() and not kinds[2, 1:].any()
  assert counts["others"].numpy().min() >= len(types.SPECIALS)


def test_all_kinds_are_equally_likely(monkeypatch):
  kinds = []
  monkeypatch.setattr(corruption, "changed", lambda tokens, kind, others: kinds.append(kind.numpy()))
  corruption.corrupted([0, 0], targets(*[61] * 100), 1.0, VOCAB)
  assert np.bincount(kinds[0].ravel())[1:] / 6_000 == pytest.approx([1 / 3] * 3, abs=0.03)


def test_depends_on_the_seed_alone_and_keeps_the_length():
  tokens = targets(12, 5, 1)
  one, same, other = (corruption.corrupted(seed, tokens, 0.5, VOCAB).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
  np.testing.assert_array_equal(one, same)
  assert (one != other).any()
  np.testing.assert_array_equal(one == types.PAD, tokens == types.PAD)
  assert one[2, 0] == types.EOS


def test_replaced_tokens_are_as_many_as_asked():
  tokens = tf.constant([[7] * 400 + [types.EOS, types.PAD]] * 5)
  found = corruption.replaced(tf.constant([1, 2]), tokens, 0.2, VOCAB).numpy()
  assert (found[:, 400:] == [types.EOS, types.PAD]).all() and found[:, :400].min() >= len(types.SPECIALS)
  assert found.max() < VOCAB
  assert 0.15 < (found[:, :400] != 7).mean() < 0.22  # One in fifteen is replaced by itself.
