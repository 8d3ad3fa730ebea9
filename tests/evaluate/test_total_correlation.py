"""The estimate from given scores by hand; and, from trained models, of pairs whose C is known in closed form."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import types
from tf_nar.evaluate import total_correlation
from tf_nar.ops import glancing
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

# Equally likely translations of one source each, and C of them in nats, with H(T | x).
KNOWN = [
  ([[7, 8], [9, 10]], np.log(2)),  # "kein Problem", "of course": two words that depend on each other.
  ([[7, 8], [8, 7]], np.log(2)),  # One order or the other.
  ([[7, 8, 9], [8, 9]], 0.0),  # Two lengths, each with one translation: the length tells them apart.
  ([[7, 8], [9, 10], [7, 10]], 2 * np.log(3) - 4 / 3 * np.log(2) - np.log(3)),  # 0.174
]


def test_known_scores():
  found = total_correlation.estimate([-3.0, -5.0, -np.inf, -1.0], [-1.0, -4.0, -1.0, -np.inf], [2, 4, 3, 1])
  assert (found.value, found.student, found.teacher) == pytest.approx((3 / 6, 8 / 6, 5 / 6))
  assert (found.pairs, found.left_out) == (2, 2)
  assert found.low == pytest.approx(1 / 4) and found.high == pytest.approx(1.0)  # Of either pair alone.


def test_the_interval_narrows_with_more_sentences():
  draw = np.random.default_rng(0)
  wide = lambda n: total_correlation.estimate(draw.normal(-2, 1, n), np.full(n, -1.0), np.ones(n))
  few, many = wide(100), wide(10_000)
  assert few.low < few.value < few.high and many.low < 1.0 < many.high
  assert 5 < (few.high - few.low) / (many.high - many.low) < 20  # The root of 100.
  assert total_correlation.estimate([-1.0], [-1.0], [1]) == total_correlation.estimate([-1.0], [-1.0], [1])


@pytest.mark.parametrize("likelihood, name", total_correlation.NAMES.items())
def test_each_kind_of_score_has_a_row_of_its_own(likelihood, name):
  rows = total_correlation.rows(total_correlation.estimate([-3.0], [-1.0], [2]), likelihood)
  assert [row.name for row in rows] == [name, f"{name}_low", f"{name}_high", "nll_student", "nll_teacher"]
  assert rows[0].value == 1.0 and "95% interval over sentences 1.0000 to 1.0000; 1 pairs" in rows[0].signature


@pytest.mark.parametrize("scores, message", [
  (([-1.0], [-1.0, -2.0], [1]), "^There must be as many scores of both models as targets; got 1, 2 and 1"),
  (([-np.inf], [-1.0], [1]), "^None of 1 targets has a positive probability under both models"),
])
def test_unusable_scores_are_refused(scores, message):
  with pytest.raises(ValueError, match=message):
    total_correlation.estimate(*scores)


def trained(name, batch):
  model = families.build(name, width=32, ffn=64, **families.STILL)
  changes = {"smoothing": 0.0} | ({"glance": glancing.OFF, "length_factor": 1.0} if name == "glat" else {})
  model.config = dataclasses.replace(model.config, **changes)
  recipe = config.Optimizer(learning_rate=1e-2, warmup=30, cooldown=100)
  settings = config.Train(steps=300, optimizer=recipe)
  update = step_lib.Update(model, optimizer.Adam(recipe, model.trainable_variables, 300), settings)
  for step in range(300):
    update([batch], step)
  return model


def test_trained_models_measure_what_is_known():
  pairs = [(kind, y) for kind, (targets, _) in enumerate(KNOWN) for y in targets]
  src, tgt = families.padded([[15 + kind] for kind, _ in pairs], 2), families.padded([y for _, y in pairs], 4)
  # Each source as often as any other, for a loss that fits all of them.
  weight = tf.constant([1 / len(KNOWN[kind][0]) for kind, _ in pairs])
  batch = types.Batch(src, tgt, weight)
  student, teacher = (trained(name, batch).score(src, tgt).numpy() for name in ("glat", "ar"))
  for kind, (targets, known) in enumerate(KNOWN):
    mine = [row for row, (other, _) in enumerate(pairs) if other == kind]
    lengths = [len(y) + 1 for y in targets]
    found = total_correlation.estimate(student[mine], teacher[mine], lengths, samples=1)
    assert found.value * np.mean(lengths) == pytest.approx(known, abs=0.02), targets
