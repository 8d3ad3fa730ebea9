"""Score and energy networks over the latents of a frozen model."""
import dataclasses
import shutil

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.data import folders
from tf_nar import config
from tf_nar import models
from tf_nar import recipe
from tf_nar import runs
from tf_nar import types
from tf_nar.evaluate import tuning
from tf_nar.layers import score_network
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score
from tf_nar.ops import gaussian
from tf_nar.ops import masking
from tf_nar.ops import noise
from tf_nar.ops import tokens as tokens_lib
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

BATCH = families.batch()
STILL = dataclasses.replace(families.NET, **families.STILL)


def build(**changes):
  return families.build("lanmt_score", config=lanmt_score.Config(STILL, layers=1, **changes))


@pytest.fixture(scope="module")
def tiny():
  return {kind: build(kind=kind, delta=2) for kind in score_network.KINDS}


def latents(model):
  """Returns an encoded source, the lengths of the targets, and the prior's mean for them."""
  source, lengths = model.lanmt.encode(BATCH.src), masking.lengths(BATCH.tgt)
  return source, lengths, model.lanmt.prior(source, lengths, tf.shape(BATCH.tgt)[1]).mean


@pytest.mark.parametrize("kind", score_network.KINDS)
def test_the_loss_is_the_regression_of_the_displacement_less_its_square(tiny, kind):
  model = tiny[kind]
  source, lengths, z = latents(model)
  inside = tf.cast(tf.sequence_mask(lengths, tf.shape(z)[1]), tf.float32)[..., None]
  after = z
  for _ in range(2):  # Delta steps by hand, of the true length.
    states = model.lanmt.decode(source, after, lengths, tf.shape(z)[1])
    best = model.lanmt.net.best_tokens(states, tokens_lib.forbidden())[0]
    tokens = tf.where(inside[..., 0] > 0, best, types.PAD)
    after = model.lanmt.posterior(source, tokens, lengths).mean
  moved = (after - z) * inside
  s = model.step(z, lengths, source.memory)
  assert not np.any(s * (1 - inside))
  want = tf.reduce_sum((s - moved)**2 - moved**2, [1, 2])
  terms = model.objective(BATCH, seed=None, training=False).terms
  np.testing.assert_allclose(terms["score"].total, tf.reduce_sum(want * BATCH.weight), rtol=1e-4)
  np.testing.assert_allclose(terms["moved"].total, tf.reduce_sum(
    tf.reduce_sum(moved**2, [1, 2]) * BATCH.weight), rtol=1e-4)
  size = lambda x: np.linalg.norm(np.reshape(x, [len(x), -1]), axis=-1)
  real = lengths.numpy() > 0
  cosine = np.sum(s * moved, (1, 2))[real] / (size(s) * size(moved))[real]
  np.testing.assert_allclose(terms["cosine"].total, np.sum(cosine * BATCH.weight.numpy()[real]), rtol=1e-3)


def test_steps_of_an_energy_lower_it(tiny):
  model = tiny["energy"]
  source, lengths, z = latents(model)
  size = tf.shape(z)[1]
  inside = tf.cast(tf.sequence_mask(lengths, size), tf.float32)
  energy = lambda z: model.network.energy(z, model.lanmt.net.embed.positions(size), inside, source.memory)
  s, direction = model.step(z, lengths, source.memory), noise.normal(tf.shape(z), tf.constant([1, 2]))
  slope = (energy(z + 1e-3 * direction) - energy(z - 1e-3 * direction)) / 2e-3
  np.testing.assert_allclose(-tf.reduce_sum(s * direction, [1, 2]), slope, rtol=0.02, atol=3e-3)
  assert (energy(z + 0.01 * s) < energy(z)).numpy().all()


@pytest.mark.parametrize("jit", [False, True])
def test_the_gradient_of_an_energys_loss_has_second_derivatives(tiny, jit):
  model = tiny["energy"]
  variables = [v for v in model.trainable_variables if v.path.endswith(("vector/kernel", "norm_1/gamma", "out/kernel"))]
  values = [v.value for v in variables]

  @tf.function(jit_compile=jit, autograph=False)
  def gradients():
    with tf.GradientTape() as tape:
      loss = types.loss(model.objective(BATCH, seed=None, training=False))
    return loss, tape.gradient(loss, values)

  _, found = gradients()
  for variable, gradient in zip(variables, found, strict=True):
    before, gradient = variable.numpy(), tf.convert_to_tensor(gradient)
    direction = noise.normal(tf.shape(before), tf.constant([3, 4]))
    ends = []
    for sign in (1, -1):
      variable.assign(before + sign * 1e-4 * direction)  # A larger step would cross the corners of a ReLU.
      ends.append(float(gradients()[0]))
    variable.assign(before)
    np.testing.assert_allclose(
      tf.reduce_sum(gradient * direction), (ends[0] - ends[1]) / 2e-4, rtol=0.02, atol=0.03, err_msg=variable.path)


@pytest.mark.parametrize("kind", score_network.KINDS)
def test_learns_where_delta_inference_goes_and_leaves_the_frozen_part(kind):
  model = build(kind=kind, delta=1)
  before = {v.path: v.numpy() for v in model.variables}
  recipe = config.Optimizer(learning_rate=1e-2, warmup=20)
  update = step_lib.Update(
    model, optimizer.Adam(recipe, model.trainable_variables), config.Train(optimizer=recipe))
  cosine = lambda: np.divide(*model.objective(BATCH, seed=None, training=False).terms["cosine"][:2])
  first = cosine()
  for step in range(100):
    update([BATCH], step)
  assert cosine() > max(0.5, first + 0.1)
  moved = {v.path for v in model.variables if np.any(v.numpy() != before[v.path])}
  assert moved == {v.path for v in model.trainable_variables}
  assert all(path.startswith("network/") for path in moved)
  assert {path for path in before if path.startswith("lanmt/")} == before.keys() - moved


def test_the_noise_has_a_size_of_its_own_in_each_sentence():
  model, count = build(noise=0.3), 400
  normal = lambda n: noise.normal([count, 5, model.config.latent.dimensions], tf.constant([n, 0]))
  prior = gaussian.Gaussian(normal(1), tf.exp(normal(2)))
  drawn = model._noisy(prior, lambda n: noise.stream([3, 4], n))
  sizes = tf.math.reduce_std((drawn - prior.mean) / prior.std, [1, 2]).numpy()  # 0.3 u
  assert sizes.max() < 0.5 and sizes.min() < 0.02
  np.testing.assert_allclose(np.quantile(sizes, [0.25, 0.5, 0.75]), [0.075, 0.15, 0.225], atol=0.03)
  still = build(noise=0.0)._noisy(prior, lambda n: noise.stream([3, 4], n))
  np.testing.assert_array_equal(still, prior.mean)


def test_it_starts_from_its_own_steps():
  begun = lambda own, after, n: build(own=own, own_after=after, own_size=0.5)._after_own_step(
    z, lengths, source, tf.constant([n, 0]), 3)
  source, lengths, z = latents(build())
  walked = z + 0.5 * build().step(z, lengths, source.memory)
  assert np.abs(walked - z).max() > 1e-3
  np.testing.assert_allclose(begun(1.0, 0, 0), walked, atol=1e-6)
  for none in (begun(0.0, 0, 0), begun(1.0, 5, 0)):
    np.testing.assert_array_equal(none, z)
  some = [bool(np.any(begun(0.5, 0, n) != z)) for n in range(12)]
  assert 2 < sum(some) < 10


@pytest.mark.parametrize("kind, cost", [("score", 1), ("energy", 2)])
def test_steps_of_a_search(tiny, kind, cost):
  model = tiny[kind]
  search = lanmt_score.Search(steps=2, step_size=0.5, odd=False)
  found, trace = model.trace(BATCH.src, search)
  assert int(found.passes) == 2 * cost + 1 and trace.predictions.shape[:3] == (6, 1, 3)
  assert int(model.translate(BATCH.src, dataclasses.replace(search, refine="none")).passes) == 1
  assert int(model.translate(BATCH.src, dataclasses.replace(search, refine="delta")).passes) == 5
  # By hand, for one sentence.
  source = model.lanmt.encode(BATCH.src[:1])
  start = lanmt_score.lanmt_search.begin(model.lanmt, source, search)
  z = start.z
  for _ in range(2):
    z += 0.5 * model.step(z, start.lengths, source.memory)
  tokens = lanmt_score.lanmt_search.predict(model.lanmt, source, z, start.lengths, tf.shape(z)[1])[0].numpy()
  last = trace.predictions[0, 0, -1].numpy()
  np.testing.assert_array_equal(last[:len(tokens)], tokens)


@pytest.mark.parametrize("kind", score_network.KINDS)
def test_adaptive_steps_are_independent(tiny, kind):
  model, search = tiny[kind], lanmt_score.Search(refine=kind, steps=8, step_size=0.2, stop=True, candidates=2)
  found = model.translate(tf.pad(BATCH.src, [[0, 1], [0, 3]]), search)
  for row in (0, 3):
    alone = model.translate(BATCH.src[row:row + 1], search)
    np.testing.assert_allclose(alone.score[0], found.score[row], rtol=1e-4)
    same = lambda one, row: [tokens[tokens > 0].tolist() for tokens in one.tokens[row].numpy()]
    assert same(alone, 0) == same(found, row)


def test_steps_end_once_they_are_a_sixteenth_of_the_first(tiny, monkeypatch):
  model = tiny["score"]
  monkeypatch.setattr(model, "step", lambda z, *_: -0.76 * z)  # With steps of 1, each is 0.24 of the one before.
  passes = lambda **search: int(model.translate(BATCH.src, lanmt_score.Search(steps=8, **search)).passes)
  assert (passes(stop=True), passes()) == (3 + 1, 8 + 1)


def test_steps_down_an_energy_have_its_name_too(tiny):
  translated = lambda refine: tiny["energy"].translate(BATCH.src, lanmt_score.Search(refine=refine, steps=2))
  found, same = translated("energy"), translated("score")
  np.testing.assert_array_equal(found.tokens, same.tokens)


@pytest.mark.slow
def test_a_run_of_phases_holds_both_parts(tmp_path):
  data = folders.make(tmp_path / "data", folders.random_pairs(60, longest=11))
  train = config.Train(steps=3, tokens_per_batch=128, max_length=12, buckets=1, log_every=2, validate_every=3)
  first = config.Experiment("lanmt", *families.TINY["lanmt"], train)
  whole = config.Experiment("lanmt_score", *families.TINY["lanmt_score"], train, phases=(
    config.Phase("latent", experiment=first, start="scratch"),
    config.Phase("score", frozen="latent")))
  with pytest.raises(ValueError, match="Phase score: The frozen part has net.heads=4, but phase latent, whose"):
    recipe.run(config.override(whole, "phases.score.model.net.heads=4"), data, str(tmp_path / "run"))
  made = recipe.run(whole, data, str(tmp_path / "run"))
  part = {v.path: v.numpy() for v in runs.load(str(tmp_path / "run/phases/latent")).model.variables}
  shutil.rmtree(tmp_path / "run/phases")
  alone = runs.load(str(tmp_path / "run")).model
  for variable in alone.lanmt.variables:
    np.testing.assert_array_equal(variable, part[variable.path.removeprefix("lanmt/")])
  found, want = (model.translate(BATCH.src, families.TINY["lanmt_score"].search) for model in (alone, made.model))
  np.testing.assert_array_equal(found.tokens, want.tokens)


def test_a_sweep_tries_equal_searches_once():
  tries = "search.refine=none,delta,score", "search.steps=1,2", "search.step_size=0.5,1.0"
  made = config.Experiment("lanmt_score", *families.TINY["lanmt_score"])
  tried = tuning.searches(made, tries, check=models.check).values()
  assert [(each.refine, each.steps, each.step_size) for each in tried] == [
    ("none", 1, 0.5), ("delta", 1, 0.5), ("delta", 2, 0.5), ("score", 1, 0.5), ("score", 1, 1.0), ("score", 2, 0.5),
    ("score", 2, 1.0)]


NO_ENERGY = config.Experiment("lanmt_score", *families.TINY["lanmt_score"], sweep=("search.refine=score,energy",))


@pytest.mark.parametrize("make, message", [
  (lambda: recipe.check(NO_ENERGY), "search.refine=energy needs a network of model.kind=energy; got model.kind=score"),
  (lambda: lanmt_score.Config(kind="flow"), "model.kind is one of score, energy; got 'flow'"),
  (lambda: lanmt_score.Config(latent=lanmt.Latent("source")), "model.latent.axis must be target"),
  (lambda: lanmt_score.Config(own=2.0), "model.own is a share of the batches, from 0 to 1; got 2.0"),
  (lambda: lanmt_score.Config(own_size=0.0), "model.own_size, of a step, must be above 0; got 0.0; model.own=0 takes"),
  (lambda: lanmt_score.Search(step_size=0.0), "search.step_size must be above 0; got 0.0"),
  (lambda: lanmt_score.Search(refine="flow"), "search.refine is one of none, delta, score, energy; got 'flow'"),
  (lambda: lanmt_score.check(lanmt_score.Config(), lanmt_score.Search(refine="energy")),
   "search.refine=energy needs a network of model.kind=energy; got model.kind=score; set search.refine=score"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()
