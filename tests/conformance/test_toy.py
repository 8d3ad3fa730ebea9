"""A new family is one file: it passes the conformance tests, and its state without gradient is trained and saved."""
import dataclasses
import inspect
import pathlib

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.conformance import test_families as conformance
from tests.conformance import toy
from tests.data import folders
from tf_nar import config
from tf_nar import fit
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import pipeline
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

# The conformance tests of a family, but for those that take minutes.
ASKED = [value for name, value in vars(conformance).items() if name.startswith("test_")
         and name not in ("test_exported_equals_live", "test_two_replicas_make_the_step_of_their_parts",
                          "test_saved_and_loaded_says_the_same", "test_learns_eight_sentences_by_heart")]
RECIPE = config.Optimizer(learning_rate=0.01, warmup=1)


@pytest.fixture(autouse=True)
def registered(monkeypatch):
  monkeypatch.setitem(models.FAMILIES, "toy", toy)
  monkeypatch.setitem(families.TINY, "toy", families.Tiny(toy.Config(families.NET), toy.Search(candidates=3)))


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.__name__)
def test_it_conforms(asked, request):
  fixtures = [name for name in inspect.signature(asked).parameters if name != "name"]
  asked("toy", **{name: request.getfixturevalue(name) for name in fixtures})


def updated(batches, accumulate=1, scope=None):
  model = families.build("toy", **families.STILL)
  recipe = dataclasses.replace(RECIPE, accumulate=accumulate)
  update = step_lib.Update(model, optimizer.Adam.of(recipe, model), config.Train(optimizer=recipe))
  update(batches, 0)
  return model


def halves(batch):
  return [types.Batch(*(field[start:start + 3] for field in batch)) for start in (0, 3)]


def assert_same_state(one, other):
  np.testing.assert_allclose(one.mean.numpy(), other.mean.numpy(), rtol=1e-5, atol=1e-6)
  assert one.updates.numpy() == other.updates.numpy()


def test_state_moves_once_an_update_by_the_sums_of_all_micro_batches():
  whole = updated([families.batch()])
  before = families.build("toy", **families.STILL)
  assert int(whole.updates) - int(before.updates) == 1 and not np.allclose(whole.mean, before.mean)
  assert_same_state(updated(halves(families.batch()), accumulate=2), whole)


def test_two_replicas_are_one(two):
  with two.scope():
    model = families.build("toy", **families.STILL)
    update = step_lib.Update(model, optimizer.Adam.of(RECIPE, model), config.Train(optimizer=RECIPE))
    update([families.batch()], 0)
  assert_same_state(model, updated([families.batch()]))


TRAIN = config.Train(steps=4, tokens_per_batch=128, max_length=12, buckets=1, log_every=2, validate_every=2, average=2,
                     optimizer=RECIPE)


def test_state_is_initialised_once_and_shipped_from_the_last_checkpoint(tmp_path, monkeypatch):
  data = folders.make(tmp_path / "data", folders.random_pairs(60, longest=9))
  seen = []
  initialise = toy.Model.initialise
  monkeypatch.setattr(toy.Model, "initialise", lambda model, batch, *, seed: seen.append(1) or initialise(
    model, batch, seed=seed))
  net = dataclasses.replace(families.NET, **families.STILL)
  experiment = config.Experiment("toy", toy.Config(net), toy.Search(), TRAIN)
  whole = fit.fit(experiment, data, str(tmp_path / "whole"))
  assert len(seen) == 1 and whole.model.updates.dtype == "int32" and int(whole.model.updates) == 4

  class Killed(Exception):
    pass

  def stream(*args, training=pipeline.training, **kw):
    for number, drawn in enumerate(training(*args, **kw)):
      if number == 3:
        raise Killed
      yield drawn

  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(pipeline, "training", stream)
    fit.fit(experiment, data, str(tmp_path / "killed"))
  resumed = fit.fit(experiment, data, str(tmp_path / "killed"))
  assert len(seen) == 2  # Not a third time.
  np.testing.assert_array_equal(resumed.model.mean, whole.model.mean)
  loaded = runs.load(str(tmp_path / "killed"))
  np.testing.assert_array_equal(loaded.model.mean, whole.model.mean)
  assert loaded.model.updates.dtype == "int32" and int(loaded.model.updates) == 4


def test_a_variable_without_gradient_is_named():
  class Idle(toy.Model):
    def __init__(self, config):
      super().__init__(config)
      self.idle = self.add_weight(name="idle", shape=())

  net = dataclasses.replace(families.NET, vocab=len(families.VOCAB))
  model = Idle(toy.Config(net))
  update = step_lib.Update(model, optimizer.Adam.of(RECIPE, model), config.Train(optimizer=RECIPE))
  with pytest.raises(ValueError, match=r"The objective does not depend on \w+/idle \(1 trainable"):
    update([families.batch()], 0)


def test_two_variables_of_one_path_are_refused_by_name(monkeypatch):
  class Twice(toy.Model):
    def __init__(self, config):
      super().__init__(config)
      self.again = self.add_weight(name="mean", shape=(), trainable=False)

  monkeypatch.setattr(toy, "Model", Twice)
  with pytest.raises(ValueError, match=r"Two variables of toy have the path '\w*/?mean', by which a run saves them"):
    models.build("toy", toy.Config(families.NET), len(families.VOCAB))


def test_what_is_missing_is_said_in_one_line():
  assert pathlib.Path(toy.__file__).read_text().count("\n") < 120
  with pytest.raises(ValueError, match="No model family 'other'; there are: ar, "):
    models.family("other")
  assert isinstance(tf.convert_to_tensor(families.build("toy").mean), tf.Tensor)
