"""What is specific to discrete latents: the bound, the predictor, start-up, and the state of the codes."""
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.layers import quantizer
from tf_nar.models import latent_codes
from tf_nar.ops import masking
from tf_nar.ops import noise
from tf_nar.ops import schedule
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

TINY, BATCH = families.TINY["latent_codes"], families.batch()
NEVER, ALWAYS = schedule.Linear(0.0, 0.0, 1), schedule.Linear(1.0, 1.0, 1)
SEED = tf.constant([1, 2])


def build(**changes):
  """A tiny model in which every weight has an effect, without dropout or smoothing."""
  keras.utils.set_random_seed(0)
  net = dataclasses.replace(TINY.config.net, **families.STILL)
  made = dataclasses.replace(TINY.config, net=net, smoothing=0.0, length_factor=1.0, **changes)
  return families.shaken(models.build("latent_codes", made, len(families.VOCAB)), 0.2)


@pytest.fixture(scope="module")
def model():
  return build()


def terms(model, batch=BATCH, **options):
  return model.objective(batch, **dict(seed=None, training=False) | options).terms


def test_the_bound_is_the_sum_of_the_losses(model):
  even = BATCH._replace(weight=tf.ones_like(BATCH.weight))
  made = terms(model, even)
  total = sum(float(made[name].total) for name in ("token", "length", "codes"))
  assert -float(tf.reduce_sum(model.score(even.src, even.tgt))) == pytest.approx(total, rel=1e-4)


def test_the_bound_is_below_the_sum_over_all_codes():
  model = build(bottleneck=quantizer.Config(codes=3))
  src, tgt = BATCH.src[:1], families.padded([[6, 7]], 3)  # Two codes for three positions.
  memory, lengths = model.net.encode(src), tf.constant([3])
  ways = []
  for code in np.ndindex(3, 3):
    labels = tf.constant([code])
    states = model.states(model.bottleneck.embed(labels), lengths, 3, memory)
    prior = tf.reduce_sum(model.prior.log_probs(labels[..., None], memory), 1)
    ways.append(float((prior + model.net.embed.log_prob(states, tgt) + model.net.length_log_prob(memory, lengths))[0]))
  chosen = tuple(model.encode_target(tgt)[1].labels[0, :, 0].numpy())
  score = float(model.score(src, tgt)[0])
  assert score == pytest.approx(ways[chosen[0] * 3 + chosen[1]], rel=1e-4)
  assert score < np.log(np.sum(np.exp(ways)))
  # The predictor's probabilities of all code sequences sum to one.
  every = tf.constant(list(np.ndindex(3, 3)))[..., None]
  log_probs = model.prior.log_probs(every, model.net.encode(tf.repeat(src, 9, 0)))
  assert float(tf.reduce_sum(tf.exp(tf.reduce_sum(log_probs, 1)))) == pytest.approx(1, rel=1e-4)


def test_codes_of_a_batch_are_those_of_each_sentence(model):
  together = model.encode_target(BATCH.tgt)[1].labels.numpy()
  for row in range(len(BATCH.tgt)):
    length = int(np.count_nonzero(BATCH.tgt[row]))
    alone = model.encode_target(BATCH.tgt[row:row + 1, :length])[1].labels.numpy()
    np.testing.assert_array_equal(alone[0], together[row, :alone.shape[1]])


def test_no_padding_reaches_a_code(model):
  wide = types.Batch(*(tf.pad(field, [[0, 2], [0, 3]]) for field in BATCH[:2]), tf.pad(BATCH.weight, [[0, 2]]))
  one, other = (model.objective(each, seed=None, training=False).statistics for each in (BATCH, wide))
  for name, value in one.items():
    np.testing.assert_allclose(value, other[name], rtol=1e-4, atol=1e-5, err_msg=name)
  real = -(-np.count_nonzero(BATCH.tgt, 1) // 2) * BATCH.weight.numpy()
  np.testing.assert_allclose(np.sum(one["counts"]), np.sum(real), rtol=1e-6)


def test_the_search_reads_what_the_predictor_was_trained_on(model):
  memory, lengths = model.net.encode(BATCH.src), tf.constant([9, 4, 1, 6, 7, 8])
  found = model._search(lengths, 9, memory, 3)
  real = tf.sequence_mask(-(-lengths // 2), 5)
  for k in range(3):
    each = tf.where(real, model.prior.log_probs(found.codes[:, k, :, None], memory), 0.0)
    wanted = found.score[:, k] > -np.inf
    np.testing.assert_allclose(tf.reduce_sum(each, 1)[wanted], found.score[:, k][wanted], rtol=1e-4, atol=1e-4)
  assert int(found.passes) == 5


def test_steps_are_those_of_the_codes_before_one_pass(model):
  found = model.translate(BATCH.src, latent_codes.Search())
  length = int(tf.reduce_max(tf.argmax(model.net.length_logits(model.net.encode(BATCH.src)), 1)))
  assert (int(found.passes), int(found.steps)) == (1, -(-max(length, 2) // 2))
  ranked = model.translate(BATCH.src, TINY.search, lambda tokens: -tf.cast(tokens[..., 0], tf.float32))
  assert int(ranked.passes) == 2


def test_candidates_are_lengths_times_code_sequences(model):
  search = latent_codes.Search(beam=4, candidates=6, lengths=3)
  found = model.translate(BATCH.src, search)
  assert found.tokens.shape[:2] == (6, 6) and np.isfinite(found.score).all()
  assert search.with_candidates(7).candidates == 9 and search.with_candidates(7).beam == 4
  wanted = model.translate(BATCH.src, search).tokens[:, -1]
  picks = lambda tokens: tf.where(
    tf.reduce_all(tokens == wanted[:, None, :tf.shape(tokens)[2]], -1), -1.0, -99.0)
  np.testing.assert_array_equal(model.translate(BATCH.src, search, picks).tokens[:, 0], wanted)


def test_revealed_targets_have_no_loss():
  model = build(gold=schedule.Linear(0.5, 0.0, 100), bypass=NEVER)
  whole, half, late = (terms(model), terms(model, seed=SEED, training=True, step=0),
                       terms(model, seed=SEED, training=True, step=100))
  assert 0.2 < float(half["token"].count / whole["token"].count) < 0.8
  assert float(late["token"].count) == pytest.approx(float(whole["token"].count))
  assert float(late["token"].total) == pytest.approx(float(whole["token"].total), rel=1e-4)


def test_a_bypassed_sentence_is_decoded_from_its_vectors():
  model = build(bypass=ALWAYS, gold=NEVER)
  made = float(terms(model, seed=SEED, training=True)["token"].total)
  model.bottleneck.sums.assign(-model.bottleneck.sums)
  assert float(terms(model, seed=SEED, training=True)["token"].total) == pytest.approx(made, rel=1e-5)


def test_the_weight_of_the_codes_rises(model):
  weight = lambda step: float(terms(model, seed=SEED, training=True, step=step)["codes"].scale)
  assert [weight(step) for step in (0, 50, 100, 500)] == [0.0, 0.5, 1.0, 1.0]


def test_a_causal_decoder_sees_no_later_target():
  model = build(causal=True, gold=ALWAYS, bypass=NEVER)
  memory, lengths = model.net.encode(BATCH.src), tf.constant([9] * 6)
  def states(tgt):
    gold = model.net.embed.look_up(tgt), tf.ones([6, 9], tf.bool)
    return model.states(tf.zeros([6, 5, 16]), lengths, 9, memory, gold=gold).numpy()
  one = tf.fill([6, 9], 7)
  other = tf.concat([one[:, :4], 1 + one[:, 4:]], 1)
  np.testing.assert_allclose(states(one)[:, :5], states(other)[:, :5], rtol=1e-4, atol=1e-5)
  assert not np.allclose(states(one)[:, 5:], states(other)[:, 5:], atol=1e-3)
  count = terms(model, seed=SEED, training=True)["token"].count
  assert float(count) == pytest.approx(float(terms(model)["token"].count))  # All targets have a loss.


PLAIN = dict(gold=NEVER, bypass=NEVER)  # No draw, so that parts of a batch make the step of the whole.
HALVES = [types.Batch(*(field[start:start + 3] for field in BATCH)) for start in (0, 3)]


def absorbed(model, *batches):
  """The model after absorbing the statistics of an update on micro-batches."""
  each = [model.objective(batch, seed=SEED, training=True).statistics for batch in batches]
  model.absorb({name: tf.add_n([one[name] for one in each]) for name in each[0]})
  return model


def assert_same_codes(one, other):
  for name in ("counts", "sums"):
    mine, theirs = (getattr(each.bottleneck, name).numpy() for each in (one, other))
    np.testing.assert_allclose(mine, theirs, rtol=1e-3, atol=1e-4)
  assert one.bottleneck.updates.numpy() == other.bottleneck.updates.numpy() == 1


def test_micro_batches_move_the_codebook_as_their_whole():
  whole = absorbed(build(**PLAIN), BATCH)
  assert not np.allclose(whole.bottleneck.codebook, build(**PLAIN).bottleneck.codebook)
  assert_same_codes(absorbed(build(**PLAIN), *HALVES), whole)


def test_a_sentence_votes_with_its_weight():
  model, batch = build(**PLAIN), BATCH._replace(weight=tf.constant([3.0, 0.0, 0.5, 1.0, 1.0, 1.0]))
  labels = model.encode_target(batch.tgt)[1].labels.numpy()[..., 0]
  lengths = -(-masking.lengths(batch.tgt).numpy() // 2)  # In codes of two positions.
  wanted = np.zeros(16)
  for row, weight in enumerate(batch.weight.numpy()):
    np.add.at(wanted, labels[row, :lengths[row]], weight)
  made = model.objective(batch, seed=None, training=False).statistics
  np.testing.assert_allclose(made["counts"][0], wanted, rtol=1e-6)
  assert float(made["voters"]) == pytest.approx(wanted.sum())


@pytest.mark.slow  # It compiles an update twice.
def test_replicas_move_the_codebook_as_their_whole(two):
  def updated():
    model, recipe = build(**PLAIN), config.Optimizer(learning_rate=1e-2, warmup=1)
    step_lib.Update(model, optimizer.Adam.of(recipe, model), config.Train(optimizer=recipe))([BATCH], 0)
    return model
  with two.scope():
    replicas = updated()
  assert_same_codes(replicas, updated())


def test_settled_codes_stay_and_all_else_learns():
  model = build(settled=True)
  learning = {variable.path for variable in model.trainable_variables}
  kept = {variable.path for variable in model.variables} - learning
  assert kept and {path.split("/")[0] for path in kept} == {"targets", "compressor", "bottleneck"}
  assert not any(path.startswith(("targets/", "compressor/", "bottleneck/")) for path in learning)
  assert np.array_equal(absorbed(model, BATCH).bottleneck.codebook, build(settled=True).bottleneck.codebook)
  made = terms(model, seed=SEED, training=True)
  assert made["codes"].scale == 1.0 and float(made["token"].count) == float(terms(model)["token"].count)


def test_settled_codes_of_a_target_stay_in_updates():
  model = families.build("latent_codes", config=dataclasses.replace(TINY.config, settled=True), dropout=0.3)
  labels = lambda **noise: model.encode_target(BATCH.tgt, **noise)[1].labels.numpy()
  before, recipe = labels(), config.Optimizer(learning_rate=1e-2, warmup=1)
  update = step_lib.Update(model, optimizer.Adam.of(recipe, model), config.Train(optimizer=recipe))
  for step in range(3):
    update([BATCH], step)
  np.testing.assert_array_equal(labels(), before)
  noisy = noise.Dropout(tf.constant([1, 2]))
  np.testing.assert_array_equal(labels(dropout=noisy, seed=tf.constant([3, 4])), before)


def test_errors_are_those_of_the_reconstruction():
  model = build()
  found, real = model.reconstruct(BATCH.src, BATCH.tgt).numpy(), BATCH.tgt.numpy() != types.PAD
  wrong = ((found != BATCH.tgt.numpy()) & real) * BATCH.weight.numpy()[:, None]
  made = terms(model)["errors"]
  assert float(made.total) == pytest.approx(wrong.sum()) and float(made.count) == pytest.approx(
    (real * BATCH.weight.numpy()[:, None]).sum())
  assert "errors" not in terms(model, seed=SEED, training=True) and not found[~real].any()


def test_the_first_batch_initialises_the_codebook_of_a_new_model_only():
  model = build()
  vectors, _, real = model.encode_target(BATCH.tgt)
  model.initialise(BATCH, seed=[0, 2])
  near = np.abs(model.bottleneck.codebook.numpy()[0][:, None] - vectors.numpy()[real.numpy()][None]).max(-1).min(-1)
  np.testing.assert_allclose(near, 0, atol=1e-4)
  trained = absorbed(model, BATCH).bottleneck.codebook.numpy()
  model.initialise(BATCH, seed=[0, 3])  # As at the start of a later phase.
  np.testing.assert_array_equal(model.bottleneck.codebook, trained)


def test_the_use_of_codes_is_logged_until_they_are_settled(model):
  made = terms(model)
  total, count, scale = made["perplexity"]
  assert float(total / count) == pytest.approx(float(model.bottleneck.use()["perplexity"])) and not scale
  assert made["restarted"].scale == 0 and "unused" not in made
  assert not {"perplexity", "restarted"} & terms(build(settled=True)).keys()


@pytest.mark.parametrize("bottleneck", [
  dict(samples=5), dict(slices=2), dict(kind="hash"), dict(kind="gumbel")], ids=str)
def test_every_bottleneck_learns_and_translates(bottleneck):
  model = build(bottleneck=quantizer.Config(codes=16, **bottleneck), **PLAIN)
  with tf.GradientTape() as tape:
    loss = types.loss(model.objective(BATCH, seed=SEED, training=True, step=50))
  gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
  assert all(np.isfinite(tf.convert_to_tensor(each)).all() for each in gradients)
  assert 1 < float(absorbed(model, BATCH).bottleneck.use()["perplexity"]) <= 16
  found = model.translate(BATCH.src, TINY.search)
  assert np.isfinite(found.score).all() and np.isfinite(model.score(BATCH.src, BATCH.tgt)).all()


@pytest.mark.parametrize("make, message", [
  (lambda: latent_codes.Config(compress=-1), "model.compress is at least 0; got -1"),
  (lambda: latent_codes.Config(compress=9), "model.compress=9 makes a code of 512 positions, .* net.max_length=256"),
  (lambda: latent_codes.Config(prior_layers=0), "model.prior_layers is at least 1; got 0"),
  (lambda: latent_codes.Config(gold=schedule.Linear(1.5, 0.0, 9)),
   "model.gold.start and .end must each be a share from 0 to 1; got 1.5 and 0.0"),
  (lambda: latent_codes.TRAITS.check(
    latent_codes.Config(dataclasses.replace(families.NET, tie="none"), settled=True), latent_codes.Search()),
   "net.tie=none .*, which this model never reads; choose net.tie=target"),
  (lambda: latent_codes.Search(lengths=0), "search.lengths is at least 1; got 0"),
  (lambda: latent_codes.Search(beam=4, candidates=4, lengths=3), "must be a multiple of search.lengths.*; got 4 and 3"),
  (lambda: latent_codes.Search(candidates=4, lengths=2), "beam=1, candidates=4, lengths=2; set search.beam=2"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()
