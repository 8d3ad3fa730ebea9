"""The likeliest words, found by runs, against sorting all of them."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import words


def expected(logits, count, forbid):
  """Words and log p in order; a stable sort, so that of equals the first stands before."""
  log_prob = tf.nn.log_softmax(logits).numpy()
  log_prob[..., list(forbid)] = -np.inf
  word = np.argsort(-log_prob, -1, kind="stable")[..., :count]
  return word, np.take_along_axis(log_prob, word, -1)


# More and fewer words than there are runs for; a whole number of runs, and some left over.
@pytest.mark.parametrize("vocab", [2, 7, 128, 1280, 1300, 2000])
@pytest.mark.parametrize("count, forbid", [(1, ()), (3, (0, 3)), (3, ())])
def test_the_best_are_found(vocab, count, forbid):
  forbid = [word for word in forbid if word < vocab - 1]
  logits = np.random.default_rng(vocab).normal(size=[2, 5, vocab]).astype(np.float32)
  logits[0, 0, [-1, -2]] = 9, 8  # The last ones are.
  logits[0, 1, 0] = 9
  word, log_prob = words.best(tf.constant(logits), count, forbid)
  wanted, wanted_log_prob = expected(logits, count, forbid)
  np.testing.assert_array_equal(word, wanted)
  np.testing.assert_allclose(log_prob, wanted_log_prob, rtol=1e-5, atol=1e-6)


def test_of_equals_the_first_is_found():
  logits = np.zeros([1, 1300], np.float32)
  logits[0, [1299, 1281, 900, 5]], logits[0, 901] = 2, 3
  assert words.best(tf.constant(logits), 4)[0].numpy().tolist() == [[901, 5, 900, 1281]]
  many = tf.cast(np.random.default_rng(0).integers(0, 3, [6, 1300]), tf.bfloat16)
  np.testing.assert_array_equal(words.best(many, 3)[0], expected(tf.cast(many, tf.float32), 3, ())[0])
