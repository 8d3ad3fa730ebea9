"""Greedy and prefix beam search under CTC, against an enumeration of paths and on cases with a known answer."""
import numpy as np
import pytest
import tensorflow as tf

from tests.decode import searched
from tests.ops import alignments
from tf_nar import types
from tf_nar.decode import ctc as search
from tf_nar.ops import ctc
from tf_nar.ops import tokens as words_lib

FORBID = (types.PAD, types.EOS, types.BOS)
BLANK = ctc.BLANK


def beam(logits, positions, **options):
  options = {"beam": 40, "nbest": 5, "longest": 9, **options}
  best = words_lib.best(tf.convert_to_tensor(logits), search.reach(options["beam"]), (*FORBID, BLANK))
  log_prob = lambda t, tokens: tf.gather(tf.nn.log_softmax(logits)[:, t], tokens, batch_dims=1)
  return search.prefix_beam(*best, log_prob, tf.constant(positions), **options)


def greedy(logits, positions, longest=9):
  best = searched.best(tf.convert_to_tensor(logits), forbid=FORBID)
  return search.greedy(*best, tf.constant(positions), longest=longest)


def said(found, row):
  """[(words, score)] of one sentence, each ended by EOS, without missing candidates."""
  for tokens, score in zip(found.tokens[row].numpy(), found.score[row].numpy(), strict=True):
    tokens = tokens[tokens != types.PAD].tolist()
    assert bool(tokens) == (score > -np.inf)
    if tokens:
      assert tokens.index(types.EOS) == len(tokens) - 1 == list(tokens).index(types.EOS)
      yield tuple(tokens[:-1]), float(score)


def ranked(log_prob):
  return sorted(alignments.sentences(log_prob).items(), key=lambda item: -item[1])


def assert_same(ours, theirs):
  ours, theirs = list(ours), list(theirs)
  assert [tokens for tokens, _ in ours] == [tokens for tokens, _ in theirs]
  np.testing.assert_allclose([score for _, score in ours], [score for _, score in theirs], rtol=1e-5, atol=1e-6)


def planted(*path):
  """Logits that give one path nearly all probability."""
  return 9.0 * np.eye(alignments.VOCAB, dtype=np.float32)[None, path]


def test_a_wide_beam_is_exhaustive():
  logits, positions = alignments.logits(6, 4, seed=0), [4, 4, 4, 3, 2, 1]
  found = beam(logits, positions, beam=40)
  for row, count in enumerate(positions):
    assert_same(said(found, row), ranked(alignments.log_softmax(logits[row, :count]))[:5])


def test_the_best_path_need_not_say_the_best_sentence():
  # Blank, blank is the most probable path, with 0.36; token 5 has 0.64 in three paths.
  logits = np.full([1, 2, alignments.VOCAB], -99.0, np.float32)
  logits[..., [BLANK, 5]] = np.log([0.6, 0.4])
  assert_same(said(greedy(logits, [2]), 0), [((), np.log(0.36))])
  assert_same(said(beam(logits, [2], beam=2, nbest=2), 0), [((5,), np.log(0.64)), ((), np.log(0.36))])


def test_no_sentence_is_found_twice_and_none_is_overrated():
  logits = alignments.logits(20, 5, seed=1)
  found = beam(logits, [5] * 20, beam=4, nbest=4)
  for row in range(20):
    exact = alignments.sentences(alignments.log_softmax(logits[row]))
    answers = list(said(found, row))
    assert len({tokens for tokens, _ in answers}) == 4
    assert all(score <= exact[tokens] + 1e-5 for tokens, score in answers)


def plain_beam(log_prob, size, bonus):
  """The same search with dictionaries: {prefix: [b, n]}, probabilities."""
  alive = {(): [1.0, 0.0]}
  for p in np.exp(log_prob):
    grown = {}
    for prefix, (blank, token) in alive.items():
      stay = grown.setdefault(prefix, [0.0, 0.0])
      stay[0] += (blank + token) * p[BLANK]
      stay[1] += token * p[prefix[-1]] if prefix else 0.0
      for w in alignments.WORDS:
        before = blank if prefix[-1:] == (w,) else blank + token
        grown.setdefault((*prefix, w), [0.0, 0.0])[1] += np.exp(bonus) * p[w] * before
    alive = dict(sorted(grown.items(), key=lambda item: -sum(item[1]))[:size])
  return [(prefix, np.log(sum(parts))) for prefix, parts in alive.items()]


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("bonus", [0.0, 1.3])
def test_a_narrow_beam_is_the_plain_one(size, bonus):
  logits = alignments.logits(10, 6, seed=size, scale=1.0)
  found = beam(logits, [6] * 10, beam=size, nbest=size, bonus=bonus)
  for row in range(10):
    assert_same(said(found, row), plain_beam(alignments.log_softmax(logits[row]), size, bonus))


def test_a_bonus_is_of_each_word():
  logits = alignments.logits(6, 4, seed=0)
  found = beam(logits, [4] * 6, bonus=0.7)
  for row in range(6):
    every = ranked(alignments.log_softmax(logits[row]))
    paid = sorted(((tokens, score + 0.7 * len(tokens)) for tokens, score in every), key=lambda each: -each[1])
    assert_same(said(found, row), paid[:5])


@pytest.mark.parametrize("path, sentence", [
  ((5, 5, BLANK, 6), (5, 6)), ((5, BLANK, 5, 6), (5, 5, 6)), ((BLANK,) * 4, ()), ((2, 6, 2, 6), (2, 6, 2, 6)),
])
def test_a_planted_path_is_collapsed(path, sentence):
  logits = planted(*path)
  (tokens, score), = said(greedy(logits, [4]), 0)
  assert tokens == sentence
  np.testing.assert_allclose(score, alignments.log_softmax(logits)[0, range(4), path].sum(), atol=1e-5)
  assert next(said(beam(logits, [4]), 0))[0] == sentence


def test_forbidden_words_give_way():
  logits = planted(5, types.EOS, 6)
  logits[0, 1, BLANK] = 1.0
  for found in (greedy(logits, [3]), beam(logits, [3])):
    assert next(said(found, 0))[0] == (5, 6)


def test_no_sentence_is_longer_than_asked():
  logits = planted(5, 6, 5, 2)
  assert next(said(greedy(logits, [4], longest=2), 0))[0] == (5, 6)
  found = beam(logits, [4], longest=2, nbest=8)
  assert found.tokens.shape == (1, 8, 3) and max(len(tokens) for tokens, _ in said(found, 0)) == 2


@pytest.mark.parametrize("run", [greedy, beam])
def test_padding_batch_mates_and_blank_rows_change_nothing(run):
  logits, positions = alignments.logits(4, 5, seed=2), [5, 3, 0, 4]
  wide = np.pad(logits, [[0, 0], [0, 2], [0, 0]], constant_values=3.0)
  together = run(wide, positions)
  assert int(together.passes) == 1
  for row, count in enumerate(positions):
    if count:
      assert_same(said(run(logits[row:row + 1, :count], [count]), 0), said(together, row))
  assert not np.any(together.tokens[2]) and np.all(together.score[2] == -np.inf)
  assert not np.any(run(logits, [0] * 4).tokens)


def test_what_is_not_there_is_blank():
  found = beam(alignments.logits(1, 1, seed=3), [1], beam=9, nbest=9)
  assert len(list(said(found, 0))) == 4 and np.sum(found.score == -np.inf) == 5  # Three tokens, and the empty sentence.


@pytest.mark.parametrize("run", [greedy, beam])
@pytest.mark.parametrize("jit", [False, True])
def test_compiled_says_the_same(run, jit):
  logits, positions = alignments.logits(4, 5, seed=4), [5, 3, 0, 4]
  compiled = tf.function(lambda x: run(x, positions), jit_compile=jit, autograph=False)(logits)
  for ours, theirs in zip(compiled, run(logits, positions), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


@pytest.mark.parametrize("nbest, beam_size", [(3, 2), (0, 2)])
def test_refuses(nbest, beam_size):
  with pytest.raises(ValueError, match=rf"1 <= nbest <= beam, got nbest={nbest}, beam=2; raise beam"):
    beam(alignments.logits(1, 2, seed=0), [2], beam=beam_size, nbest=nbest)
