import numpy as np
import tensorflow as tf

from tf_nar.ops import masking

TOKENS = tf.constant([[7, 1, 0, 0], [5, 6, 7, 1], [0, 0, 0, 0], [1, 0, 0, 0]])


def test_valid_are_words_and_eos():
  assert masking.valid(TOKENS).numpy().sum(1).tolist() == [2, 4, 0, 1]
  assert masking.valid(TOKENS)[0].numpy().tolist() == [True, True, False, False]


def test_lengths_of_any_rank():
  assert masking.lengths(TOKENS).numpy().tolist() == [2, 4, 0, 1]
  assert masking.lengths(TOKENS[None]).numpy().tolist() == [[2, 4, 0, 1]]
  assert masking.lengths(TOKENS).dtype == tf.int32


def test_causal_sees_itself_and_before():
  np.testing.assert_array_equal(masking.causal(4), np.tri(4, dtype=bool)[None])


def test_shift_right_begins_with_zeros():
  x = tf.reshape(tf.range(1.0, 13.0), [2, 3, 2])
  found = masking.shift_right(x)
  np.testing.assert_array_equal(found[:, 0], np.zeros([2, 2]))
  np.testing.assert_array_equal(found[:, 1:], x[:, :-1])
