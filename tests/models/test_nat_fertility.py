import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.layers import transformer
from tf_nar.models import nat_fertility
from tf_nar.ops import fertility as fertility_lib

VOCAB, SPOKEN = 6, (types.UNK, 5)
SRC, TGT = families.padded([[4, 5], [4]], 4), families.padded([[5, 2, 5], [2]], 4)
NET = transformer.Config(width=8, ffn=16, heads=2, encoder_layers=1, decoder_layers=1, max_length=6)
FERTILITY = tf.constant([[0, 3, 1, 0], [1, 1, 0, 0]])
PLAIN = nat_fertility.Search(candidates=1, alpha=0.0, unknown=True)


def build(net=NET, **config):
  """A model that predicts only two tokens, so that no sentence is shorter than its canvas."""
  keras.utils.set_random_seed(0)
  model = families.shaken(models.build("nat_fertility", nat_fertility.Config(net, **config), VOCAB), 0.3)
  bias = model.net.embed.bias.numpy()
  bias[[types.PAD, types.BOS, types.MASK, types.EOS]] = -1e4, -1e4, -1e4, -20.0
  model.net.embed.bias.assign(bias)
  if model.aligned:  # Short sentences, so that the bounds of the canvas have no effect.
    model.fertility.bias.assign(tf.where(tf.range(nat_fertility.CLASSES) < 3, 0.0, -20.0))
  return model


@pytest.fixture(scope="module")
def model():
  return build(smoothing=0.0)


def word_log_probs(model, src, lengths, fertility=None):
  """log p of every token at every position, float32 [B, T, V]."""
  canvas = model.canvas(src, lengths, int(tf.reduce_max(lengths)), fertility)
  return tf.nn.log_softmax(model.net.embed.logits(model.net.decode(canvas, lengths, model.net.encode(src)))).numpy()


def test_canvas_holds_each_token_as_often_as_its_fertility(model):
  canvas = model.canvas(SRC, tf.constant([4, 2]), 4, FERTILITY).numpy()
  positions, source = model.net.embed.positions(4).numpy(), model.net.canvas(SRC).numpy()
  for row, copies in enumerate(([1, 1, 1, 2], [0, 1])):
    expected = [source[row, s] + positions[t] for t, s in enumerate(copies)]
    np.testing.assert_allclose(canvas[row, :len(copies)], expected, rtol=1e-6)


def test_loss_is_that_of_words_and_fertilities(model):
  batch = types.Aligned(SRC, TGT, tf.constant([1.0, 2.0]), FERTILITY)
  terms = model.objective(batch, seed=None, training=False).terms
  tokens = word_log_probs(model, SRC, tf.constant([4, 2]), FERTILITY)
  fertilities = model.log_fertility(model.net.encode(SRC), SRC).numpy()
  each = lambda table, labels: np.take_along_axis(table, labels.numpy()[..., None], -1)[..., 0]
  inside = lambda tokens: (tokens.numpy() != types.PAD) * np.array([[1.0], [2.0]])
  np.testing.assert_allclose(terms["token"].total, -(each(tokens, TGT) * inside(TGT)).sum(), rtol=1e-5)
  np.testing.assert_allclose(
    terms["fertility"].total, -(each(fertilities, FERTILITY) * inside(SRC)).sum(), rtol=1e-5)
  assert float(terms["token"].count) == float(terms["fertility"].count) == 4 * 1 + 2 * 2
  assert terms["token"].scale == terms["fertility"].scale == 1.0


def test_a_fertility_above_the_last_class_is_learned_as_the_last(model):
  batch = types.Aligned(SRC, TGT, tf.ones([2]), tf.constant([[0, 99, 1, 0], [1, 1, 0, 0]]))
  same = batch._replace(fertility=tf.constant([[0, 49, 1, 0], [1, 1, 0, 0]]))
  value = lambda batch: model.objective(batch, seed=None, training=False).terms["fertility"].total
  assert np.isfinite(value(batch)) and value(batch) == value(same)


def test_score_is_below_the_sum_over_all_fertilities(model):
  src, tgt = SRC[1:, :2], TGT[1:, :2]  # One token and EOS, on both sides.
  score = model.score(src, tgt).numpy()[0]
  table = model.log_fertility(model.net.encode(src), src).numpy()[0]
  ways = {}
  for f in itertools.product(range(3), repeat=2):
    if sum(f) == 2:
      said = word_log_probs(model, src, tf.constant([2]), tf.constant([f]))[0]
      ways[f] = table[0, f[0]] + table[1, f[1]], said[0, 2] + said[1, types.EOS]
  likeliest = max(ways, key=lambda f: ways[f][0])
  np.testing.assert_allclose(score, sum(ways[likeliest]), rtol=1e-5)
  assert score < np.log(sum(np.exp(sum(way)) for way in ways.values()))


def test_a_target_that_no_fertilities_reach_scores_never():
  model = build(dataclasses.replace(NET, max_length=60))
  src = tf.constant([[types.EOS, 0], [4, types.EOS]])  # One token and two, of at most 49 copies each.
  assert np.isneginf(model.score(src, tf.fill([2, 50], 5))).tolist() == [True, False]


@pytest.mark.parametrize("copy", ["uniform", "soft"])
def test_other_copies_have_an_exact_likelihood(copy):
  model = build(copy=copy, smoothing=0.0)
  length_log_probs = tf.nn.log_softmax(model.net.length_logits(model.net.encode(SRC))).numpy()
  every = np.array(list(itertools.product((types.EOS, *SPOKEN), repeat=3)), np.int32)
  scores = model.score(tf.repeat(SRC[:1], len(every), 0), every)
  np.testing.assert_allclose(np.exp(scores).sum(), np.exp(length_log_probs[0, 3]), rtol=1e-4)
  weight = tf.constant([1.0, 2.0])
  terms = model.objective(types.Batch(SRC, TGT, weight), seed=None, training=False).terms
  total = terms["token"].total + terms["length"].total
  np.testing.assert_allclose(total, -np.sum(weight * model.score(SRC, TGT)), rtol=1e-5)
  found = model.translate(SRC, nat_fertility.Search(candidates=3))
  lengths = np.count_nonzero(found.tokens, 2) - 1  # EOS is appended.
  assert sorted(lengths[0].tolist()) == list(range(min(lengths[0]), min(lengths[0]) + 3))
  assert int(found.passes) == 1


def test_argmax_says_the_best_words_of_the_likeliest_fertilities(model):
  found = model.translate(SRC, PLAIN)
  table = model.log_fertility(model.net.encode(SRC), SRC)
  fertility = fertility_lib.bounded(tf.argmax(table, -1, tf.int32)[:, None], SRC, 6)[:, 0]
  lengths = tf.reduce_sum(fertility, -1)
  tokens = word_log_probs(model, SRC, lengths, fertility)
  for row, length in enumerate(lengths.numpy()):
    assert found.tokens[row, 0].numpy()[:length].tolist() == tokens[row, :length].argmax(-1).tolist()
    prior = fertility_lib.of(table, fertility[:, None])[row, 0]
    np.testing.assert_allclose(found.score[row, 0], prior + tokens[row, :length].max(-1).sum(), rtol=1e-5)


def test_noisy_parallel_decoding_keeps_what_the_teacher_likes(model):
  search = dataclasses.replace(PLAIN, candidates=12)
  likes = lambda sign: lambda tokens: sign * tf.math.count_nonzero(tokens, -1, dtype=tf.float32)
  count = lambda found: np.count_nonzero(found.tokens, 2)
  own, long, short = (model.translate(SRC, search, rescore) for rescore in (None, likes(1.0), likes(-1.0)))
  assert (count(long) == -np.sort(-count(own), 1)).all() and (count(short) == np.sort(count(own), 1)).all()
  assert (count(long)[:, 0] > count(short)[:, 0]).all()  # The penalty has an effect.
  first = model.translate(SRC, PLAIN)
  said = lambda found, row: {tuple(tokens[tokens != types.PAD]) for tokens in found.tokens[row].numpy()}
  assert all(said(first, row) <= said(own, row) for row in range(2))  # The argmax is among them.
  assert (own.passes, long.passes) == (1, 2)  # The teacher's counts.


def test_a_planted_sentence_is_picked(model):
  search = dataclasses.replace(PLAIN, candidates=12)
  wanted = model.translate(SRC, search).tokens[:, -1]  # The model's lowest-ranked candidate.
  picks = lambda tokens: tf.where(tf.reduce_all(tokens == wanted[:, None], -1), -1.0, -2.0)
  np.testing.assert_array_equal(model.translate(SRC, search, picks).tokens[:, 0], wanted)


def test_seeds_draw_other_fertilities(model):
  found = [model.translate(SRC, nat_fertility.Search(candidates=12, seed=seed)).score.numpy() for seed in (0, 0, 1)]
  np.testing.assert_array_equal(found[0], found[1])
  assert not np.allclose(found[0], found[2])


@pytest.mark.parametrize("make, message", [
  (lambda: nat_fertility.Config(copy="hard"), "model.copy is one of fertility, uniform, soft; got 'hard'"),
  (lambda: nat_fertility.Config(tau=0.0), "model.tau must be above 0, usually 0.3; got 0.0"),
  (lambda: nat_fertility.Search(candidates=0), "search.candidates must be at least 1, for the most probable .*; got 0"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()
