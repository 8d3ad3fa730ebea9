import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.train import bigram
from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.ops import glancing
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

# Adam makes a step of full size of a gradient that is zero but for rounding; a large epsilon does not.
RECIPE = config.Optimizer(learning_rate=0.01, warmup=1, epsilon=1e-2, clip_norm=0.1)  # Gradients are clipped.
CLOSE = dict(rtol=1e-5, atol=1e-6)


def make(rows, length, seed):
  src, tgt = (families.padded(families.sentences(rows, length - 1, seed + side), length) for side in (0, 100))
  return types.Batch(src, tgt, tf.linspace(0.5, 2.0, rows))


def joined(batches):
  """The single batch that consists of all micro-batches."""
  longest = max(batch.src.shape[1] for batch in batches)
  wide = lambda tokens: tf.pad(tokens, [[0, 0], [0, longest - tokens.shape[1]]])
  return types.Batch(*(tf.concat(fields, 0) for fields in zip(
    *((wide(src), wide(tgt), weight) for src, tgt, weight in batches), strict=True)))


def updates(model, accumulate=1, **train):
  recipe = dataclasses.replace(RECIPE, accumulate=accumulate)
  adam = optimizer.Adam(recipe, model.trainable_variables)
  return step_lib.Update(model, adam, config.Train(optimizer=recipe, **train))


def assert_same_weights(one, other, **tolerance):
  for mine, theirs in zip(one.variables, other.variables, strict=True):
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), err_msg=mine.path, **tolerance)


def test_unequal_micro_batches_are_the_batch_they_make_up():
  several, one = (bigram.Bigram(tokens=20, rate=0.0) for _ in range(2))
  gather, whole = updates(several, accumulate=3), updates(one)
  for step in range(3):
    batches = [make(rows, length, 10 * step + rows) for rows, length in ((2, 4), (5, 9), (1, 6))]
    said, expected = gather(batches, step), whole([joined(batches)], step)
    assert said.keys() == expected.keys() >= {"loss", "token", "length", "gradient_norm", "learning_rate"}
    for name, value in expected.items():
      np.testing.assert_allclose(said[name], value, err_msg=name, **CLOSE)
  assert_same_weights(several, one, **CLOSE)


def test_micro_batches_drop_different_units():
  batch = make(4, 6, 0)
  noisy = [bigram.Bigram(tokens=20), bigram.Bigram(tokens=20)]
  updates(noisy[0], accumulate=2)([batch, batch], 0)
  updates(noisy[1])([batch], 0)  # The first of the two: of the same draw, twice it would be it.
  assert not np.allclose(noisy[0].table.numpy(), noisy[1].table.numpy(), rtol=1e-4)


@pytest.mark.parametrize("accumulate, traces", [(1, 1), (2, 2)])  # Two: counts, and gradients.
def test_one_trace_for_all_lengths(accumulate, traces):
  model = bigram.Bigram(tokens=20)
  update = updates(model, accumulate)
  for step, (rows, length) in enumerate([(2, 4), (3, 4), (2, 7), (8, 5)]):
    update([make(rows, length, step)] * accumulate, step)
  assert model.traced == traces


def test_noise_is_of_the_runs_seed_and_the_step():
  losses = {}
  for seed, step in ((0, 1), (0, 2), (1, 1)):
    losses[seed, step] = float(updates(bigram.Bigram(tokens=20), seed=seed)([make(4, 6, 0)], step)["loss"])
  assert float(updates(bigram.Bigram(tokens=20), seed=0)([make(4, 6, 0)], 1)["loss"]) == losses[0, 1]
  assert len(set(losses.values())) == 3


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(models.FAMILIES))
def test_xla_makes_the_same_step(name):
  batch, plain, compiled = make(4, 6, 0), families.build(name), families.build(name)
  said, expected = (updates(m, jit=jit)([families.given(m, batch)], 0) for m, jit in ((compiled, True), (plain, False)))
  for term, value in expected.items():
    np.testing.assert_allclose(said[term], value, rtol=1e-4, err_msg=term)
  assert_same_weights(compiled, plain, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("family, glances", [("ctc", False), ("dag", False), ("glat", True)])
def test_counting_takes_a_pass_only_where_counts_depend_on_one(family, glances):
  model = families.build(family)
  model.config = dataclasses.replace(model.config, glance=glancing.Glance(updates=100))
  step = updates(model, accumulate=2)
  spec = types.Batch(*(tf.TensorSpec([None, None], tf.int32),) * 2, tf.TensorSpec([None], tf.float32))
  graph, arguments = step.graphs(spec)["count"]
  todo, seen = [tensor.op for tensor in graph.get_concrete_function(*arguments).outputs], set()
  while todo:  # What the counts do not need is not run.
    if (op := todo.pop()).name not in seen:
      seen.add(op.name)
      todo += [*(tensor.op for tensor in op.inputs), *op.control_inputs]
  assert any("MatMul" in name for name in seen) == glances
