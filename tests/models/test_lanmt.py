"""LaNMT: the budget of KL, the length transform, delta inference, latent search, and the bound."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.decode import beam
from tf_nar.layers import latents
from tf_nar.layers import lengths as lengths_lib
from tf_nar.layers import transformer
from tf_nar.models import lanmt
from tf_nar.models import lanmt_search
from tf_nar.ops import copying
from tf_nar.ops import gaussian
from tf_nar.ops import masking
from tf_nar.ops import noise
from tf_nar.ops import tokens as tokens_lib

BATCH = families.batch()
SOURCE = lanmt.Config(families.NET, lanmt.Latent("source"))


def source_axis():
  return families.build("lanmt", config=SOURCE)


@pytest.fixture(scope="module")
def tiny():
  return {"target": families.build("lanmt"), "source": source_axis()}


@pytest.mark.parametrize("budget, moves", [(10.0, False), (0.1, True), (0.0, True)])
def test_the_kl_under_the_budget_has_no_gradient(budget, moves):
  mean, prior = tf.constant([[[1.0, 1.0], [5.0, 0.0]]]), gaussian.Gaussian(tf.zeros([1, 2, 2]), tf.ones([1, 2, 2]))
  with tf.GradientTape() as tape:
    tape.watch(mean)
    terms = lanmt.kl_terms(gaussian.Gaussian(mean, tf.ones([1, 2, 2])), prior, tf.ones([1, 2]), budget)
  # KL is |mean|^2 / 2: 1 nat at the first position, summed over its dimensions before the maximum, 12.5 at the second.
  np.testing.assert_allclose(terms["kl"].total, max(1.0, budget) + 12.5)
  np.testing.assert_allclose([terms["kl_whole"].total, terms["active"].total, terms["active"].count], [13.5, 3.0, 2.0])
  np.testing.assert_allclose(tape.gradient(terms["kl"].total, mean)[0], [[float(moves)] * 2, [5.0, 0.0]])


def test_noise_is_for_the_posterior_in_training_alone(tiny):
  model = families.build("lanmt", config=lanmt.Config(families.NET, replaced=0.9))
  read, posterior = [], model.posterior
  model.posterior = lambda source, tokens, *more: read.append(tokens.numpy()) or posterior(source, tokens, *more)
  clean, noisy = (
    model.objective(BATCH, seed=tf.constant([1, 2]), training=training).terms for training in (False, True))
  np.testing.assert_array_equal(read[0], BATCH.tgt)
  changed = read[1] != BATCH.tgt.numpy()
  assert changed.any() and not changed[BATCH.tgt.numpy() == types.PAD].any()
  assert float(clean["token"].count) == float(noisy["token"].count)
  same = tiny["target"].objective(BATCH, seed=None, training=False).terms  # The same weights, without the option.
  np.testing.assert_allclose(clean["token"].total, same["token"].total, rtol=1e-5)


def test_what_is_logged_by_hand(tiny):
  model = tiny["target"]
  terms = model.objective(BATCH, seed=None, training=False).terms
  lengths = masking.lengths(BATCH.tgt)
  source = model.encode(BATCH.src)
  likeliest = np.argmax(model.net.length_logits(source.memory), -1)
  real = BATCH.weight.numpy() * (lengths.numpy() > 0)
  total, count, scale = terms["length_right"]
  assert (float(total), float(count), scale) == ((real * (likeliest == lengths.numpy())).sum(), real.sum(), 0.0)
  q, prior = (gaussian.Gaussian(*(part.numpy() for part in each)) for each in (
    model.posterior(source, BATCH.tgt, lengths), model.prior(source, lengths, BATCH.tgt.shape[1])))
  each = np.log(prior.std / q.std) + (q.std**2 + (q.mean - prior.mean)**2) / (2 * prior.std**2) - 0.5
  nats = (each.sum(-1) * (BATCH.tgt.numpy() > 0) * BATCH.weight.numpy()[:, None]).sum()
  total, count, scale = terms["kl_sentence"]
  np.testing.assert_allclose([total, count, scale], [nats, real.sum(), 0.0], rtol=1e-4)


def test_the_gradient_of_a_sample():
  eps, target = noise.normal([3, 4], tf.constant([1, 2])), noise.normal([3, 4], tf.constant([3, 4]))
  f = lambda mean, std: tf.reduce_sum(tf.sin(gaussian.Gaussian(mean, std).sample(eps)) * target)
  mean, std, step = tf.fill([3, 4], 0.3), tf.fill([3, 4], 0.7), 1e-2
  with tf.GradientTape() as tape:
    tape.watch([mean, std])
    value = f(mean, std)
  gradients = tape.gradient(value, [mean, std])
  for way in (tf.ones([3, 4]), noise.normal([3, 4], tf.constant([5, 6]))):
    for gradient, high, low in ((gradients[0], f(mean + step * way, std), f(mean - step * way, std)),
                                (gradients[1], f(mean, std + step * way), f(mean, std - step * way))):
      np.testing.assert_allclose(tf.reduce_sum(gradient * way), (high - low) / (2 * step), rtol=2e-3)


def test_length_transform_by_hand():
  # S = 6, T = 8, sigma = 1: position 7 is at 7 * 6 / 8 = 5.25, 0.25 from the last source position.
  weights = copying.soft(tf.constant([6]), tf.constant([8]), 7, 8, 2.0, first=0).numpy()[0]
  away = np.arange(6) - 5.25
  want = np.exp(-away**2 / 2) / np.exp(-away**2 / 2).sum()
  np.testing.assert_allclose(weights[7], [*want, 0.0], rtol=1e-5)
  np.testing.assert_allclose(weights[7, 5], 0.64, atol=0.005)
  np.testing.assert_allclose(weights.sum(-1), 1.0, rtol=1e-5)


def test_the_canvas_of_latents_of_the_source_by_hand(tiny):
  model, src = tiny["source"], tf.constant([[5, 6, 7, types.EOS]])
  axis, source, lengths = model.axis, model.encode(src), tf.constant([3])
  z, sigma = noise.normal([1, 4, model.config.latent.dimensions], tf.constant([1, 2])), axis.sigma.numpy()
  axis.sigma.assign(0.7)
  away = np.arange(4) - np.arange(3)[:, None] * 4 / 3
  weights = np.exp(-away**2 / (2 * 0.7**2))
  mixed = (weights / weights.sum(-1, keepdims=True)) @ axis.vector(z).numpy()[0]
  length = axis.length_table.numpy()[3] * families.NET.width**0.5
  want = mixed / 2**0.5 + (model.net.embed.positions(3).numpy() + length) / 2
  np.testing.assert_allclose(axis.canvas(model.net, source, z, lengths, 3)[0], want, rtol=1e-4, atol=1e-5)
  axis.sigma.assign(0.0)  # Then each position reads the nearest latent; there is no division by zero.
  assert np.isfinite(axis.canvas(model.net, source, z, lengths, 3)).all()
  axis.sigma.assign(sigma)


def test_a_block_adds_the_input_of_the_stack():
  net = dataclasses.replace(families.NET, norm="pre", **families.STILL)
  stack = transformer.Stack(net, 2, block=latents.InputSkip, name="stack")
  x, mask = noise.normal([2, 3, 16], tf.constant([1, 2])), tf.fill([2, 1, 3], True)
  for variable in stack.variables:
    if "out/" in variable.path or "ffn_out" in variable.path:
      variable.assign(tf.zeros_like(variable))  # Each block then returns its input.
  once = (x + x) * 0.5**0.5
  np.testing.assert_allclose(stack.layers(x, mask)[0], once, rtol=1e-5)
  np.testing.assert_allclose(stack(x, mask), stack.norm(tf.reshape((x + once) * 0.5**0.5, [-1, 16])).numpy().reshape(
    2, 3, 16), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("axis", ["target", "source"])
def test_a_delta_step_is_the_posterior_mean_of_the_best_tokens(tiny, axis):
  model, search = tiny[axis], lanmt.Search(steps=1, candidates=4, latents=2)
  source = model.encode(BATCH.src)
  start = lanmt_search.begin(model, source, search)
  made = lanmt_search.delta_refinement(model, search)(source, start, False)
  logits = model.net.embed.logits(model.decode(source, start.z, start.lengths, tf.shape(start.tokens)[1])).numpy()
  logits[..., tokens_lib.forbidden(False)] = -np.inf
  tokens = tf.where(tf.sequence_mask(start.lengths, logits.shape[1]), tf.argmax(logits, -1, tf.int32), types.PAD)
  np.testing.assert_allclose(made.z, model.posterior(source, tokens, start.lengths).mean, rtol=1e-4, atol=1e-5)
  assert int(made.passes) == 2
  np.testing.assert_array_equal(masking.lengths(tokens), start.lengths)
  if axis == "target":
    np.testing.assert_array_equal(made.lengths, start.lengths)


@pytest.mark.parametrize("count, latents", [(1, 1), (3, 1), (3, 2)])
def test_a_step_of_latents_of_the_source_predicts_the_length_again(tiny, count, latents):
  model, search = tiny["source"], lanmt.Search(steps=1, candidates=count * latents, latents=latents)
  kernel = model.axis.vector.kernel.numpy()
  model.axis.vector.kernel.assign(30.0 * kernel)  # The length then depends on z more than on the source.
  source = model.encode(BATCH.src)
  start = lanmt_search.begin(model, source, search)
  made = lanmt_search.delta_refinement(model, search)(source, start, False)
  logits = model.net.length_logits(model.axis.length_memory(source, made.z))
  model.axis.vector.kernel.assign(kernel)
  order = np.argsort(-logits.numpy()[:, 2:], -1, kind="stable") + 2  # Of several lengths each keeps its place in it.
  again = np.minimum([row[n % count] for n, row in enumerate(order)], start.lengths + lanmt_search.GROWTH)
  np.testing.assert_array_equal(made.lengths, again)
  assert np.any(made.lengths != start.lengths)


@pytest.mark.parametrize("axis", ["target", "source"])
def test_padding_beyond_the_longest_sentence(axis):
  net = dataclasses.replace(families.NET, positions="sine")
  model = families.build("lanmt", config=lanmt.Config(net, lanmt.Latent(axis)))
  src, tgt = (tf.pad(tokens, [[0, 0], [0, net.max_length + 3 - tokens.shape[1]]]) for tokens in (BATCH.src, BATCH.tgt))
  np.testing.assert_allclose(model.score(src, tgt), model.score(BATCH.src, BATCH.tgt), rtol=1e-5)
  search = lanmt.Search(candidates=4, latents=2, temperature=1.0)
  wide, narrow = (model.translate(sources, search) for sources in (src, BATCH.src))
  np.testing.assert_allclose(wide.score, narrow.score, rtol=1e-5)


def test_the_bound_of_the_longest_candidate():
  net = dataclasses.replace(families.NET, max_length=6)
  model = families.build("lanmt", config=dataclasses.replace(SOURCE, net=net))
  tgt = tf.constant([[5] * 6 + [types.EOS]])  # As of a candidate of the greatest length that has no EOS.
  assert float(model.score(tf.constant([[5, 6, types.EOS]]), tgt)[0]) == -np.inf
  search = lanmt.Search(refine="none", candidates=5, rank="bound")  # All lengths there are.
  model.net.embed.bias.assign(-100.0 * tf.one_hot(types.EOS, len(families.VOCAB)))
  found = model.translate(tf.fill([2, 6], 5), search)
  assert np.any(found.tokens.numpy()[..., 6] == types.EOS)  # The longest, which is the last, and not missing.
  np.testing.assert_array_equal(np.isfinite(found.score), np.any(found.tokens, -1))


def test_the_walk_of_a_plot_has_room_whatever_the_search(tiny):
  walk = lambda refine: tiny["source"].latents(BATCH.src, lanmt.Search(refine=refine, steps=2)).walks["delta"]
  np.testing.assert_array_equal(walk("none"), walk("delta"))
  more = tiny["source"].latents(BATCH.src, lanmt.Search(steps=2, candidates=6, latents=2)).walks["delta"]
  np.testing.assert_array_equal(walk("delta"), more)
  source = tiny["source"].encode(BATCH.src)
  start = lambda refine: lanmt_search.begin(tiny["source"], source, lanmt.Search(refine=refine))
  longest = max(start("none").lengths.numpy())
  assert start("none").tokens.shape[1] == longest
  assert start("delta").tokens.shape[1] == min(longest + lanmt_search.GROWTH, families.NET.max_length)


@pytest.mark.parametrize("axis", ["target", "source"])
def test_a_fixed_point_stays_and_ends_the_steps(tiny, axis):
  model = tiny[axis]
  kernel = model.axis.vector.kernel.numpy()
  model.axis.vector.kernel.assign(tf.zeros_like(kernel))  # The tokens are the same from any z: the second step stays.
  source = model.encode(BATCH.src)
  start = lanmt_search.begin(model, source, lanmt.Search())
  made = lanmt_search.delta_refinement(model, lanmt.Search(steps=30, stop=True))(source, start, False)
  again = lanmt_search.delta_refinement(model, lanmt.Search(steps=1))(
    source, lanmt_search.State(made.z, made.lengths, start.tokens), False)
  model.axis.vector.kernel.assign(kernel)
  assert int(made.passes) == 4
  np.testing.assert_allclose(again.z, made.z, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(again.lengths, made.lengths)


@pytest.mark.parametrize("axis", ["target", "source"])
def test_a_predicted_length_is_never_0(tiny, axis):
  model = tiny[axis]
  for variable in model.net.offsets.variables:  # Always far shorter than the source.
    if variable.path.endswith("bias"):
      before = variable.numpy()
      variable.assign(1000.0 * tf.cast(tf.range(variable.shape[0]) < lengths_lib.REACH - 9, tf.float32))
  src = tf.pad(BATCH.src, [[0, 1], [0, 0]])
  start = lanmt_search.begin(model, model.encode(src), lanmt.Search(candidates=2))
  model.net.offsets.out.bias.assign(before)
  assert start.lengths.numpy()[:-2].min() >= 2 and (start.lengths.numpy()[-2:] == 0).all()


@pytest.mark.parametrize("axis", ["target", "source"])
@pytest.mark.parametrize("search", [
  lanmt.Search(steps=3, stop=True, candidates=4, latents=2, rank="bound"),
  lanmt.Search(refine="none", candidates=3, latents=3, temperature=1.0, odd=False)])
def test_sentences_are_independent(tiny, axis, search):
  model = tiny[axis]
  found = model.translate(tf.pad(BATCH.src, [[0, 1], [0, 3]]), search)
  rows = lambda one, row: [tokens[tokens > 0].tolist() for tokens in one.tokens[row].numpy()]
  for row in (0, 3):
    alone = model.translate(BATCH.src[row:row + 1], search)
    assert rows(alone, 0) == rows(found, row)
    np.testing.assert_allclose(alone.score[0], found.score[row], rtol=1e-4)
  assert not np.any(found.tokens[-1])


def test_every_weight_of_the_source_axis_has_a_gradient(tiny):
  model = tiny["source"]
  with tf.GradientTape() as tape:
    value = types.loss(model.objective(BATCH, seed=[0, 0], training=True))
  gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
  assert [v.path for v, g in zip(model.trainable_variables, gradients, strict=True) if g is None] == []


def test_passes_and_the_steps_of_a_trace(tiny):
  model = tiny["target"]
  for search, passes in ((lanmt.Search(refine="none"), 1), (lanmt.Search(steps=2), 5),
                         (lanmt.Search(steps=2, candidates=2, rank="bound"), 5 + 2)):
    found, trace = model.trace(BATCH.src, search)
    assert int(found.passes) == passes
    steps = 1 if search.refine == "none" else search.steps + 1
    assert trace.predictions.shape[:3] == (6, search.candidates, steps) and not np.any(trace.inputs[:, :, 0])
    np.testing.assert_array_equal(trace.inputs[:, :, 1:], trace.predictions[:, :, :-1])
  assert int(model.translate(BATCH.src, search, lambda tokens: tf.zeros(tf.shape(tokens)[:2])).passes) == 6


@pytest.mark.parametrize("axis", ["target", "source"])
def test_a_trace_says_what_the_latents_of_each_step_say(tiny, axis):
  model, search = tiny[axis], lanmt.Search(steps=3, odd=False)
  _, trace = model.trace(BATCH.src, search)
  source = model.encode(BATCH.src)
  state, positions = lanmt_search.begin(model, source, search), trace.predictions.shape[-1]
  step = lanmt_search.delta_refinement(model, lanmt.Search())
  for n in range(4):
    predicted = lanmt_search.predict(model, source, state.z, state.lengths, positions)
    np.testing.assert_array_equal(trace.predictions[:, 0, n], predicted)
    z, lengths, *_ = step(source, state, False)
    state = lanmt_search.State(z, tf.minimum(lengths, positions), state.tokens)


@pytest.mark.parametrize("axis", ["target", "source"])
def test_the_latents_of_a_search(tiny, axis):
  model, search = tiny[axis], lanmt.Search(candidates=6, latents=3, temperature=0.5)
  source = model.encode(BATCH.src)
  start = lanmt_search.begin(model, source, search)
  # The rows of a sentence: three latents for each of two lengths, or two lengths for each of three latents.
  order = (2, 3) if axis == "target" else (3, 2)
  prior = model.prior(source, start.lengths, start.tokens.shape[1] if axis == "target" else None)
  noise = np.reshape((start.z - prior.mean) / prior.std, [len(BATCH.src), *order, *start.z.shape[1:]])
  noise = noise if axis == "target" else noise.swapaxes(1, 2)
  drawn = model.draws(3, (0, 0), start.z.shape[1]).numpy()
  drawn[0] = 0.0
  np.testing.assert_allclose(noise, np.broadcast_to(0.5 * drawn, noise.shape), atol=1e-3)
  again = lanmt_search.begin(model, source, dataclasses.replace(search, seed=1)).z
  assert np.abs(again - start.z).max() > 0.1


RANKED = lanmt.Search(refine="none", candidates=4, latents=2, temperature=2.0, odd=False, alpha=1.0)


def test_the_decoder_ranks_by_the_probability_of_its_tokens(tiny):
  model = tiny["target"]
  source = model.encode(BATCH.src)
  start = lanmt_search.begin(model, source, RANKED)
  positions = start.tokens.shape[1]
  logits = model.net.embed.logits(model.decode(source, start.z, start.lengths, positions))
  allowed = logits.numpy()
  allowed[..., tokens_lib.forbidden(False)] = -np.inf
  each = np.max(allowed, -1) - tf.reduce_logsumexp(logits, -1)
  told = tf.reduce_sum(each * tf.sequence_mask(start.lengths, positions, tf.float32), -1)
  told = np.reshape(told / beam.length_penalty(start.lengths, 1.0), [-1, 4])
  found = model.translate(BATCH.src, RANKED).score.numpy()
  np.testing.assert_allclose(found[:, 0], told.max(-1), rtol=1e-4)
  for row, scores in zip(found, told, strict=True):  # Doubles are missing.
    assert all(np.isclose(score, scores, rtol=1e-4).any() for score in row if np.isfinite(score))


def test_the_bound_or_a_teacher_ranks(tiny):
  model = tiny["target"]
  bounded = model.translate(BATCH.src, dataclasses.replace(RANKED, rank="bound"))
  for n in range(4):
    tokens = bounded.tokens[:, n]
    want = model.score(BATCH.src, tokens) / beam.length_penalty(masking.lengths(tokens), 1.0)
    want = tf.where(masking.lengths(tokens) > 0, want, -np.inf)
    np.testing.assert_allclose(bounded.score[:, n], want, rtol=1e-4)
  likes = lambda tokens: -tf.cast(tf.reduce_sum(tokens, -1), tf.float32)  # A teacher who likes small numbers of tokens.
  taught = model.translate(BATCH.src, dataclasses.replace(RANKED, alpha=0.0), rescore=likes)
  sums = np.where(np.any(taught.tokens, -1), -np.sum(taught.tokens, -1), -np.inf)
  np.testing.assert_array_equal(taught.score, sums)
  assert np.all(sums[:, 0] >= sums.max(-1)) and np.any(sums[:, 0] > sums[:, 1])


def test_draws_of_temperature_0_are_doubles_of_the_mean(tiny):
  found = tiny["target"].translate(BATCH.src, lanmt.Search(candidates=3, latents=3, temperature=0.0))
  assert np.isfinite(found.score[:, 0]).all() and np.isneginf(found.score[:, 1:]).all()
  assert not np.any(found.tokens[:, 1:])


def test_a_length_without_a_class_has_probability_0():
  net = dataclasses.replace(families.NET, max_length=100)
  model = models.build("lanmt", lanmt.Config(net), len(families.VOCAB))
  src = families.padded([[5]], 3)  # Two tokens.
  long, longer = (families.padded([[5] * (2 + lengths_lib.REACH - 1 + more)], 80) for more in (0, 1))
  assert np.isfinite(model.score(src, long)) and np.isneginf(model.score(src, longer))
  loss = model.objective(types.Batch(src, longer, tf.ones([1])), seed=None, training=False)
  assert float(types.loss(loss)) < 1e3


@pytest.mark.parametrize("axis, src, tgt", [
  ("target", [5, 6, 7, types.EOS], [types.EOS]), ("source", [types.EOS], [5, 6, types.EOS])])
def test_the_bound_rises_to_the_integral(axis, src, tgt):
  # Z = 1, and one position on the axis: one latent number, and on the axis of the source three tokens and a length.
  model = families.build("lanmt", config=lanmt.Config(families.NET, lanmt.Latent(axis, dimensions=1)))
  src, tgt = tf.constant([src]), tf.constant([tgt])
  source, lengths = model.encode(src), tf.fill([4_001], tgt.shape[1])
  z = tf.reshape(tf.linspace(-12.0, 12.0, 4_001), [-1, 1, 1])
  prior = model.prior(source, lengths[:1], 1)
  states = model.decode(source, z, lengths, tgt.shape[1])
  log_prob = prior.log_prob(z)[:, 0] + model.net.embed.log_prob(states, tf.repeat(tgt, 4_001, 0))
  log_prob += model.net.length_log_prob(model.axis.length_memory(source, z), lengths)
  exact = tf.reduce_logsumexp(log_prob) + np.log(24 / 4_000)
  weights = tf.concat([model.log_weights(source, tgt, 1_024, (seed, 0)) for seed in range(4)], 1)
  means = [tf.reduce_mean(gaussian.importance_bound(tf.reshape(weights, [-1, count]))) for count in (1, 8, 512)]
  assert means[0] < means[1] < means[2] < float(exact) + 0.02
  np.testing.assert_allclose(means[2], exact, atol=0.05)
  assert model.score(src, tgt)[0] == tf.minimum(gaussian.importance_bound(model.log_weights(source, tgt, 8)[0]), 0.0)


@pytest.mark.parametrize("make, message", [
  (lambda: lanmt.Latent("both"), "model.latent.axis is one of target, source; got 'both'"),
  (lambda: lanmt.Config(replaced=1.0), "model.replaced is a share of tokens, at least 0 and below 1; got 1.0"),
  (lambda: lanmt.Config(budget=lanmt.schedule.Linear(-1.0)), "model.budget is in nats for each position, at least 0"),
  (lambda: lanmt.Config(samples=0), "model.samples is at least 1; got 0"),
  (lambda: lanmt.Search(refine="score"), "search.refine is one of none, delta; got 'score'"),
  (lambda: lanmt.Search(candidates=5, latents=2), "a multiple of search.latents=2; got 5"),
  (lambda: lanmt.Search(temperature=-1.0), "search.temperature is at least 0, which draws the mean; got -1.0"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()


def test_more_candidates_are_more_lengths():
  search = lanmt.Search(candidates=4, latents=4).with_candidates(9)
  assert (search.candidates, search.latents) == (12, 4)
