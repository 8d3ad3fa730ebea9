"""Fine-tuning of the NAT with fertilities by a frozen teacher: its terms by hand, and what they teach."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.data import folders
from tf_nar import config
from tf_nar import recipe
from tf_nar import runs
from tf_nar import types
from tf_nar.config import Phase
from tf_nar.models import ar
from tf_nar.models import fertility_tuning
from tf_nar.models import nat_fertility
from tf_nar.ops import fertility as fertility_lib
from tf_nar.ops import masking
from tf_nar.ops import noise

STILL = dataclasses.replace(families.NET, **families.STILL)
SEED = tf.constant([3, 5])
BATCH = families.batch(count=4)


def build(**tuning):
  tuning = fertility_tuning.Tuning(**{"share": 0.25, "teacher": ar.Config(STILL)} | tuning)
  return families.build("nat_fertility", config=nat_fertility.Config(STILL, smoothing=0.0, tuning=tuning))


@pytest.fixture(scope="module")
def model():
  return build()


def judged(model, src, fertility, positions):
  """Returns the teacher's loss of each position of what the model predicts, float32 [B, T], by its definition."""
  memory, lengths = model.net.encode(src), tf.reduce_sum(fertility, -1)
  states = model.net.decode(model.canvas(src, lengths, positions, fertility), lengths, memory)
  log_prob = tf.nn.log_softmax(model.net.embed.logits(states))
  inside = tf.sequence_mask(lengths, positions)
  predicted = tf.where(inside, tf.argmax(log_prob, -1, tf.int32), types.PAD)
  theirs = tf.nn.log_softmax(model.teacher.embed.logits(model.teacher.states(src, predicted)))
  return tf.where(inside, -tf.reduce_sum(tf.exp(log_prob) * theirs, -1), 0.0).numpy()


def test_terms_by_hand(model):
  batch = families.given(model, BATCH)
  terms = model.objective(batch, seed=SEED, training=True).terms
  plain = model.objective(batch, seed=None, training=False).terms
  assert set(terms) == {*plain, "teacher", "policy"}
  for name, term in plain.items():
    np.testing.assert_allclose(terms[name].total, term.total, rtol=1e-5)
    assert (terms[name].scale, term.scale) == (0.75, 1.0)

  weight = batch.weight.numpy()
  own = judged(model, batch.src, batch.fertility, batch.tgt.shape[1])
  np.testing.assert_allclose(terms["teacher"].total, (own.sum(1) * weight).sum(), rtol=1e-4)
  assert terms["teacher"].scale == 0.25 and terms["teacher"].count == plain["token"].count

  table = model.log_fertility(model.net.encode(batch.src), batch.src)
  number = noise.uniform(batch.src.shape, noise.stream(SEED, 0)).numpy()
  drawn = (np.cumsum(np.exp(table), -1)[..., :-1] <= number[..., None]).sum(-1)
  mean = np.round((np.exp(table) * np.arange(nat_fertility.CLASSES)).sum(-1))
  costs = []
  for fertility in (mean, drawn):
    most = tf.minimum(2 * masking.lengths(batch.src), STILL.max_length)[:, None, None]
    bounded = fertility_lib.bounded(tf.constant(fertility[:, None], tf.int32), batch.src, most)[:, 0]
    costs.append(judged(model, batch.src, bounded, STILL.max_length).sum(1) / bounded.numpy().sum(1))
  reward = costs[0] - costs[1]
  reward -= (reward * weight).sum() / weight.sum()
  assert np.ptp(reward) > 0
  log_prob = np.take_along_axis(table.numpy(), drawn[..., None], -1).sum((1, 2))
  np.testing.assert_allclose(terms["policy"].total, -(reward * log_prob * weight).sum(), rtol=1e-3)
  assert terms["policy"].scale == 0.1


def test_only_the_model_learns_and_the_policy_teaches_the_fertilities_alone(model):
  assert not any(v.path.startswith("teacher/") for v in model.trainable_variables)
  assert sum(v.path.startswith("teacher/") for v in model.variables) == len(model.teacher.variables) > 10
  batch = families.given(model, BATCH)
  variables = [v.value for v in (*model.fertility.variables, model.net.embed.bias)]
  with tf.GradientTape(persistent=True) as tape:
    terms = model.objective(batch, seed=SEED, training=True).terms
    totals = {name: terms[name].total for name in ("teacher", "policy")}
  by_teacher, by_policy = (tape.gradient(totals[name], variables) for name in totals)
  assert by_teacher[:2] == [None, None] and np.any(by_teacher[2])
  assert np.any(by_policy[0]) and np.any(by_policy[1]) and by_policy[2] is None


@pytest.mark.parametrize("likes", ["long", "short"])
def test_the_policy_follows_the_reward(likes, monkeypatch):
  model = build()
  model.fertility.bias.assign(tf.where(tf.range(nat_fertility.CLASSES) < 3, 0.0, -20.0))
  sign = {"long": -1.0, "short": 1.0}[likes]

  def judge(model, src, states, lengths):  # The cost of each position is that of a sentence as long.
    cost = sign * tf.cast(lengths, tf.float32)[:, None] + tf.zeros(tf.shape(states)[:2])
    return tf.where(tf.sequence_mask(lengths, tf.shape(states)[1]), cost, 0.0)

  monkeypatch.setattr(fertility_tuning, "judged", judge)
  batch = families.given(model, BATCH)
  variables = [v.value for v in model.fertility.variables]
  total = lambda: float(tf.reduce_sum(fertility_lib.mean(
    model.log_fertility(model.net.encode(batch.src), batch.src))))
  first = total()
  for step in range(30):
    with tf.GradientTape() as tape:
      term = model.objective(batch, seed=noise.stream(SEED, step), training=True).terms["policy"]
      loss = term.total / tf.reduce_sum(batch.weight)
    for variable, gradient in zip(variables, tape.gradient(loss, variables), strict=True):
      variable.assign_sub(0.1 * gradient)
  assert (total() > first + 3) if likes == "long" else (total() < first - 3)


@pytest.mark.slow
def test_a_recipe_takes_its_teacher_from_the_warm_start(tmp_path):
  pairs = folders.aligned(folders.random_pairs(40, longest=9))
  data = folders.make(tmp_path / "data", pairs)
  train = config.Train(steps=2, tokens_per_batch=128, max_length=12, buckets=1, log_every=1, validate_every=2)
  teacher = recipe.run(config.Experiment("ar", *families.TINY["ar"], train), data, str(tmp_path / "ar"))
  tuned = config.Experiment(
    "nat_fertility",
    nat_fertility.Config(families.NET, tuning=fertility_tuning.Tuning(0.25, teacher=ar.Config(families.NET))),
    families.TINY["nat_fertility"].search, train, phases=(
      Phase("text", ("model.tuning.share=0",), start="warm_start"), Phase("tuned", frozen="warm_start")))
  made = recipe.run(tuned, data, str(tmp_path / "run"), warm_start=str(tmp_path / "ar"))
  own = runs.load(str(tmp_path / "run/phases/text")).model
  assert not any(v.path.startswith("teacher/") for v in own.variables)
  for variable in made.model.teacher.variables:
    np.testing.assert_array_equal(variable, next(
      v for v in teacher.model.variables if v.path == variable.path.removeprefix("teacher/")))
  assert np.any(made.model.fertility.kernel != own.fertility.kernel)
  found, again = (each.translate(BATCH.src, families.TINY["nat_fertility"].search) for each in (
    made.model, runs.load(str(tmp_path / "run")).model))
  np.testing.assert_array_equal(found.tokens, again.tokens)


@pytest.mark.parametrize("make, message", [
  (lambda: fertility_tuning.Tuning(share=1.0), "model.tuning.share is from 0 to below 1; got 1.0"),
  (lambda: fertility_tuning.Tuning(policy=-1.0), "model.tuning.policy is at least 0; got -1.0"),
  (lambda: nat_fertility.Config(copy="soft", tuning=fertility_tuning.Tuning(0.25)),
   "model.tuning is for copies by fertility; got model.copy=soft; set model.tuning.share=0"),
])
def test_refuses(make, message):
  with pytest.raises(ValueError, match=message):
    make()
