"""A fake model that doubles every token id, which shows order, padding rows and shapes."""
import itertools
import random
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.evaluate import rescoring

EOS, PAD = types.EOS, types.PAD
LONGEST = 45


def sentences(count, seed=0):
  draw = random.Random(seed)
  return [[*(draw.randrange(5, 99) for _ in range(draw.randrange(1, LONGEST))), EOS] for _ in range(count)]


class Doubler:
  """Predicts every token id times two; sources of odd length have a second candidate."""

  def __init__(self):
    self.shapes = []

  def __call__(self, src):
    self.shapes.append(src.shape)
    lengths = (src != PAD).sum(1)
    tokens = np.where(src > EOS, 2 * src, src)
    # The output for a padding row is arbitrary and must not be returned.
    tokens = np.where(lengths[:, None] > 0, tokens, 777)
    second = np.where(lengths % 2, -1.0, -np.inf)
    both = np.stack([tokens, tokens + (tokens > EOS)], 1)
    return types.Translation(both, np.stack([-lengths, second], 1), 1)


def doubled(source):
  best = corpus.Candidate([2 * word if word > EOS else word for word in source], -len(source))
  other = corpus.Candidate([word + 1 if word > EOS else word for word in best.tokens], -1.0)
  return [best, other] if len(source) % 2 else [best]


@pytest.mark.parametrize("tokens_per_batch", [1, 64, 200, 10_000])
def test_translations_come_in_the_order_of_sources(tokens_per_batch):
  sources = sentences(53)
  found = corpus.translate(Doubler(), sources, tokens_per_batch=tokens_per_batch)
  assert found == [doubled(source) for source in sources]


def test_shapes_are_few_and_within_the_batch():
  model = Doubler()
  corpus.translate(model, sentences(1000), tokens_per_batch=512)
  assert len(set(model.shapes)) <= -(-LONGEST // corpus.STEP) + 1  # The last group may be smaller.
  assert all(rows * length <= 512 and length % corpus.STEP == 0 for rows, length in model.shapes)
  lengths = [length for _, length in model.shapes]
  assert lengths == sorted(lengths, reverse=True)


def test_one_sentence_is_not_padded_to_a_full_batch():
  model = Doubler()
  corpus.translate(model, [[5, 6, EOS]], tokens_per_batch=8192)
  assert model.shapes == [(1, 8)]


def test_rounding_up_stays_within_the_model():
  model = Doubler()
  corpus.translate(model, [[5] * 9 + [EOS]], tokens_per_batch=100, longest=11)
  assert model.shapes == [(1, 11)]


def test_an_empty_line_is_not_shown_to_the_model():
  model = Doubler()
  found = corpus.translate(model, [[EOS], [5, EOS], []], tokens_per_batch=64)
  assert found == [[corpus.NOTHING], doubled([5, EOS]), [corpus.NOTHING]]
  assert model.shapes == [(1, 8)]
  assert corpus.translate(model, [], tokens_per_batch=64) == []


def test_what_is_said_twice_is_kept_once():
  twice = lambda src: types.Translation(
    tf.constant([[[5, 1, 0], [6, 1, 0], [5, 1, 0]]]), tf.constant([[-1.0, -2.0, -3.0]]), tf.constant(1))
  assert corpus.translate(twice, [[5, 1]], tokens_per_batch=8) == [[([5, 1], -1.0), ([6, 1], -2.0)]]


def test_a_sentence_without_candidates_has_an_empty_list():
  nothing = types.Translation(np.zeros([1, 2, 3], np.int32), np.full([1, 2], -np.inf), 1)
  silent = lambda src: nothing
  assert corpus.translate(silent, [[5, EOS]], tokens_per_batch=64) == [[]]


def test_progress_counts_every_sentence():
  counts = []
  corpus.translate(Doubler(), [*sentences(20), [EOS]], tokens_per_batch=64, progress=counts.append)
  assert sum(counts) == 21
  counts.clear()
  pairs = [([5, EOS], [5] * 9), ([5, EOS], [5])]
  silent = lambda src, tgt: np.zeros(len(src))
  corpus.score(silent, pairs, tokens_per_batch=64, longest=8, progress=counts.append)
  assert sum(counts) == 2


def test_scores_come_in_the_order_of_pairs():
  shapes = set()
  def model(src, tgt):
    shapes.add((src.shape, tgt.shape))
    return np.where((src != PAD).any(1), src.sum(1) - 0.5 * tgt.sum(1), np.nan)

  pairs = list(zip(sentences(300), sentences(300, seed=1), strict=True))
  scores = corpus.score(model, pairs, tokens_per_batch=256)
  assert scores.dtype == np.float32
  np.testing.assert_array_equal(scores, [sum(src) - 0.5 * sum(tgt) for src, tgt in pairs])
  assert len(shapes) <= 7


def test_a_target_too_long_to_say_scores_minus_infinity():
  scores = corpus.score(lambda src, tgt: np.ones(len(src)), [([5, EOS], [5] * 9), ([5, EOS], [5, EOS])],
                        tokens_per_batch=64, longest=8)
  np.testing.assert_array_equal(scores, [-np.inf, 1.0])


def test_stream_holds_one_window_at_a_time():
  taken = []
  def items():
    for i in range(7):
      taken.append(i)
      yield i

  results = corpus.stream(lambda chunk: [10 * i for i in chunk], items(), window=3)
  assert list(itertools.islice(results, 1)) == [0] and taken == [0, 1, 2]
  assert list(results) == [10, 20, 30, 40, 50, 60]


class Copier:
  """A model of two candidates: the source, and the source without its first token; their rank is given."""

  traced = 0

  def translate(self, src, search, rescore=None):
    self.traced += 1
    tokens = tf.stack([src, tf.pad(src[:, 1:], [[0, 0], [0, 1]])], 1)
    score = rescore(tokens) if rescore else tf.ones(tf.shape(tokens)[:2]) * search
    return types.Translation(tokens, score, tf.constant(1))

  def score(self, src, tgt):
    self.traced += 1
    return tf.cast(tf.reduce_sum(10 * src, 1) - tf.reduce_sum(tgt, 1), tf.float32)


def test_one_graph_for_all_shapes():
  model = Copier()
  sources = sentences(40)
  found = corpus.translate(corpus.searcher(model, 0.25), sources, tokens_per_batch=64)
  assert [candidates[0] for candidates in found] == [corpus.Candidate(source, 0.25) for source in sources]
  assert model.traced == 1
  scores = corpus.score(corpus.scorer(model), [(s, s) for s in sources], tokens_per_batch=64)
  np.testing.assert_array_equal(scores, [9 * sum(s) for s in sources])
  assert model.traced == 2


def test_a_teacher_scores_each_candidate_with_its_own_source():
  sources = [[5, 6, EOS], [7, EOS]]
  search = corpus.searcher(Copier(), 0.0, rescoring.repeated(Copier().score))
  found = corpus.translate(search, sources, tokens_per_batch=64)
  for source, (whole, cut) in zip(sources, found, strict=True):
    assert whole.score == 9 * sum(source) and cut.score == 10 * sum(source) - sum(source[1:])


@pytest.mark.parametrize("arguments, message", [
    ({"tokens_per_batch": 0}, "tokens_per_batch must be at least 1; got 0"),
    ({"tokens_per_batch": 64, "longest": 3}, "1 has 4 tokens with EOS, but the model takes at most 3; cut or drop"),
])
def test_translate_refuses(arguments, message):
  with pytest.raises(ValueError, match=message):
    corpus.translate(Doubler(), [[5, EOS], [5, 6, 7, EOS]], **arguments)


def test_length_candidates_share_the_places_of_a_batch():
  kind = lambda side_by_side: SimpleNamespace(traits=SimpleNamespace(side_by_side=side_by_side))
  nine = SimpleNamespace(candidates=9)
  assert corpus.positions(kind(True), nine, 8_192) == 910
  assert corpus.positions(kind(False), nine, 8_192) == 8_192
  assert corpus.positions(kind(True), nine, 4) == 1


def test_neighbours_are_of_about_one_length():
  sources = [[5] * n + [1] for n in (11, 2, 3, 1, 9)]
  short, long = corpus.neighbours(sources, 2, longest=11)
  assert short.shape == (2, 8) and (short > 0).sum(1).tolist() == [2, 3]
  assert long.shape == (2, 11) and (long > 0).sum(1).tolist() == [4, 10]


@pytest.mark.parametrize("most, longest, cut", [(99, None, 0), (3, None, 2), (99, 4, 1)])
def test_translations_as_long_as_allowed_are_counted(monkeypatch, most, longest, cut):
  warnings = []
  monkeypatch.setattr(corpus.logging, "warning", lambda text, *values: warnings.append(text % values))
  sources = [[5, EOS], [5, 6, EOS], [EOS], [5, 6, 7, EOS]]
  limit = lambda lengths: np.full(len(lengths), most)
  corpus.translate(Doubler(), sources, tokens_per_batch=99, longest=longest, limit=limit)
  assert warnings == ([f"{cut} of 3 translations are as long as the search allows and may be cut off; raise "
                       "search.length_ratio or search.extra_length."] if cut else [])
