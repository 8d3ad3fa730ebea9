"""A number of updates limited by minutes is measured once, recorded, and kept when a training is resumed."""
import dataclasses

import pytest

from tests.conformance import families
from tests.data import folders
from tf_nar import budget
from tf_nar import config
from tf_nar import fit
from tf_nar import runs
from tf_nar.models import ctc
from tf_nar.ops import glancing
from tf_nar.train import loop
from tf_nar.train import speed

TRAIN = config.Train(
  steps=1_000, minutes=1.0, tokens_per_batch=128, max_length=12, buckets=1, validate_every=100,
  optimizer=config.Optimizer(warmup=200, cooldown=50))
GLANCING = config.Experiment(
  "ctc", ctc.Config(families.NET, upsample=4, glance=glancing.Glance(updates=500)), ctc.Search(), TRAIN)


def test_all_that_counts_updates_keeps_its_share():
  short = budget.scaled(GLANCING, 100)
  rate = short.train.optimizer
  assert (short.train.steps, short.train.validate_every, rate.cooldown) == (100, 10, 5)
  assert short.model.glance.updates == 50
  assert budget.scaled(GLANCING, 1_000) == GLANCING
  none = config.override(GLANCING, "train.optimizer.warmup=0", "train.optimizer.cooldown=0")
  rate = budget.scaled(none, 3).train.optimizer
  assert (rate.warmup, rate.cooldown) == (0, 0)


@pytest.mark.parametrize("steps, warmup", [(1_000, 200), (500, 200), (400, 200), (100, 50), (1, 1)])
def test_the_learning_rate_rises_no_faster(steps, warmup):
  rate, whole = budget.scaled(GLANCING, steps).train.optimizer, GLANCING.train.optimizer
  assert rate.warmup == warmup
  assert rate.learning_rate / rate.warmup == pytest.approx(whole.learning_rate / whole.warmup)


@pytest.fixture
def clocked(monkeypatch):
  """Makes an update take the given seconds by a fake clock; nothing is computed."""
  def set_to(seconds):
    class Training:
      def __init__(self, *_):
        pass

      def warm_up(self, updates):
        pass

      def turn(self, updates):
        return speed.Turn(updates * seconds, 0.0, [])

    monkeypatch.setattr(speed, "Training", Training)

  return set_to


@pytest.mark.parametrize("seconds, steps", [(0.125, 480), (0.01, 1_000), (7.0, 8), (100.0, 1)])
def test_as_many_updates_as_the_minutes_allow(clocked, seconds, steps):
  clocked(seconds)
  assert budget.measured(None, GLANCING, lambda position: iter([])) == budget.scaled(GLANCING, steps)


class Killed(BaseException):
  """An exception that no program catches."""


def test_a_run_keeps_the_updates_that_it_began_with(tmp_path, clocked, monkeypatch):
  data, seen = folders.make(tmp_path / "data", folders.random_pairs(60, longest=11)), []
  workdir = str(tmp_path / "run")

  def train(model, experiment, batches, folder, **_):
    seen.append((experiment, {v.path: v.numpy() for v in model.variables}))
    if len(seen) < 3:
      raise Killed
    return seen[-1][1]

  monkeypatch.setattr(loop, "run", train)
  for seconds in (0.25, 0.125):  # The second start must not measure again.
    clocked(seconds)
    with pytest.raises(Killed):
      fit.fit(GLANCING, data, workdir)
  fit.fit(GLANCING, data, workdir)
  assert [experiment.train.steps for experiment, _ in seen] == [240] * 3
  assert runs.read(workdir).train == seen[0][0].train and seen[0][0].model.glance.updates == 120
  assert fit.fit(GLANCING, data, workdir).experiment.train.steps == 240  # Finished.


def test_measuring_leaves_no_trace(tmp_path, monkeypatch):
  data, seen = folders.make(tmp_path / "data", folders.random_pairs(60, longest=11)), []

  def train(model, experiment, batches, folder, **_):
    seen.append({v.path: v.numpy() for v in model.variables})
    raise Killed

  monkeypatch.setattr(loop, "run", train)
  bounded = dataclasses.replace(GLANCING, train=dataclasses.replace(TRAIN, minutes=0.001))
  for name, experiment in (("bounded", bounded), ("free", config.override(GLANCING, "train.minutes=0"))):
    with pytest.raises(Killed):
      fit.fit(experiment, data, str(tmp_path / name))
  assert runs.read(str(tmp_path / "bounded")).train.steps < 1_000
  assert all((value == seen[1][path]).all() for path, value in seen[0].items())
