import re

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import models
from tf_nar.layers import owners
from tf_nar.train import ema
from tf_nar.train import optimizer


def variables():
  draw = np.random.default_rng(0)
  shapes = {"words": (5, 3), "norm": (3,), "kernel": (3, 2)}
  made = []
  for scope, shape in shapes.items():
    with keras.name_scope("model"), keras.name_scope(scope):
      made.append(keras.Variable(draw.normal(size=shape).astype(np.float32), name="w"))
  return made


def gradients(step):
  """Rows 1 and 4 of the embedding table; row 4 was looked up twice."""
  draw = np.random.default_rng(100 + step)
  rows, norm, kernel = (draw.normal(size=s).astype(np.float32) for s in ((3, 3), (3,), (3, 2)))
  table = tf.IndexedSlices(tf.constant(rows), tf.constant([4, 1, 4]), tf.constant([5, 3]))
  dense = np.zeros((5, 3))
  np.add.at(dense, [4, 1, 4], rows)
  return [table, tf.constant(norm), tf.constant(kernel)], [dense, norm, kernel]


def by_hand(recipe, weights, steps):
  """Adam by the equations of its docstring, in float64. `weights` are decayed except for the second."""
  m, v = ([np.zeros_like(w) for w in weights] for _ in range(2))
  norms = []
  for step in range(steps):
    g = gradients(step)[1]
    norms.append(np.sqrt(sum((x**2).sum() for x in g)))
    shrink = min(1.0, recipe.clip_norm / norms[-1]) if recipe.clip_norm else 1.0
    rate = recipe.learning_rate * min((step + 1) / recipe.warmup, (recipe.warmup / (step + 1)) ** 0.5)
    for k, w in enumerate(weights):
      m[k] = recipe.beta_1 * m[k] + (1 - recipe.beta_1) * shrink * g[k]
      v[k] = recipe.beta_2 * v[k] + (1 - recipe.beta_2) * (shrink * g[k]) ** 2
      first = m[k] / (1 - recipe.beta_1 ** (step + 1)) if recipe.bias_correction else m[k]
      second = v[k] / (1 - recipe.beta_2 ** (step + 1)) if recipe.bias_correction else v[k]
      decay = 0 if k == 1 else recipe.weight_decay
      weights[k] = w - rate * (first / (np.sqrt(second) + recipe.epsilon) + decay * w)
  return weights, norms


@pytest.mark.parametrize("clip", [0.0, 1.0, 100.0])
@pytest.mark.parametrize("correction, decay", [(True, 0.0), (False, 0.0), (True, 0.1), (False, 0.1)])
def test_is_adam(correction, decay, clip):
  recipe = config.Optimizer(
    learning_rate=0.02, warmup=3, bias_correction=correction, weight_decay=decay, clip_norm=clip)
  ours = variables()
  start = [v.numpy().astype(np.float64) for v in ours]
  adam, norms = optimizer.Adam(recipe, ours, spared=[ours[1].path]), []
  for step in range(5):
    norm, rate = adam.apply(gradients(step)[0])
    norms.append(norm)
    np.testing.assert_allclose(rate, optimizer.learning_rate(recipe, step))
  theirs, their_norms = by_hand(recipe, start, 5)
  for mine, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(mine.numpy(), other, rtol=1e-4, atol=1e-6)
  np.testing.assert_allclose(norms, their_norms, rtol=1e-5)


def test_inverse_square_root_peaks_at_the_end_of_warmup():
  recipe = config.Optimizer(learning_rate=5e-4, warmup=400)
  rates = np.array([float(optimizer.learning_rate(recipe, step)) for step in (0, 199, 398, 399, 400, 1_599)])
  np.testing.assert_allclose(rates[[0, 1, 3, 5]], [5e-4 / 400, 2.5e-4, 5e-4, 2.5e-4], rtol=1e-5)
  assert rates.argmax() == 3


def test_a_cosine_falls_from_the_peak_to_nothing():
  recipe = config.Optimizer(learning_rate=2.0, warmup=10, schedule="cosine")
  rates = [float(optimizer.learning_rate(recipe, step, 99)) for step in (0, 9, 54, 98)]  # 55 is half of 10 and 100.
  np.testing.assert_allclose(rates[:3], [0.2, 2, 1], rtol=1e-5)
  assert 0 < rates[3] < 0.001
  np.testing.assert_allclose(optimizer.learning_rate(recipe, 3, 5), 0.8)  # A training shorter than its warm-up.
  with pytest.raises(ValueError, match="A cosine schedule ends with the training; give the number of all updates"):
    optimizer.learning_rate(recipe, 0)


@pytest.mark.parametrize("schedule", ["inverse_sqrt", "nat_em"])
def test_cools_down_in_the_last_updates(schedule):
  recipe = config.Optimizer(learning_rate=5e-4, warmup=40, cooldown=4, schedule=schedule)
  share = [float(optimizer.learning_rate(recipe, step, 100) / optimizer.learning_rate(recipe, step))
           for step in (0, 50, 95, 96, 97, 98, 99)]
  np.testing.assert_allclose(share, [1, 1, 1, 1, 0.75, 0.5, 0.25], rtol=1e-5)


@pytest.mark.parametrize("step, rate", [(0, 2.47e-7), (1_000, 2.47e-4), (4_000, 9.88e-4), (120_000, 1.80e-4)])
def test_schedule_of_the_original(step, rate):
  recipe = config.Optimizer(learning_rate=0.1, warmup=4_000, schedule="nat_em")
  np.testing.assert_allclose(optimizer.learning_rate(recipe, step), rate, rtol=5e-3)


def test_original_schedule_is_capped_for_short_warmups():
  recipe = config.Optimizer(learning_rate=0.1, warmup=4, schedule="nat_em")
  rates = [float(optimizer.learning_rate(recipe, step)) for step in (3, 100, 3_999)]
  np.testing.assert_allclose(rates, [0.1 * 10 / 16 * 4_000**-0.5] * 3, rtol=1e-5)


# Of norms, of source and output, and of the layers of a flow that start at the identity or a rotation.
SPARED = r"(gamma|beta|source_bias|output_bias|log_scale|shift|linear_\d+/kernel)$"


@pytest.mark.parametrize("name", sorted(models.FAMILIES))
def test_only_norms_and_the_two_outer_biases_are_spared(name):
  model = families.build(name)
  spared, every = owners.spared(model), {v.path for v in model.variables}
  assert spared == {path for path in every if re.search(SPARED, path)}
  part = "".join(f"{frozen}/" for frozen in model.traits.frozen(model.config))
  assert {f"{part}encoder/norm/gamma", f"{part}embed/output_bias"} <= spared
  assert f"{part}encoder/block_0/ffn_in/bias" in every - spared


def test_a_checkpoint_knows_moments_and_averages_by_path(tmp_path):
  first, second = (keras.Variable([value], name=name) for name, value in (("first", 1.0), ("second", 2.0)))

  def state(*variables):
    adam, averages = optimizer.Adam(config.Optimizer(), variables), ema.Ema(0.5, variables)
    return adam, averages, tf.train.Checkpoint(adam=adam, ema=averages)

  adam, _, saved = state(first, second)
  adam.m["first"].assign([3.0])
  path = saved.write(str(tmp_path / "checkpoint"))
  adam, averages, restored = state(second, first)
  averages.means["first"].assign([9.0])
  restored.read(path).assert_consumed()
  assert [float(of["first"][0]) for of in (adam.m, averages.means)] == [3.0, 1.0]
  assert [float(of["second"][0]) for of in (adam.m, averages.means)] == [0.0, 2.0]
