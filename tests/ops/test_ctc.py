"""CTC against an enumeration of all paths."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.ops import alignments
from tf_nar import types
from tf_nar.ops import ctc

POSITIONS, LONGEST = 4, 5  # One token more than positions: some sentences have probability 0.
EVERY = [tokens for n in range(LONGEST + 1) for tokens in itertools.product(alignments.WORDS, repeat=n)]
FAR = -1e8  # Upper bound of log p for a sentence of probability 0.


def padded(sentences, width=LONGEST):
  return tf.constant([[*tokens] + [types.PAD] * (width - len(tokens)) for tokens in sentences], tf.int32)


def counts(sentences):
  return tf.constant([len(tokens) for tokens in sentences])


def lattice(log_prob, sentences, positions=None, width=LONGEST):
  """One sentence of a problem [P, V] for each of `sentences`."""
  log_prob = tf.cast(log_prob, tf.float32)
  rows = len(sentences)
  tokens = padded(sentences, width)
  of_words = tf.transpose(tf.gather(log_prob, tokens, axis=1), [1, 0, 2])  # [B, P, T]
  of_blank = tf.repeat(log_prob[None, :, ctc.BLANK], rows, 0)
  positions = tf.fill([rows], log_prob.shape[0]) if positions is None else positions
  return ctc.lattice(of_words, of_blank, tokens, counts(sentences), positions)


def problem(positions=POSITIONS, seed=0):
  return alignments.log_softmax(alignments.logits(1, positions, seed))[0]


def test_sums_over_all_alignments():
  log_prob = problem()
  found = ctc.log_prob(lattice(log_prob, EVERY)).numpy()
  expected = alignments.sentences(log_prob)
  for tokens, value in zip(EVERY, found, strict=True):
    if tokens in expected:
      np.testing.assert_allclose(value, expected[tokens], rtol=1e-5)
    else:
      assert value < FAR
  sayable = sum(np.exp(total) for _, total in alignments.paths(log_prob))
  np.testing.assert_allclose(np.exp(found).sum(), sayable, rtol=1e-5)


@pytest.mark.parametrize("positions", [1, 2, 3])
def test_what_is_possible(positions):
  said = alignments.sentences(problem(positions))
  possible = ctc.possible(padded(EVERY), counts(EVERY), tf.fill([len(EVERY)], positions))
  assert possible.numpy().tolist() == [tokens in said for tokens in EVERY]


def test_the_best_path_is_the_best_of_all():
  log_prob, best = problem(seed=1), alignments.best_paths(problem(seed=1))
  said = [tokens for tokens in EVERY if tokens in best]
  found = ctc.best_path(lattice(log_prob, said), padded(said)).numpy()
  assert [tuple(path) for path in found.tolist()] == [best[tokens][1] for tokens in said]


def test_padding_and_batch_mates_change_nothing():
  log_prob, sentences, positions = problem(6, seed=2), [(2, 5, 5), (), (6,), (5, 2, 6)], tf.constant([6, 2, 3, 4])
  together = lattice(log_prob, sentences, positions)
  total, path = ctc.log_prob(together), ctc.best_path(together, padded(sentences)).numpy()
  wide = lattice(np.pad(log_prob, [[0, 3], [0, 0]], constant_values=-0.1), sentences, positions, width=8)
  np.testing.assert_allclose(ctc.log_prob(wide), total, rtol=1e-6)
  np.testing.assert_array_equal(ctc.best_path(wide, padded(sentences, 8))[:, :6], path)
  for row, (tokens, count) in enumerate(zip(sentences, positions.numpy(), strict=True)):
    alone = lattice(log_prob[:count], [tokens], width=max(len(tokens), 1))
    np.testing.assert_allclose(ctc.log_prob(alone), total[row:row + 1], rtol=1e-6)
    np.testing.assert_allclose(total[row], alignments.sentences(log_prob[:count])[tokens], rtol=1e-5)
    assert path[row, count:].tolist() == [types.PAD] * (6 - count)
    assert alignments.collapsed(path[row, :count].tolist()) == tokens


def gradient(paths, run=ctc.log_prob):
  with tf.GradientTape() as tape:
    tape.watch(paths.emissions)
    total = run(paths)
  return total, tape.gradient(total, paths.emissions)


def test_gradient_is_the_slope():
  sentences = [(2, 5), (5, 5), (), (6, 2, 6)]
  paths = lattice(problem(seed=3), sentences, tf.constant([4, 3, 2, 4]))
  slope = gradient(paths)[1].numpy()
  said, half = paths.emissions.numpy().astype(np.float64), 1e-2
  for at in itertools.islice(np.ndindex(*said.shape), 0, None, 3):  # Every third number.
    sides = []
    for step in (half, -half):
      moved = said.copy()
      moved[at] += step
      sides.append(ctc.log_prob(paths._replace(emissions=tf.constant(moved, tf.float32)))[at[0]])
    np.testing.assert_allclose(slope[at], (sides[0] - sides[1]) / (2 * half), rtol=1e-2, atol=2e-3)


def test_gradient_is_a_posterior():
  paths = lattice(problem(seed=4), EVERY, tf.fill([len(EVERY)], POSITIONS - 1))
  total, slope = (x.numpy() for x in gradient(paths))
  said = total > FAR
  np.testing.assert_allclose(slope[said][:, :POSITIONS - 1].sum(-1), 1.0, rtol=1e-5)
  assert not slope[~said].any() and not slope[:, POSITIONS - 1:].any() and (slope >= 0).all()


def test_no_places_say_nothing():
  paths = lattice(problem(2), [(), (5,)], tf.constant([0, 0]))
  total, slope = gradient(paths)
  assert float(total[0]) == 0 and float(total[1]) < FAR and not np.any(slope)
  assert not np.any(ctc.best_path(paths, padded([(), (5,)])))


def test_a_long_canvas_stays_exact():
  log_prob = tf.fill([200, alignments.VOCAB], -np.log(2.0))
  total = float(ctc.log_prob(lattice(log_prob, [(5,)]))[0])  # One run of the token, of which there are 200 * 201 / 2.
  np.testing.assert_allclose(total, np.log(200 * 201 / 2) - 200 * np.log(2), rtol=1e-5)


@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(jit):
  sentences, positions = [(2, 5, 5), (), (6,), (6, 6, 6)], tf.constant([4, 2, 3, 4])

  def run(log_prob):
    paths = lattice(log_prob, sentences, positions)
    return *gradient(paths), ctc.best_path(paths, padded(sentences))

  log_prob = tf.constant(problem(seed=5), tf.float32)
  for ours, theirs in zip(tf.function(run, jit_compile=jit, autograph=False)(log_prob), run(log_prob), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


def test_repeats_are_merged_before_blanks_are_dropped():
  b = ctc.BLANK
  path = tf.constant([[5, 5, b, 5, 6, b, b], [b, b, 2, 2, 6, 6, 6], [b] * 7, [5, 5, 6, 6, 6, 6, 2]])
  found = ctc.collapse(path, tf.constant([7, 6, 7, 0]))
  assert found.numpy().tolist() == [[5, 5, 6, 0, 0, 0, 0], [2, 6, 0, 0, 0, 0, 0], [0] * 7, [0] * 7]


def test_collapses_every_path_as_it_should():
  every = [path for path, _ in alignments.paths(problem(4))]
  found = ctc.collapse(tf.constant(every), tf.fill([len(every)], 4)).numpy()
  assert [tuple(row[row != types.PAD].tolist()) for row in found] == [alignments.collapsed(path) for path in every]


def test_as_large_a_share_is_shown_as_was_wrong():
  size = 20_000
  wrong = tf.reshape(tf.range(4 * size) % 4, [4, size]) < [[4], [2], [1], [0]]  # All, 1/2, 1/4, none.
  among = tf.sequence_mask([size] * 3 + [size // 2], size)
  shown = ctc.shown([1, 2], wrong, among, 0.6).numpy()
  np.testing.assert_allclose(shown.mean(1), [0.6, 0.3, 0.15, 0.0], atol=0.02)
  np.testing.assert_array_equal(shown, ctc.shown([1, 2], wrong, among, 0.6))
  assert np.any(shown != ctc.shown([1, 3], wrong, among, 0.6).numpy())


def test_only_real_places_count_and_are_shown():
  wrong = tf.fill([3, 100], True)
  shown = ctc.shown([1, 2], wrong, tf.sequence_mask([100, 10, 0], 100), 1.0).numpy()
  np.testing.assert_array_equal(shown.sum(1), [100, 10, 0])
  assert shown[1, :10].all() and not np.any(ctc.shown([1, 2], wrong, wrong, 0.0))


def test_expected_ngrams_and_length_are_those_of_all_paths():
  rows, positions, order = 2, [5, 0], 4
  logits, symbols = alignments.logits(rows, 5, seed=4), [*alignments.WORDS, ctc.BLANK]
  never = [w for w in range(alignments.VOCAB) if w not in symbols]
  logits[..., never] = -50
  log_prob = alignments.log_softmax(logits)
  tokens = np.array([[5, 6, 6, 5]] * rows)
  of = [tf.constant(x, tf.float32) for x in (log_prob[..., tokens[0]], log_prob[..., ctc.BLANK])]
  found = ctc.expected(*of, tf.constant(tokens), tf.constant(positions), order)
  wanted, long = np.zeros((order, 4)), 0.0
  for sentence, score in alignments.sentences(log_prob[0]).items():
    long += np.exp(score) * len(sentence)
    for n, at in itertools.product(range(1, order + 1), range(4)):
      here = [sentence[s:s + n] for s in range(len(sentence) - n + 1)]
      wanted[n - 1, at] += np.exp(score) * here.count(tuple(tokens[0, at:at + n])) * (at + n <= 4)
  np.testing.assert_allclose(found[:, 0], wanted, rtol=1e-4, atol=1e-7)
  assert not np.any(found[:, 1])
  every = np.array([[*alignments.WORDS, alignments.WORDS[0]]] * rows)  # A token that is given twice counts once.
  length = ctc.expected_length(tf.constant(log_prob[..., every[0]], tf.float32), of[1], tf.constant(every),
                               tf.constant(positions))
  np.testing.assert_allclose(length, [long, 0], rtol=1e-4)
