"""Optimal de-duplicated decoding against brute force over the whole vocabulary."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.decode import searched
from tf_nar.ops import odd
from tf_nar.ops import tokens as tokens_lib


def problems(count, positions, vocab, seed):
  """Logits that prefer the same token at every position, so that argmax has repeats."""
  random = np.random.default_rng(seed)
  favourite = 2 * random.normal(size=[count, 1, vocab])
  return tf.constant(favourite + random.normal(size=[count, positions, vocab]), tf.float32)


def log_softmax(logits):
  return tf.nn.log_softmax(logits).numpy()


def repeats(tokens):
  return np.sum(tokens[..., 1:] == tokens[..., :-1], -1)


def best(log_prob, penalty):
  """The highest objective over all V**T sequences, for each problem [B, T, V]."""
  _, positions, vocab = log_prob.shape
  every = np.array(list(itertools.product(range(vocab), repeat=positions)))  # [V**T, T]
  total = sum(log_prob[:, position, every[:, position]] for position in range(positions))  # [B, V**T]
  return np.max(total - penalty * repeats(every), -1)


def assert_near(ours, theirs):
  np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def said(log_prob, tokens):
  return np.take_along_axis(log_prob, tokens[..., None], -1)[..., 0].sum(-1)


@pytest.mark.parametrize("positions, vocab", [(5, 5), (4, 7), (2, 6), (1, 4), (6, 2)])
def test_nothing_without_repeats_is_better(positions, vocab):
  logits = problems(400, positions, vocab, seed=positions)
  tokens, score = tf.function(searched.odd, autograph=False)(logits, tf.fill([400], positions))
  log_prob = log_softmax(logits)
  assert not repeats(tokens.numpy()).any()
  assert_near(score, best(log_prob, 1e9))
  assert_near(score, said(log_prob, tokens.numpy()))
  _, free = searched.argmax(logits, tf.fill([400], positions))
  assert np.all(score <= free + 1e-5)
  assert positions == 1 or np.any(score < free - 0.1)  # The constraint has an effect.


@pytest.mark.parametrize("penalty", [0.0, 0.3, 1.5])
def test_a_small_penalty_only_discourages(penalty):
  logits = problems(400, 5, 5, seed=9)
  search = tf.function(lambda x, n: searched.odd(x, n, penalty=penalty), autograph=False)
  tokens, score = search(logits, tf.fill([400], 5))
  doubled, log_prob = repeats(tokens.numpy()), log_softmax(logits)
  assert doubled.any()
  assert_near(score, said(log_prob, tokens.numpy()))  # Without penalties.
  assert_near(score - penalty * doubled, best(log_prob, penalty))


def test_no_penalty_is_argmax():
  logits, lengths = problems(20, 6, 5, seed=1), tf.range(20) % 7
  for ours, theirs in zip(searched.odd(logits, lengths, penalty=0.0), searched.argmax(logits, lengths), strict=True):
    assert_near(ours, theirs)


def test_the_third_word_is_needed():
  # Each neighbour strongly prefers one of the two best tokens of the middle.
  p = np.array([[0.90, 0.04, 0.03, 0.03], [0.50, 0.40, 0.09, 0.01], [0.04, 0.90, 0.03, 0.03]])
  tokens, score = searched.odd(tf.math.log(p)[None], tf.constant([3]))
  assert tokens.numpy().tolist() == [[0, 2, 1]]
  assert_near(score, [np.log(0.9 * 0.09 * 0.9)])


def test_only_places_within_the_length_count():
  logits, lengths = problems(6, 7, 6, seed=3), [7, 4, 0, 1, 5, 2]
  tokens, score = searched.odd(logits, tf.constant(lengths))
  for row, length in enumerate(lengths):
    assert not tokens[row, length:].numpy().any()
    if length:
      alone, alone_score = searched.odd(logits[row:row + 1, :length], tf.constant([length]))
      np.testing.assert_array_equal(alone[0], tokens[row, :length])
      assert_near(alone_score[0], score[row])
  assert score[2] == 0


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(jit):
  logits, lengths = problems(8, 9, 12, seed=4), tf.constant([9, 3, 0, 1, 8, 9, 5, 2])
  compiled = tf.function(searched.odd, jit_compile=jit, autograph=False)(logits, lengths)
  for ours, theirs in zip(compiled, searched.odd(logits, lengths), strict=True):
    assert_near(ours, theirs)


def test_log_probabilities_are_logits():
  logits, lengths = problems(8, 5, 6, seed=5), tf.fill([8], 5)
  for ours, theirs in zip(searched.odd(logits + 3.0, lengths), searched.odd(log_softmax(logits), lengths), strict=True):
    assert_near(ours, theirs)


def test_forbidden_words_are_not_said_and_change_no_probability():
  logits, lengths = problems(50, 5, 7, seed=6), tf.fill([50], 5)
  tokens, score = searched.odd(logits, lengths, forbid=(0, 3))
  assert set(np.unique(tokens)) == {1, 2, 4, 5, 6}
  allowed = log_softmax(logits)[..., [1, 2, 4, 5, 6]]
  assert_near(score, best(allowed, 1e9))


def test_a_rule_that_nothing_can_keep_is_broken_as_seldom_as_possible():
  # One token is allowed, so that it is repeated rather than a forbidden one predicted.
  tokens, score = searched.odd(problems(3, 4, 3, seed=7), tf.fill([3], 4), forbid=(0, 1))
  assert np.all(tokens == 2) and np.all(np.isfinite(score))


def test_refuses_to_reward_repeats():
  with pytest.raises(ValueError, match=r"odd needs penalty >= 0, got -1"):
    searched.odd(problems(1, 2, 3, seed=0), tf.constant([2]), penalty=-1)


def exempt(logits, lengths, free, **options):
  """`odd.among` where the tokens of `free`, bool [V], may be repeated."""
  token, log_prob = tokens_lib.best(logits, odd.KEPT)
  return odd.among(token, log_prob, lengths, free=tf.gather(free, token), **options)


@pytest.mark.parametrize("positions, vocab", [(5, 5), (4, 7), (6, 3)])
@pytest.mark.parametrize("penalty", [1e9, 0.7])
def test_nothing_is_better_where_some_words_may_be_repeated(positions, vocab, penalty):
  logits, free = problems(400, positions, vocab, seed=positions), np.arange(vocab) % 2 == 1
  tokens, score = tf.function(exempt, autograph=False)(logits, tf.fill([400], positions), free, penalty=penalty)
  log_prob, tokens = log_softmax(logits), tokens.numpy()
  every = np.array(list(itertools.product(range(vocab), repeat=positions)))  # [V**T, T]
  total = sum(log_prob[:, position, every[:, position]] for position in range(positions))
  dear = lambda rows: np.sum((rows[..., 1:] == rows[..., :-1]) & ~free[rows[..., 1:]], -1)
  assert_near(score - penalty * dear(tokens), np.max(total - penalty * dear(every), -1))
  assert_near(score, said(log_prob, tokens))
  assert repeats(tokens).any() and (penalty < 1 or not dear(tokens).any())


def test_words_that_may_all_be_repeated_are_the_best_of_each_place():
  logits, lengths = problems(20, 6, 5, seed=8), tf.range(20) % 7
  for ours, theirs in zip(exempt(logits, lengths, np.ones(5, bool)), searched.argmax(logits, lengths), strict=True):
    assert_near(ours, theirs)


def test_only_the_exempt_are_repeated():
  p = np.tile([[0.6, 0.3, 0.06, 0.04]], [4, 1])  # Token 0 is best at every position.
  logits, lengths = tf.math.log(p)[None], tf.constant([4])
  assert exempt(logits, lengths, np.array([True, False, False, False]))[0].numpy().tolist() == [[0, 0, 0, 0]]
  once = exempt(logits, lengths, np.array([False, True, True, True]))[0].numpy()[0]
  assert not np.any((once[1:] == 0) & (once[:-1] == 0)) and (once == 0).sum() == 2
