"""The masks of two-stream attention, position by position."""
import numpy as np
import tensorflow as tf

from tf_nar.ops import streams

INSIDE = tf.sequence_mask([5, 3, 0], 5)
HIDDEN = tf.constant([[0, 1, 1, 0, 1], [1, 1, 1, 0, 0], [0] * 5]) == 1


def test_every_hidden_token_sees_each_position_once():
  seen = streams.completing(HIDDEN, INSIDE).numpy()
  assert seen.shape == (3, 15, 15)
  hidden, inside = HIDDEN.numpy(), INSIDE.numpy()
  for row in range(2):
    canvas, tokens, queries = np.split(seen[row], 3, 0)
    for block in (canvas, tokens, queries):
      assert not block[:, 10:].any()  # Nobody sees a query.
    for i in np.flatnonzero(hidden[row]):
      for k in np.flatnonzero(inside[row]):
        known = lambda upto, k=k, row=row: hidden[row, k] and k < upto
        assert canvas[i, k] and not canvas[i, 5 + k]
        assert (tokens[i, k], tokens[i, 5 + k]) == (not known(i + 1), known(i + 1))
        assert (queries[i, k], queries[i, 5 + k]) == (not known(i), known(i))
      outside = np.concatenate([~inside[row], ~inside[row], [True] * 5])
      for block in (canvas, tokens, queries):
        assert not block[i, outside].any()


def test_both_streams_see_the_tokens_before():
  seen = streams.continuing(3)[0].numpy()
  for row in range(6):
    assert np.flatnonzero(seen[row]).tolist() == list(range(row % 3 + 1))


def test_joined_sequences_do_not_see_each_other():
  one, other = tf.ones([2, 3, 3], tf.bool), streams.continuing(2)
  seen = streams.joined(one, other).numpy()
  assert seen.shape == (2, 7, 7) and not seen[:, :3, 3:].any() and not seen[:, 3:, :3].any()
  np.testing.assert_array_equal(seen[:, :3, :3], one)
  np.testing.assert_array_equal(seen[1, 3:, 3:], other[0])
