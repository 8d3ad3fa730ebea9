"""FlowSeq: filled targets, the bound by hand, the initialisation of the prior, and the three searches."""
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.decode import beam
from tf_nar.layers import flow
from tf_nar.layers import flow_prior
from tf_nar.models import flowseq
from tf_nar.ops import masking
from tf_nar.ops import schedule
from tf_nar.ops import tokens as tokens_lib

BATCH = families.batch(4, length=8)
ONE = flow_prior.Config((1,), ("half",), ffn=8)  # The smallest flow, of six couplings, and a unit of 1.


@pytest.fixture(scope="module")
def model():
  return families.build("flowseq")


def small(**changes):
  """Returns a new model with a small flow."""
  keras.utils.set_random_seed(0)
  net = dataclasses.replace(families.NET, **families.STILL)
  return models.build("flowseq", flowseq.Config(net, ONE, **changes), len(families.VOCAB))


def predicted(translation, row=0):
  return [tokens[tokens != types.PAD].tolist() for tokens in translation.tokens[row].numpy()]


def test_targets_are_filled_up_with_ends():
  model = small()
  model.unit = 2
  tgt = tf.constant([[5, 6, types.EOS], [7, types.EOS, 0], [0, 0, 0]])
  end = types.EOS
  np.testing.assert_array_equal(model.filled(tgt), [[5, 6, end, end], [7, end, 0, 0], [0, 0, 0, 0]])
  assert ONE.unit == 1 and flowseq.Config().flow.unit == 4


@pytest.mark.parametrize("length", ["offset", "absolute"])
def test_lengths_are_those_of_filled_targets(length):
  model = small(length=length)
  model.unit = 4
  memory = model.net.encode(BATCH.src)
  log_probs = model.length_log_probs(memory)
  assert log_probs.shape == (4, 4)
  np.testing.assert_allclose(tf.reduce_sum(tf.exp(log_probs[:, 1:]), -1), 1.0, rtol=1e-5)
  each = tf.nn.softmax(model.net.length_logits(memory)[:, 1:])
  np.testing.assert_allclose(tf.exp(log_probs[:, 2]), tf.reduce_sum(each[:, 4:8], -1), rtol=1e-4)
  lengths, found = model.likeliest(memory, 5)
  assert (np.sort(lengths, 1) == [4, 8, 12]).all()  # There are only three.
  np.testing.assert_allclose(found, tf.gather(log_probs, lengths // 4, batch_dims=1))


def test_score_is_the_importance_bound(model):
  src, tgt = BATCH.src[:1], BATCH.tgt[:1]
  memory, tgt = model.net.encode(src), model.filled(tgt)
  length = int(masking.lengths(tgt)[0])
  tgt = tgt[:, :length]
  q = model.read(memory, tgt)
  given = flow.Given(tf.ones([1, length], tf.bool), memory.states, memory.mask)
  log_weights = []
  for noise in model.draws(model.config.samples, flowseq.SCORE_SEED, length):
    z = q.mean + q.std * noise
    logits = model.net.embed.logits(model.decode(memory, z, tf.constant([length])))
    log_y = -tf.nn.sparse_softmax_cross_entropy_with_logits(tgt, logits)
    log_weights.append(float(tf.reduce_sum(log_y) + model.prior.log_prob(z, given)[0] - tf.reduce_sum(q.log_prob(z))))
  log_length = model.length_log_probs(memory)[0, length // model.unit]
  want = np.logaddexp.reduce(log_weights) - np.log(len(log_weights)) + log_length
  np.testing.assert_allclose(model.score(src, BATCH.tgt[:1])[0], want, rtol=1e-4)


def test_latents_and_flow_are_float32_under_bfloat16():
  model = families.build("flowseq", dtype="mixed_bfloat16")
  memory, tgt = model.net.encode(BATCH.src), model.filled(BATCH.tgt)
  q, mask = model.read(memory, tgt), masking.valid(tgt)
  given = model.given(memory, mask)
  assert memory.states.dtype == tf.bfloat16 and {x.dtype for x in (*q, given.source)} == {tf.float32}
  e, log_det = model.prior.flow.forward(q.mean * tf.cast(mask, tf.float32)[..., None], given)
  again = model.prior.flow.inverse(e, given)
  ratio = model.log_ratio(memory, q, q.mean[:, None], mask)
  kl = model.objective(BATCH, seed=[1, 2], training=True).terms["kl"].total
  assert {x.dtype for x in (e, log_det, again, ratio, kl)} == {tf.float32}
  real = tf.cast(mask, tf.float32)[..., None]
  np.testing.assert_allclose(again * real, q.mean * real, rtol=1e-4, atol=1e-4)


def test_kl_is_that_of_one_sample_and_its_weight_rises(model):
  kl = lambda **how: model.objective(BATCH, **{"seed": [1, 2], "training": True} | how).terms["kl"]
  assert [float(kl(step=step).scale) for step in (0, 50, 500)] == [0.0, 0.5, 1.0]
  assert kl(training=False).scale == 1.0
  tgt, memory = model.filled(BATCH.tgt), model.net.encode(BATCH.src)
  q, mask = model.read(memory, tgt), masking.valid(tgt)
  z = q.sample(model.draws(1, flowseq.SCORE_SEED, tgt.shape[1]))
  ratio = model.log_ratio(memory, q, z[:, None], mask)[:, 0]
  np.testing.assert_allclose(kl(training=False).total, -tf.reduce_sum(ratio * BATCH.weight), rtol=1e-5)


def test_below_the_budget_the_kl_is_free(monkeypatch):
  plain, model = small(), small(budget=schedule.Linear(1e4, 0.0, updates=10))
  with tf.GradientTape() as tape:
    kl = model.objective(BATCH, seed=[1, 2], training=True).terms["kl"]
  lengths = tf.cast(masking.lengths(BATCH.tgt), tf.float32)
  np.testing.assert_allclose(kl.total, 1e4 * tf.reduce_sum(lengths * BATCH.weight), rtol=1e-6)
  assert tf.linalg.global_norm(tape.gradient(kl.total, model.prior.trainable_variables)) == 0
  # Without a budget it is plain, also where a sample is below 0.
  monkeypatch.setattr(flowseq.Model, "log_ratio", lambda *_: tf.constant([[1.0], [-2.0], [3.0], [-4.0]]))
  for how in (dict(step=10, training=True), dict(step=0, training=False)):
    ours, theirs = (each.objective(BATCH, seed=[1, 2], **how).terms["kl"].total for each in (model, plain))
    np.testing.assert_array_equal(ours, theirs)


def test_the_prior_is_initialised_once_when_it_is_first_used():
  model, values = small(), lambda: {v.path: v.numpy() for v in model.variables}
  before = values()
  model.config = dataclasses.replace(model.config, reconstruct=True)
  model.initialise(BATCH, seed=[0, 2])
  assert all(np.array_equal(value, before[path]) for path, value in values().items())  # It is not in use.
  model.config = dataclasses.replace(model.config, reconstruct=False)
  model.initialise(BATCH, seed=[0, 2])
  changed = {path for path, value in values().items() if not np.array_equal(value, before[path])}
  assert all(path.endswith(("/log_scale", "/shift", "prior_begun")) for path in changed)
  assert len(changed) == 1 + 2 * sum(kind == "norm" for kind, *_ in flow_prior.plan(ONE)[0])
  before = values()
  model.initialise(BATCH, seed=[5, 2])  # As in a training that starts from this one.
  assert all(np.array_equal(value, before[path]) for path, value in values().items())
  for reconstruct in (True, False):  # But for one that reconstructs first: its latents will be others.
    model.config = dataclasses.replace(model.config, reconstruct=reconstruct)
    model.initialise(BATCH, seed=[5, 2])
  again = {path for path, value in values().items() if not np.array_equal(value, before[path])}
  assert again == {path for path in changed if not path.endswith("prior_begun")}


def test_reconstruction_trains_all_but_the_prior():
  model = small(reconstruct=True)
  paths = {v.path for v in model.trainable_variables}
  assert {v.path for v in model.variables} - paths == {v.path for v in model.prior.variables} | {model.begun.path}
  with tf.GradientTape() as tape:
    made = model.objective(BATCH, seed=[0, 0], training=True)
    value = types.loss(made)
  assert made.terms.keys() == {"token", "length"}
  assert not any(g is None for g in tape.gradient(value, [v.value for v in model.trainable_variables]))


def test_errors_are_those_of_the_reconstruction(model, monkeypatch):
  monkeypatch.setattr(model, "unit", 2)
  terms = model.objective(BATCH, seed=None, training=False).terms
  tgt, found = model.filled(BATCH.tgt), model.reconstruct(BATCH.src, BATCH.tgt)
  own = np.pad(BATCH.tgt.numpy() != types.PAD, [[0, 0], [0, tgt.shape[1] - BATCH.tgt.shape[1]]])
  weight = own * BATCH.weight.numpy()[:, None]
  assert own.sum() < (tgt.numpy() != types.PAD).sum()  # The other ends fill targets.
  np.testing.assert_allclose(terms["errors"].total, np.sum((found.numpy() != tgt.numpy()) * weight), rtol=1e-5)
  np.testing.assert_allclose(terms["errors"].count, weight.sum(), rtol=1e-5)
  assert terms["errors"].scale == 0.0 and not np.any(found.numpy()[tgt.numpy() == types.PAD])


def test_a_translation_decodes_what_the_flow_makes_of_zeros(model):
  found = model.translate(BATCH.src, flowseq.Search(odd=False))
  for row in range(4):
    memory = model.net.encode(BATCH.src[row:row + 1])
    lengths = model.likeliest(memory, 1)[0][:, 0]
    positions = int(lengths[0])
    given = model.given(memory, tf.ones([1, positions], tf.bool))
    z = model.prior.flow.inverse(tf.zeros([1, positions, model.config.size]), given)
    logits = model.net.embed.logits(model.decode(memory, z, lengths)).numpy()[0]
    logits[:, tokens_lib.forbidden()] = -np.inf
    tokens = logits.argmax(-1)
    ends = np.flatnonzero(tokens == types.EOS)
    assert predicted(found, row)[0] == [*tokens[:ends[0] if len(ends) else None], types.EOS]


def test_candidates_are_lengths_times_latents(model):
  plain = model.translate(BATCH.src, flowseq.Search())
  assert int(plain.passes) == 1
  several = model.translate(BATCH.src, flowseq.Search(candidates=6, latents=3, temperature=2.0))
  still = model.translate(BATCH.src, flowseq.Search(candidates=6, latents=3, temperature=0.0))
  for row in range(4):
    assert predicted(plain, row)[0] in predicted(several, row)  # The zero noise of the likeliest length.
    one, other = ([tuple(tokens) for tokens in predicted(found, row) if tokens] for found in (still, several))
    assert len(set(one)) == len(one) <= 2 < len(other) == len(set(other))  # Doubles are missing.
    assert list(np.isfinite(still.score[row])) == [True] * len(one) + [False] * (6 - len(one))
  again = model.translate(BATCH.src, flowseq.Search(candidates=6, latents=3, temperature=2.0, seed=1))
  assert any(set(map(tuple, predicted(several, row))) != set(map(tuple, predicted(again, row))) for row in range(4))


def test_ranking_by_the_bound_and_by_a_teacher(model):
  search = flowseq.Search(candidates=6, latents=3, temperature=2.0, rank="bound", alpha=1.0)
  found = model.translate(BATCH.src, search)
  assert int(found.passes) == 3
  for n in range(6):
    tokens = found.tokens[:, n]
    want = model.score(BATCH.src, tokens) / beam.length_penalty(masking.lengths(tokens), 1.0)
    there = masking.lengths(tokens) > 0
    want = tf.where(there, tf.maximum(want, tf.float32.min), -np.inf)
    np.testing.assert_allclose(found.score[:, n], want, rtol=1e-4)
  # A teacher who likes token 7 best.
  likes = lambda tokens: tf.reduce_sum(tf.cast(tokens == 7, tf.float32), -1)
  taught = model.translate(BATCH.src, dataclasses.replace(search, alpha=0.0), rescore=likes)
  assert int(taught.passes) == 2
  np.testing.assert_array_equal(
    taught.score, [[sum(t == 7 for t in tokens) if tokens else -np.inf for tokens in predicted(taught, row)]
                   for row in range(4)])


def test_odd_lets_ends_alone_be_repeated():
  model = small()
  searches = [flowseq.Search(odd=odd, alpha=0.0) for odd in (False, True)]
  for token, repeated in ((types.EOS, True), (7, False)):
    model.net.embed.bias.assign(100.0 * tf.one_hot(token, len(families.VOCAB)))  # The best token of every position.
    plain, odd = (model.translate(BATCH.src, search).score[:, 0].numpy() for search in searches)
    assert np.all((odd > plain - 1e-3) == repeated)


@pytest.mark.parametrize("changes, message", [
  (dict(length="mean"), "model.length is one of offset, absolute; got 'mean'"),
  (dict(word_dropout=1.0), "model.word_dropout is a share of tokens, at least 0 and below 1; got 1.0"),
  (dict(samples=0), "model.samples is at least 1"),
  (dict(kl=schedule.Linear(-1.0, 1.0, updates=5)), "model.kl.start is at least 0; got -1.0"),
  (dict(dimensions=6), r"model.dimensions must be a multiple of 2 net.heads \(4\)"),
  (dict(net=dataclasses.replace(families.NET, max_length=10)), "net.max_length must be a multiple of 4"),
])
def test_settings_that_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    flowseq.Config(**{"net": families.NET} | changes)


@pytest.mark.parametrize("changes, message", [
  (dict(candidates=5, latents=2), "a multiple of search.latents=2; got 5"),
  (dict(temperature=-1.0), "search.temperature is at least 0"),
  (dict(rank="beam"), "search.rank is one of decoder, bound; got 'beam'"),
])
def test_searches_that_are_refused(changes, message):
  with pytest.raises(ValueError, match=message):
    flowseq.Search(**changes)
