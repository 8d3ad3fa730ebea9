import dataclasses
import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.evaluate import rescoring
from tf_nar.layers import transformer
from tf_nar.models import ar

WORDS = 6  # PAD, EOS, UNK, BOS, MASK and one more.
SPOKEN = (types.UNK, types.MASK, 5)  # The tokens that a search may predict, besides EOS.
NEVER = -1e4  # A bias that gives a token probability 0.


@pytest.fixture(scope="module")
def model():
  """A model that gives PAD and BOS probability 0, so that the sentences without them sum to 1."""
  keras.utils.set_random_seed(0)
  net = transformer.Config(width=8, ffn=16, heads=2, encoder_layers=1, decoder_layers=1, max_length=5)
  model = families.shaken(models.build("ar", ar.Config(net), WORDS), 0.3)
  forbid(model, types.PAD, types.BOS)
  return model


def forbid(model, *tokens, bias=NEVER):
  rows = [[token] for token in tokens]
  model.embed.bias.assign(tf.tensor_scatter_nd_update(model.embed.bias.value, rows, [bias] * len(rows)))


def all_sentences(longest):
  """All sentences that end in EOS, as lists, and all of `longest` tokens that have no EOS."""
  ended = [[*s, types.EOS] for n in range(longest) for s in itertools.product(SPOKEN, repeat=n)]
  return ended, [list(s) for s in itertools.product(SPOKEN, repeat=longest)]


def score(model, src, sequences, longest):
  rows = np.array([s + [types.PAD] * (longest - len(s)) for s in sequences], np.int32)
  return model.score(tf.repeat(src, len(rows), 0), rows).numpy()


SRC = families.padded([[4, 5]], 4)


def test_all_sentences_together_are_certain(model):
  ended, going = all_sentences(3)
  finished = np.exp(score(model, SRC, ended, 3)).sum()
  assert 0 < finished < 1
  np.testing.assert_allclose(finished + np.exp(score(model, SRC, going, 3)).sum(), 1, rtol=1e-5)


def test_score_adds_a_word_at_a_time(model):
  # p(y_t | y_<t) from the states of the prefix alone, which do not depend on y_t or later tokens.
  tokens, total = [4, 2, 5, types.EOS], 0.0
  for t, token in enumerate(tokens):
    logits = model.embed.logits(model.states(SRC, tf.constant([tokens[:t] + [types.MASK]])))
    total += tf.nn.log_softmax(logits[0, t])[token]
  np.testing.assert_allclose(model.score(SRC, tf.constant([tokens])), [total], rtol=1e-5)


def test_candidates_of_a_source_score_as_pairs_do(model):
  src = families.padded([[4, 5], [5], []], 4)
  tgt = tf.random.stateless_uniform([3, 4, 5], [0, 1], 2, WORDS, tf.int32)
  tgt = tf.where(tf.sequence_mask([[5, 1, 3, 0], [2, 2, 5, 4], [0, 0, 0, 0]], 5), tgt, types.PAD)
  together = tf.function(model.score_candidates, autograph=False)(src, tgt)
  np.testing.assert_allclose(together, rescoring.repeated(model.score)(src, tgt), rtol=1e-5, atol=1e-5)


def test_wide_beam_finds_every_sentence_in_order(model):
  ended, _ = all_sentences(3)
  scores = score(model, SRC, ended, 3)
  best = np.argsort(-scores)
  # Three source tokens, so a limit of three target tokens. Nine active hypotheses have 36 extensions, twice the beam.
  found = model.translate(SRC, ar.Search(beam=18, candidates=len(ended), alpha=0.0, extra_length=0, unknown=True))
  said = [tokens[tokens != types.PAD].tolist() for tokens in found.tokens[0].numpy()]
  assert said == [ended[i] for i in best]
  np.testing.assert_allclose(found.score[0], scores[best], rtol=1e-4)


@pytest.mark.parametrize("alpha", [0.0, 0.6])
def test_rank_is_the_score_over_the_length_penalty(model, alpha):
  found = model.translate(SRC, ar.Search(beam=4, candidates=4, alpha=alpha, extra_length=1))
  tokens = found.tokens[0]
  lengths = np.count_nonzero(tokens, 1)
  expected = model.score(tf.repeat(SRC, 4, 0), tokens) / ((5 + lengths) / 6) ** alpha
  np.testing.assert_allclose(found.score[0], expected, rtol=1e-4)


def test_limit_is_the_source_and_what_is_extra(model):
  src = families.padded([[4], [4, 5], []], 4)
  held = model.embed.bias.numpy()
  forbid(model, types.EOS, bias=NEVER / 2)
  found = model.translate(src, ar.Search(beam=1, extra_length=1))
  model.embed.bias.assign(held)
  assert np.count_nonzero(found.tokens[:, 0], 1).tolist() == [3, 4, 0]


@pytest.mark.parametrize("ratio, most", [(0.0, [3, 4]), (1.0, [3, 4]), (1.5, [4, 5]), (1.2, [4, 5]), (0.5, [2, 3])])
def test_limit_is_a_multiple_of_the_source_rounded_up(model, ratio, most):
  src = families.padded([[4], [4, 5]], 4)  # Of 2 and 3 tokens, EOS counted.
  held = model.embed.bias.numpy()
  forbid(model, types.EOS, bias=NEVER / 2)
  found = model.translate(src, ar.Search(beam=1, extra_length=1, length_ratio=ratio))
  model.embed.bias.assign(held)
  assert np.count_nonzero(found.tokens[:, 0], 1).tolist() == most


def test_limits_are_within_the_places_and_no_less_than_nothing(model):
  src = families.padded([[4], [4, 5]], 4)
  held, positions = model.embed.bias.numpy(), model.config.net.max_length
  forbid(model, types.EOS, bias=NEVER / 2)
  found = model.translate(src, ar.Search(beam=1, length_ratio=50.0))
  model.embed.bias.assign(held)
  assert np.count_nonzero(found.tokens[:, 0], 1).tolist() == [positions, positions]
  with pytest.raises(ValueError, match="search.length_ratio"):
    ar.Search(length_ratio=-1.0)


def test_the_unknown_word_is_said_only_if_asked_for(model):
  held = model.embed.bias.numpy()
  forbid(model, types.UNK, bias=50.0)
  said = [model.translate(SRC, ar.Search(beam=2, unknown=unknown)).tokens.numpy() for unknown in (False, True)]
  model.embed.bias.assign(held)
  assert types.UNK not in said[0] and types.UNK in said[1]


def test_start_from_bos_changes_the_search_alone(model):
  changed = models.build("ar", ar.Config(model.config.net, start_from_bos=True), WORDS)
  for mine, theirs in zip(changed.variables, model.variables, strict=True):
    mine.assign(theirs.value)
  tgt = tf.constant([[4, types.EOS]])
  np.testing.assert_array_equal(changed.score(SRC, tgt), model.score(SRC, tgt))
  search = ar.Search(beam=2, alpha=0.0)
  assert not np.allclose(changed.translate(SRC, search).score, model.translate(SRC, search).score)


def test_another_judge_puts_the_candidates_in_order(model):
  src = tf.constant([[5, 5, types.EOS], [5, types.EOS, 0]])
  search = ar.Search(beam=3, candidates=3, alpha=0.0, extra_length=2)
  plain = model.translate(src, search)
  brief = lambda tokens: -tf.cast(tf.math.count_nonzero(tokens, -1), tf.float32)
  found = model.translate(src, search, rescore=brief)
  for row in range(2):
    lengths = tf.math.count_nonzero(plain.tokens[row], -1).numpy()
    assert found.score[row].numpy().tolist() == [-float(n) for n in sorted(lengths)]
    order = np.argsort(lengths, kind="stable")
    assert found.tokens[row].numpy().tolist() == plain.tokens[row].numpy()[order].tolist()


def test_r_drop_is_two_passes_with_masks_of_their_own(monkeypatch):
  batch, config = families.batch(), ar.Config(families.NET, consistency=2.0)
  model, seen = models.build("ar", config, len(families.VOCAB)), []
  compare = ar.divergence.compare
  monkeypatch.setattr(ar.divergence, "compare", lambda states, *args: seen.append(states) or compare(states, *args))
  terms = model.objective(batch, seed=[1, 2], training=True).terms
  log_p = tf.nn.log_softmax(model.embed.logits(seen[0]))  # [2, B, T, V]
  p, weight = tf.exp(log_p), tf.cast(batch.tgt != types.PAD, tf.float32) * batch.weight[:, None]
  apart = tf.reduce_sum((p[0] - p[1]) * (log_p[0] - log_p[1]), -1) / 2
  hit = tf.gather(log_p, tf.tile(batch.tgt[None], [2, 1, 1]), batch_dims=3)
  nats = tf.reduce_mean(-0.9 * hit - 0.1 * tf.reduce_mean(log_p, -1), 0)
  np.testing.assert_allclose(terms["token"].total, tf.reduce_sum(nats * weight), rtol=1e-5)
  np.testing.assert_allclose(terms["consistency"].total, tf.reduce_sum(apart * weight), rtol=1e-4)
  assert terms["consistency"].scale == 2.0 and terms["consistency"].total > 0
  assert terms["token"].count == terms["consistency"].count == tf.reduce_sum(weight)


def test_without_dropout_r_drop_is_silent():
  plain, twice = (models.build("ar", ar.Config(families.NET, consistency=c), len(families.VOCAB)) for c in (0.0, 1.0))
  twice.set_weights(plain.get_weights())
  at_rest = [model.objective(families.batch(), seed=None, training=False).terms for model in (plain, twice)]
  assert set(at_rest[0]) == set(at_rest[1]) == {"token"}
  np.testing.assert_allclose(at_rest[0]["token"].total, at_rest[1]["token"].total)
  still = dataclasses.replace(families.NET, **families.STILL)
  model = models.build("ar", ar.Config(still, consistency=1.0), len(families.VOCAB))
  model.set_weights(plain.get_weights())
  terms = model.objective(families.batch(), seed=[1, 2], training=True).terms
  np.testing.assert_allclose(terms["token"].total, at_rest[0]["token"].total, rtol=1e-5)
  assert abs(float(terms["consistency"].total)) < 1e-5


def test_refuses_a_negative_consistency():
  with pytest.raises(ValueError, match="model.consistency is at least 0; got -1"):
    ar.Config(consistency=-1.0)
