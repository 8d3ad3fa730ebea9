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
from tf_nar.losses import cross_entropy
from tf_nar.models import ctc
from tf_nar.ops import glancing

VOCAB, SPOKEN = 6, (types.UNK, 5)
SRC = families.padded([[4, 5], [4]], 4)  # Two positions per token: 6 and 4.
TGT = families.padded([[5, 5, 2], [2]], 4)
NET = transformer.Config(width=8, ffn=16, heads=2, encoder_layers=1, decoder_layers=1, max_length=6)
WIDE = ctc.Search(beam=64, candidates=3)


def build(**config):
  """A model that gives only two tokens and the blank a nonzero probability."""
  keras.utils.set_random_seed(0)
  model = families.shaken(models.build("ctc", ctc.Config(NET, **config), VOCAB), 0.3)
  bias = model.net.embed.bias.numpy()
  bias[[types.PAD, types.EOS, types.BOS]] = -1e4
  model.net.embed.bias.assign(bias)
  return model


@pytest.fixture(scope="module")
def model():
  return build()


def every_sentence(longest):
  return [tokens for n in range(longest + 1) for tokens in itertools.product(SPOKEN, repeat=n)]


def scores(model, src, sentences, width=8):
  tgt = tf.constant([[*tokens, types.EOS] + [types.PAD] * (width - 1 - len(tokens)) for tokens in sentences])
  return model.score(tf.repeat(src, len(sentences), 0), tgt).numpy()


def test_all_sentences_together_are_certain(model):
  for row, positions in enumerate((6, 4)):
    found = scores(model, SRC[row:row + 1], every_sentence(positions))
    np.testing.assert_allclose(np.exp(found).sum(), 1.0, rtol=1e-4)
  assert np.isneginf(scores(model, SRC[1:], [(5,) * 3, (2, 5, 2, 5, 2)])).all()  # Too few positions.


def test_search_finds_the_likeliest_sentences(model):
  found = model.translate(SRC, WIDE)
  assert int(found.passes) == 1
  for row, positions in enumerate((6, 4)):
    every = every_sentence(positions)
    score = scores(model, SRC[row:row + 1], every)
    best = np.argsort(-score)[:3]
    said = [tuple(tokens[tokens > types.EOS]) for tokens in found.tokens[row].numpy()]
    assert said == [every[i] for i in best]
    np.testing.assert_allclose(found.score[row], score[best], rtol=1e-4)


def test_greedy_search_says_one_sentence_and_no_more_than_its_path_is_worth(model):
  found = model.translate(SRC, ctc.Search())
  assert found.tokens.shape[:2] == (2, 1) and int(found.passes) == 1
  assert (found.score[:, 0] <= model.score(SRC, found.tokens[:, 0]) + 1e-5).numpy().all()


def test_a_rescorer_ranks_the_candidates(model):
  lengths = lambda translation: np.count_nonzero(translation.tokens, 2)
  wants = lambda sign: lambda tokens: sign * tf.math.count_nonzero(tokens, -1, dtype=tf.float32)
  longest, shortest = (lengths(model.translate(SRC, WIDE, rescore=wants(sign))) for sign in (1.0, -1.0))
  np.testing.assert_array_equal(longest, -np.sort(-longest, 1))
  np.testing.assert_array_equal(longest, shortest[:, ::-1])
  assert (longest[:, 0] > longest[:, 2]).any()


def test_loss_is_of_what_is_scored(model):
  weight = tf.constant([1.0, 2.0])
  terms = model.objective(types.Batch(SRC, TGT, weight), seed=None, training=False).terms
  np.testing.assert_allclose(terms["token"].total, -tf.reduce_sum(weight * model.score(SRC, TGT)), rtol=1e-5)
  assert (float(terms["token"].count), terms["token"].scale) == (4 * 1 + 2 * 2, 1.0)
  assert (float(terms["infeasible"].total), float(terms["infeasible"].count)) == (0, 3)


def test_impossible_pairs_are_left_out_and_counted(model):
  tgt = families.padded([[5, 5, 2], [5, 5, 5]], 4)  # Four positions have no room for a token three times.
  value = lambda batch: model.objective(batch, seed=None, training=False).terms
  with tf.GradientTape(persistent=True) as tape:
    both = value(types.Batch(SRC, tgt, tf.constant([1.0, 2.0])))
    first = value(types.Batch(SRC[:1], tgt[:1], tf.constant([1.0])))
    second = value(types.Batch(SRC[1:], tgt[1:], tf.constant([2.0])))
    losses = [types.loss(terms) for terms in (both, first, second)]
  assert (float(both["infeasible"].total), float(both["infeasible"].count)) == (2, 3)
  np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)
  assert float(losses[2]) == 0 and both["infeasible"].scale == 0
  variables = [v.value for v in model.trainable_variables]
  gradients = [list(map(tf.convert_to_tensor, tape.gradient(loss, variables))) for loss in losses]
  for ours, alone, nothing in zip(*gradients, strict=True):
    np.testing.assert_allclose(ours, alone, rtol=1e-4, atol=1e-5)
    assert not np.any(nothing)


def with_gradients(model, seed=(3, 4), step=0, training=True):
  batch = types.Batch(SRC, TGT, tf.ones([2]))
  with tf.GradientTape() as tape:
    loss = types.loss(model.objective(batch, seed=list(seed), training=training, step=step))
  return [loss, *map(tf.convert_to_tensor, tape.gradient(loss, [v.value for v in model.trainable_variables]))]


def shows(**fields):
  """The model, by default with glancing from 1 to 0 in ten updates."""
  return build(glance=glancing.Glance(**(dict(start=1.0, end=0.0, updates=10) | fields)))


def test_what_is_shown_falls_by_updates(model):
  plain, shown = with_gradients(model), shows()
  assert float(with_gradients(shown)[0]) != float(plain[0])
  # Nothing is revealed any more: the first pass changed neither the dropout masks nor the gradient.
  for ours, theirs in zip(with_gradients(shown, step=tf.constant(10, tf.int64)), plain, strict=True):
    np.testing.assert_array_equal(ours, theirs)


def test_nothing_is_shown_at_rest(model):
  rest = dict(training=False)
  assert float(with_gradients(shows(), **rest)[0]) == float(with_gradients(model, **rest)[0])


def spied(model, monkeypatch, step):
  """Returns inputs and outputs of every decoder pass of one objective: [(canvas, states)]."""
  fill, seen = model.net.decode, []

  def spy(canvas, *given):
    seen.append((canvas.numpy(), fill(canvas, *given).numpy()))
    return tf.constant(seen[-1][1])

  monkeypatch.setattr(model.net, "decode", spy)
  model.objective(types.Batch(SRC, TGT, tf.ones([2])), seed=[3, 4], training=True, step=step)
  return seen


def test_both_passes_drop_the_same_units(monkeypatch):
  model = shows()
  fill, memory = model.net.decode, model.net.encode(SRC)
  first, second = spied(model, monkeypatch, step=10)  # Nothing is revealed: both passes are equal.
  for one, other in zip(first, second, strict=True):
    np.testing.assert_array_equal(one, other)
  assert not np.allclose(first[1], fill(tf.constant(first[0]), model.positions(SRC), memory), atol=0.01)


def test_shown_are_words_of_an_alignment_of_the_target(monkeypatch):
  model = shows()
  # BOS is in no alignment, so that every position is wrong and, at a ratio of one, revealed.
  monkeypatch.setattr(model.net, "likeliest", lambda states: tf.fill(tf.shape(states)[:2], types.BOS))
  (before, _), (after, _) = spied(model, monkeypatch, step=0)
  embed = model.net.embed
  tokens = after - embed.positions(8).numpy()
  path = np.argmin(np.sum((tokens[:, :, None] - embed.look_up(tf.range(VOCAB)[None])[0].numpy())**2, -1), -1)
  for row, positions in enumerate((6, 4)):
    said = [token for token, _ in itertools.groupby(path[row, :positions]) if token != types.MASK]
    assert [*said, types.EOS] == TGT[row].numpy()[TGT[row] != types.PAD].tolist()
    np.testing.assert_array_equal(after[row, positions:], before[row, positions:])


def test_likeliest_is_the_argmax(model, monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", 4)
  states = tf.constant(np.random.default_rng(0).normal(size=[3, 5, 8]), tf.float32)
  for run in (model.net.likeliest, tf.function(model.net.likeliest, jit_compile=True, autograph=False)):
    np.testing.assert_array_equal(run(states), tf.argmax(model.net.embed.logits(states), -1))


def test_the_canvas_has_a_place_for_every_copy(model):
  assert model.net.embed.position_table.shape[0] == 2 * NET.max_length + 1
  assert model.config.net.max_length == NET.max_length
  memory = model.net.encode(SRC)
  canvas = model.canvas(memory) - model.net.embed.positions(8)
  np.testing.assert_allclose(canvas[:, ::2], memory.states, atol=1e-5)
  np.testing.assert_allclose(canvas[:, 1::2], memory.states, atol=1e-5)


@pytest.mark.parametrize("make, message", [
  (lambda: ctc.Config(upsample=0), r"model\.upsample must be at least 1, usually 2 or 3; got 0\."),
  (lambda: ctc.Search(candidates=2), r"search needs 1 <= candidates <= beam; got candidates=2, beam=1\."),
  (lambda: dataclasses.replace(WIDE, candidates=0), r"got candidates=0, beam=64\."),
  (lambda: ctc.Search(beam=2, rank="consensus"), r"search.rank=consensus needs the n best .* search.candidates=9 too"),
  (lambda: ctc.Search(rank="best"), r"search.rank is one of beam, consensus; got 'best'"),
  (lambda: ctc.Search(bonus=0.5), r"search\.bonus needs a beam search; got bonus=0\.5 .*; set search\.beam=20"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()
