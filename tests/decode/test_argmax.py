"""Argmax decoding, and the end of a sentence."""
import numpy as np
import pytest
import tensorflow as tf

from tests.decode import searched
from tf_nar import types
from tf_nar.decode import argmax

LOGITS = tf.random.stateless_normal([4, 6, 9], [1, 2])
LENGTHS = tf.constant([6, 3, 0, 1])


def test_every_place_says_its_likeliest_word():
  tokens, score = searched.argmax(LOGITS, LENGTHS)
  log_prob = tf.nn.log_softmax(LOGITS).numpy()
  for row, length in enumerate(LENGTHS.numpy()):
    np.testing.assert_array_equal(tokens[row, :length], log_prob[row, :length].argmax(-1))
    assert not tokens[row, length:].numpy().any()
    np.testing.assert_allclose(score[row], log_prob[row, :length].max(-1).sum(), rtol=1e-5)


def test_log_probabilities_are_logits():
  for ours, theirs in zip(
      searched.argmax(LOGITS + 3.0, LENGTHS), searched.argmax(tf.nn.log_softmax(LOGITS), LENGTHS), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(jit):
  run = lambda logits, lengths: searched.argmax(logits, lengths)
  compiled = tf.function(run, jit_compile=jit, autograph=False)(LOGITS, LENGTHS)
  for ours, theirs in zip(compiled, run(LOGITS, LENGTHS), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_forbidden_words_are_not_said_but_keep_their_share():
  tokens, score = searched.argmax(LOGITS, LENGTHS, forbid=(0, 3))
  log_prob = tf.nn.log_softmax(LOGITS).numpy()
  log_prob[..., [0, 3]] = -np.inf
  np.testing.assert_array_equal(tokens[0], log_prob[0].argmax(-1))
  np.testing.assert_allclose(score[0], log_prob[0].max(-1).sum(), rtol=1e-5)


def test_best_has_the_log_p_of_each_place():
  token, log_prob = searched.best(LOGITS, forbid=(0, 3))
  assert not set(np.unique(token)) & {0, 3}
  said = np.take_along_axis(tf.nn.log_softmax(LOGITS).numpy(), token.numpy()[..., None], -1)[..., 0]
  np.testing.assert_allclose(log_prob, said, rtol=1e-5)


@pytest.mark.parametrize("said, kept", [
    ([7, 8, types.EOS, 9, types.EOS, 6], [7, 8, types.EOS, 0, 0, 0, 0]),
    ([types.EOS, 8, 9, 0, 0, 0], [types.EOS, 0, 0, 0, 0, 0, 0]),
    ([7, 8, 9, 0, 0, 0], [7, 8, 9, types.EOS, 0, 0, 0]),  # No EOS within the length.
    ([7, 8, 9, 9, 8, 7], [7, 8, 9, 9, 8, 7, types.EOS]),
    ([0, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0]),
])
def test_a_sentence_ends_at_its_first_end_or_gets_one(said, kept):
  assert argmax.finish(tf.constant(said)).numpy().tolist() == kept
  assert argmax.finish(tf.constant([[said, said]])).numpy().tolist() == [[kept, kept]]
