"""The aligner recovers known alignments."""
import itertools

import numpy as np
import pytest

from tf_nar.prepare import fast_align

WORDS = 100
# Each source word is translated by no word, one, two, or three.
PHRASES = [[]] * 3 + [[50 + n] for n in range(25)] + [[80 + 2 * n, 81 + 2 * n] for n in range(6)] + [[92, 93, 94]]


def planted(count, seed=0, swapped=0.3):
  """Returns pairs, and the source word of each target word; adjacent words are sometimes swapped."""
  draw = np.random.default_rng(seed)
  pairs, positions = [], []
  for _ in range(count):
    source = draw.choice(len(PHRASES), draw.integers(3, 8), replace=False)
    order = list(range(len(source)))
    if draw.random() < swapped:
      n = draw.integers(len(order) - 1)
      order[n], order[n + 1] = order[n + 1], order[n]
    target = [(word, n) for n in order for word in PHRASES[source[n]]]
    if target:
      pairs.append(((source + 5).tolist(), [word for word, _ in target]))
      positions.append([n for _, n in target])
  return pairs, positions


@pytest.fixture(scope="module")
def lexicon():
  return fast_align.learn(planted(400)[0], WORDS, iterations=8)[0]


def test_planted_alignments_are_found(lexicon):
  pairs, positions = planted(200, seed=1)
  found = fast_align.align(pairs, lexicon)
  right = [list(one) == other for one, other in zip(found, positions, strict=True)]
  assert np.mean(right) > 0.95  # Untranslated words attract some target words of others.


@pytest.mark.parametrize("tension", [0.0, fast_align.TENSION])  # IBM model 1, and with the diagonal.
def test_likelihood_never_falls(tension):
  _, likelihoods = fast_align.learn(planted(100)[0], WORDS, iterations=12, tension=tension)
  assert len(likelihoods) == 12 and (np.diff(likelihoods) > -1e-12).all() and likelihoods[-1] > likelihoods[0] + 0.5


def test_probabilities_are_normalised(lexicon):
  source = lexicon.keys // lexicon.words
  sums = np.bincount(source, lexicon.prob, minlength=WORDS)
  np.testing.assert_allclose(sums[np.unique(source)], 1.0)
  assert (np.diff(lexicon.keys) > 0).all()


def test_one_iteration_by_hand():
  """Every sum of the first iteration, in loops."""
  pairs = [([5, 6], [7, 8]), ([5], [7])]
  together = {f: {e for source, target in pairs if f in (0, *source) for e in target} for f in (0, 5, 6)}
  counts, total = {}, 0.0
  for source, target in pairs:
    for j, e in enumerate(target, 1):
      near = [np.exp(-4 * abs(i / len(source) - j / len(target))) for i in range(1, len(source) + 1)]
      prior = [0.08, *(0.92 * np.array(near) / sum(near))]
      joint = [p / len(together[f]) for f, p in zip((0, *source), prior, strict=True)]
      total += np.log(sum(joint))
      for f, p in zip((0, *source), joint, strict=True):
        counts[f, e] = counts.get((f, e), 0) + p / sum(joint)
  lexicon, likelihoods = fast_align.learn(pairs, 10, iterations=1)
  np.testing.assert_allclose(likelihoods, [total / 3])
  assert lexicon.keys.tolist() == sorted(10 * f + e for f, e in counts)
  sums = {f: sum(c for (g, _), c in counts.items() if g == f) for f in together}
  expected = [counts[key // 10, key % 10] / sums[key // 10] for key in lexicon.keys.tolist()]
  np.testing.assert_allclose(lexicon.prob, expected)


def test_groups_change_nothing(monkeypatch):
  pairs = planted(60)[0]
  learn = lambda: fast_align.learn(pairs, WORDS, iterations=3)
  one, likelihoods = learn()
  positions = fast_align.align(pairs, one)
  monkeypatch.setattr(fast_align, "CELLS", 100)
  many, others = learn()
  np.testing.assert_array_equal(one.keys, many.keys)
  np.testing.assert_allclose(one.prob, many.prob, atol=1e-12)
  np.testing.assert_allclose(likelihoods, others)
  for some, same in zip(positions, fast_align.align(pairs, one), strict=True):
    np.testing.assert_array_equal(some, same)


def test_unseen_words_follow_the_diagonal(lexicon):
  found, = fast_align.align([([95, 96, 97, 98], [95, 96, 97, 98])], lexicon)
  assert found.tolist() == [0, 1, 2, 3]


def test_fertilities_add_up_to_the_target():
  assert fast_align.fertility(([5, 6, 7, 1], [8, 9, 8, 1]), np.array([2, 0, 2])) == (1, 0, 2, 1)
  assert fast_align.fertility(([1], [8, 9, 1]), []) == (3,)
  assert fast_align.fertility(([5, 1], [1]), np.array([], np.int64)) == (0, 1)


def test_progress_and_refusal():
  seen = []
  fast_align.learn(planted(30)[0], WORDS, iterations=2, progress=seen.append)
  assert sum(seen) == 3 * len(planted(30)[0])
  for pairs in ([], [([], [5])], list(itertools.repeat(([5], []), 3))):
    with pytest.raises(ValueError, match="No pair has a word on both sides, so there is nothing to align"):
      fast_align.learn(pairs, WORDS)
