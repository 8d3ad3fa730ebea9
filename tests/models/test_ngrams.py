"""Fine-tuning by expected n-grams: the loss against an enumeration of sentences, and its effect in training."""
import dataclasses
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import types
from tf_nar.losses import ngrams
from tf_nar.models import ctc
from tf_nar.models import dag
from tf_nar.models import glat
from tf_nar.models import nat_em
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

INDEPENDENT = "nat_em", "glat"  # Their n-grams are as many as the target's, so that both scores are equal.
KINDS = [*itertools.product(("ctc", "dag"), ngrams.SCORES), *((name, "") for name in INDEPENDENT)]


def tuned(name, score, **net):
  model = families.build(name, **families.STILL | net)
  model.config = dataclasses.replace(model.config, ngrams=2, **{"ngram_score": score} if score else {})
  return model


def test_the_loss_is_one_minus_the_score():
  target, said = [5, 6, 5, 6, 7], {(5, 6): 3.0, (6, 5): 0.5, (8, 9): 1.5}  # Expected counts: 5 bigrams.
  pairs = list(itertools.pairwise(target))
  counts = [[said.get(pair, 0.0) for pair in pairs] + [0.0, 0.0]] * 2
  tgt = families.padded([target, [5]], 6)
  matches = min(2, 3.0) + min(1, 0.5) + 0

  def loss(score, nonempty):
    weight = tf.constant([2.0, 1.0])
    given = tf.constant(counts), tf.constant([5.0, 1.0]), tf.constant([nonempty, 2.0])
    term = ngrams.terms(tgt, *given, weight, 2, score)
    assert float(term["ngram"].count) == 2  # A sentence of one token has no bigram.
    return float(term["ngram"].total)

  assert loss("f1", 4.0) == pytest.approx(2 * (1 - 2 * matches / (4 + 5)))
  assert loss("precision", 6.0) == loss("precision", 5.0) == pytest.approx(2 * (1 - matches / 5))
  assert loss("precision", 4.0) == pytest.approx(2 * (1 - matches / 5 * np.exp(1 - 5 / 4)))


@pytest.mark.parametrize("score", ngrams.SCORES)
def test_of_a_graph_it_is_that_of_all_its_sentences(score):
  model = tuned("dag", score)
  target, src = [6, 7], tf.constant([[types.EOS]])  # Four vertices, of which two emit tokens.
  every = [tokens for n in (0, 1, 2) for tokens in itertools.product(range(1, len(families.VOCAB)), repeat=n)]
  every = [tokens for tokens in every if types.EOS not in tokens]
  padded = families.padded(every, 3)
  padded = tf.where((tf.range(3) == 0) & (tf.reduce_sum(padded, 1, keepdims=True) == 0), types.EOS, padded)
  probs = np.exp(model.score(tf.repeat(src, len(every), 0), padded))
  matches = min(1.0, sum(p for p, tokens in zip(probs, every, strict=True) if list(tokens) == target))
  total = sum(p for p, tokens in zip(probs, every, strict=True) if len(tokens) == 2)
  length = sum(p * len(tokens) for p, tokens in zip(probs, every, strict=True))
  expected = 2 * matches / (1 + total) if score == "f1" else matches / total * np.exp(1 - 2 / length)
  batch = types.Batch(src, families.padded([target], 4), tf.ones([1]))
  term = model.objective(batch, seed=[1, 2], training=True).terms["ngram"]
  assert float(term.total) == pytest.approx(1 - expected, abs=0.01)


@pytest.mark.parametrize("name", INDEPENDENT)
def test_of_independent_tokens_it_is_that_of_all_sentences_of_the_targets_length(name):
  model, src, target = tuned(name, ""), tf.constant([[7, types.EOS]] * 2), [6, 7, 6, 7]
  count, length = len(families.VOCAB), len(target) + 1
  alike = tf.repeat(tf.range(1, count)[:, None], length, 1)  # A sentence of one token alone gives its p everywhere.
  each = np.exp(model.score_tokens(tf.repeat(src[:1], count - 1, 0), alike))
  each = np.concatenate([1 - each.sum(0, keepdims=True), each])  # The rest is PAD's.
  every = np.array(list(itertools.product(range(count), repeat=length)))
  probs = np.prod([each[every[:, i], i] for i in range(length)], 0)
  pairs = [*itertools.pairwise([*target, types.EOS])]
  found = {pair: 0.0 for pair in pairs}
  for p, tokens in zip(probs, every, strict=True):
    for pair in itertools.pairwise(tokens.tolist()):
      if pair in found:
        found[pair] += p
  matches = sum(min(pairs.count(pair), count) for pair, count in found.items())
  batch = types.Batch(src, families.padded([target, []], 6), tf.ones([2]))  # One token, EOS, has no bigram.
  term = model.objective(batch, seed=[1, 2], training=True).terms["ngram"]
  assert float(term.total) == pytest.approx(1 - matches / len(pairs), abs=1e-5)
  assert float(term.count) == 1


@pytest.mark.parametrize(("name", "score"), KINDS)
def test_teaches_what_the_target_says(name, score):
  model = tuned(name, score, width=32, ffn=64)
  recipe = config.Optimizer(learning_rate=5e-3, warmup=20)
  update = step_lib.Update(model, optimizer.Adam(recipe, model.trainable_variables), config.Train(optimizer=recipe))
  batch = families.batch(count=3)
  term = lambda: model.objective(batch, seed=[1, 2], training=True).terms["ngram"]
  agrees = lambda: float(term().total / term().count)
  before = agrees()
  for step in range(80):
    update([batch], step)
  assert agrees() < (0.4 if score == "f1" else 0.6) < 0.8 < before


@pytest.mark.parametrize(("name", "score"), KINDS)
def test_every_weight_learns_and_blank_rows_count_nowhere(name, score):
  model, batch = tuned(name, score, width=32, ffn=64), families.batch(count=3)
  variables = [v.value for v in model.trainable_variables]

  def gradients(batch):
    with tf.GradientTape() as tape:
      value = types.loss(model.objective(batch, seed=[1, 2], training=True))
    return [value, *map(tf.convert_to_tensor, tape.gradient(value, variables))]

  blank = lambda x: tf.concat([x, tf.zeros_like(x[:1])], 0)
  alone, beside = gradients(batch), tf.function(gradients, autograph=False)(types.Batch(*map(blank, batch)))
  for one, other in zip(alone, beside, strict=True):
    assert np.any(one) and np.isfinite(one).all()
    np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(("name", "score"), KINDS)
def test_at_rest_the_loss_is_the_likelihood(name, score):
  model = tuned(name, score)
  assert "token" in model.objective(families.batch(), seed=None, training=False).terms


@pytest.mark.parametrize("made", [ctc.Config, dag.Config, nat_em.Config, glat.Config])
def test_refuses_other_orders(made):
  with pytest.raises(ValueError, match=r"model.ngrams must be 0, for the likelihood, or from 2 to 4; got 1\."):
    made(ngrams=1)


@pytest.mark.parametrize("made", [ctc.Config, dag.Config])
def test_refuses_an_unknown_score(made):
  with pytest.raises(ValueError, match="model.ngram_score"):
    made(ngram_score="recall")
