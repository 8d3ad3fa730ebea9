"""A run that is killed at any moment and resumed must give the results of an uninterrupted run."""
import dataclasses
import os
import resource
import shutil
import signal

import numpy as np
import pytest
import tensorflow as tf

from tests.data import folders
from tests.train import bigram
from tf_nar import config
from tf_nar import types
from tf_nar.data import pipeline
from tf_nar.models import ar
from tf_nar.train import checkpoint
from tf_nar.train import loop
from tf_nar.train import monitor
from tf_nar.train import optimizer
from tf_nar.train import preemption

RECIPE = config.Optimizer(learning_rate=0.05, warmup=2)
TRAIN = config.Train(
  steps=8, tokens_per_batch=64, buckets=2, seed=3, log_every=2, validate_every=3, keep=2, average=2,
  optimizer=RECIPE)
TIMED = {"tokens_per_second", "input_share"}


class Killed(BaseException):
  """An exception that no program catches."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  return folders.make(tmp_path_factory.mktemp("loop") / "data", folders.random_pairs(40, longest=8))


@pytest.fixture(autouse=True)
def _no_events(monkeypatch):
  monkeypatch.setattr(monitor.tf.summary, "create_file_writer", lambda _: tf.summary.create_noop_writer())


def train(data, workdir, train=TRAIN, dies=None, validate=None, make=bigram.Bigram):
  """Trains a new model; returns it and the result of the loop.

  `dies`: ("batch", n) kills it when the n-th batch is drawn, ("validation", n) in the n-th validation.
  """
  model, validations = make(), []
  workdir.mkdir(exist_ok=True)

  def batches(position):
    for n, drawn in enumerate(pipeline.training(data, train, position), 1):
      if dies == ("batch", n):
        raise Killed
      yield drawn

  def measure():
    validations.append(None)
    if dies == ("validation", len(validations)):
      raise Killed
    return {"bleu": float(tf.reduce_sum(tf.abs(model.table.value)))}, {"text": "words"}

  experiment = config.Experiment("ar", ar.Config(), ar.Search(), train)
  return model, loop.run(model, experiment, batches, str(workdir), validate=validate or measure)


def rows(workdir):
  untimed = lambda row: {name: value for name, value in row.items() if name not in TIMED}
  return [untimed(row) for row in monitor.read(str(workdir))]


def assert_same_run(workdir, found, undisturbed):
  whole_dir, (whole_model, whole_shipped) = undisturbed
  model, shipped = found
  for mine, theirs in zip(model.variables, whole_model.variables, strict=True):
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy(), err_msg=mine.path)
  assert shipped.keys() == whole_shipped.keys()
  for path, value in whole_shipped.items():
    np.testing.assert_array_equal(shipped[path], value, err_msg=path)
  assert rows(workdir) == rows(whole_dir)


@pytest.fixture(scope="module")
def undisturbed(data, tmp_path_factory):
  workdir = tmp_path_factory.mktemp("loop") / "whole"
  return workdir, train(data, workdir)


def test_log_of_a_run(undisturbed):
  logged = rows(undisturbed[0])
  assert [row["step"] for row in logged if "loss" in row] == [2, 3, 4, 6, 8]
  assert [row["step"] for row in logged if "valid_bleu" in row] == [3, 6, 8]
  assert logged[-2]["epoch"] >= 1  # The runs below are killed in one epoch and continue into the next.
  assert {"loss", "token", "length", "gradient_norm", "learning_rate", "padding"} < logged[0].keys()


slow = lambda *case: pytest.param(case, marks=pytest.mark.slow)


# After a checkpoint, and in the last validation; one that is stopped often dies before, between and in the first too.
@pytest.mark.parametrize("dies", [
  slow("batch", 3), ("batch", 4), slow("batch", 6), slow("validation", 1), ("validation", 3)])
def test_stopping_changes_nothing(data, tmp_path, undisturbed, dies):
  with pytest.raises(Killed):
    train(data, tmp_path, dies=dies)
  assert_same_run(tmp_path, train(data, tmp_path), undisturbed)


def test_stopping_often_changes_nothing(data, tmp_path, undisturbed):
  for dies in [("batch", 2), ("batch", 5), ("validation", 1)]:
    with pytest.raises(Killed):
      train(data, tmp_path, dies=dies)
  assert_same_run(tmp_path, train(data, tmp_path), undisturbed)


def test_stopping_changes_nothing_with_several_micro_batches(data, tmp_path):
  several = dataclasses.replace(TRAIN, optimizer=dataclasses.replace(RECIPE, accumulate=2))
  whole = train(data, tmp_path / "whole", several)
  with pytest.raises(Killed):
    train(data, tmp_path / "parts", several, dies=("batch", 10))
  assert_same_run(tmp_path / "parts", train(data, tmp_path / "parts", several), (tmp_path / "whole", whole))


def spoil(path, kind):
  """Truncates a checkpoint as a machine might that stopped while writing it."""
  index, data = (path.parent / f"{path.name}{end}" for end in (".index", ".data-00000-of-00001"))
  if kind == "no index":
    return index.unlink()
  half = index if kind == "half an index" else data
  return half.write_bytes(half.read_bytes()[:half.stat().st_size // 2])


@pytest.fixture(scope="module")
def killed(data, tmp_path_factory):
  """The folder of a run with checkpoints of the steps 3 and 6."""
  workdir = tmp_path_factory.mktemp("loop") / "killed"
  with pytest.raises(Killed):
    train(data, workdir, dies=("batch", 8))
  return workdir


@pytest.mark.parametrize("kind", ["no index", "half an index", "half the data"])
def test_half_a_checkpoint_is_passed_over(data, tmp_path, undisturbed, killed, monkeypatch, kind):
  workdir = tmp_path / "run"
  shutil.copytree(killed, workdir)
  spoil(workdir / checkpoint.FOLDER / "ckpt-000006", kind)
  began, stream = [], pipeline.training
  monkeypatch.setattr(pipeline, "training", lambda *args: began.append(args[-1]) or stream(*args))
  assert_same_run(workdir, train(data, workdir), undisturbed)
  assert began == [pipeline.Position(0, 3)]  # As after step 3.


def test_a_finished_run_only_gives_its_weights(data, tmp_path, undisturbed):
  train(data, tmp_path)
  assert_same_run(tmp_path, train(data, tmp_path, dies=("batch", 1)), undisturbed)


def test_more_updates_continue_a_finished_run(data, tmp_path):
  longer = dataclasses.replace(TRAIN, validate_every=2)
  train(data, tmp_path / "parts", dataclasses.replace(longer, steps=6))
  parts = train(data, tmp_path / "parts", longer)
  assert_same_run(tmp_path / "parts", parts, (tmp_path / "whole", train(data, tmp_path / "whole", longer)))


def scripted(bleus):
  values = iter(bleus)
  return lambda: ({"bleu": next(values)}, {})


@pytest.mark.parametrize("warmup, bleus, stops", [
  (0, [1, 2, 3, 4, 5, 6, 7, 8], 8),
  (0, [1, 3, 2, 2, 9, 9, 9, 9], 4),  # Two without a better one.
  (0, [1, 1, 1, 2, 2, 2, 2, 2], 3),  # Equal is not better.
  (4, [3, 2, 2, 2, 1, 1, 1, 9], 7),  # Those of the warm-up do not count.
])
def test_patience(data, tmp_path, caplog, warmup, bleus, stops):
  often = dataclasses.replace(
    TRAIN, validate_every=1, patience=2, optimizer=dataclasses.replace(RECIPE, warmup=warmup))
  with caplog.at_level("INFO", logger="absl"):
    train(data, tmp_path, often, validate=scripted(bleus))
  assert rows(tmp_path)[-1]["step"] == stops
  assert ("without a better BLEU" in caplog.text) == (stops < 8)
  train(data, tmp_path, often, dies=("batch", 1))  # What patience ended stays ended.


@pytest.mark.parametrize("until, stops", [("bleu>7.5", 3), ("bleu<6.5", 2), ("bleu<10", 1)])
def test_ends_when_a_condition_holds(data, tmp_path, until, stops):
  bounded = dataclasses.replace(TRAIN, validate_every=1, until=until)
  train(data, tmp_path, bounded, validate=scripted([7, 6, 8, 9]))
  assert rows(tmp_path)[-1]["step"] == stops
  train(data, tmp_path, bounded, dies=("batch", 1))  # It stays ended.


def test_a_condition_that_is_not_met_is_an_error_and_the_run_can_go_on(data, tmp_path):
  bounded = dataclasses.replace(TRAIN, steps=2, validate_every=1, until="bleu>8.5")
  with pytest.raises(ValueError, match=r"did not reach train.until=bleu>8.5 in 2 updates; raise train.steps"):
    train(data, tmp_path, bounded, validate=scripted([7, 6]))
  train(data, tmp_path, dataclasses.replace(bounded, steps=6), validate=scripted([8, 9, 1]))
  assert rows(tmp_path)[-1]["step"] == 4


def test_a_condition_on_an_unknown_number(data, tmp_path):
  bounded = dataclasses.replace(TRAIN, validate_every=1, until="error<0.1")
  with pytest.raises(ValueError, match="train.until=error<0.1: validation has no number 'error'; it has bleu"):
    train(data, tmp_path, bounded, validate=scripted([7, 6]))


def test_the_rate_cools_down_towards_the_last_update(data, tmp_path):
  recipe = dataclasses.replace(RECIPE, cooldown=4)
  train(data, tmp_path, dataclasses.replace(TRAIN, optimizer=recipe))
  logged = [row["learning_rate"] for row in rows(tmp_path) if "learning_rate" in row]
  rates = [optimizer.learning_rate(recipe, step, TRAIN.steps) for step in (6, 7)]  # Those of the last row.
  np.testing.assert_allclose(logged[-1], np.mean(rates), rtol=1e-5)
  assert logged[-1] < 0.5 * logged[1]


@pytest.mark.parametrize("options, shipped, left", [
  ({"average": 2}, {5, 6}, {4, 5, 6}),
  ({"average": 2, "average_of": "best"}, {3, 4}, {2, 3, 4, 6}),  # 2 is of the warm-up.
  ({"average": 2, "average_of": "best", "optimizer": dataclasses.replace(RECIPE, warmup=4)}, {6}, {2, 3, 4, 6}),
  ({"average": 3, "optimizer": dataclasses.replace(RECIPE, warmup=4)}, {5, 6}, {4, 5, 6}),  # None of the warm-up,
  ({"average": 3, "optimizer": dataclasses.replace(RECIPE, warmup=9)}, {4, 5, 6}, {4, 5, 6}),  # if there are others.
])
def test_ships_the_mean_of_the_right_checkpoints(data, tmp_path, options, shipped, left):
  settings = dataclasses.replace(TRAIN, steps=6, validate_every=1, keep=3, **options)
  weights, bleus, held = {}, dict(zip(range(1, 7), [1, 8, 6, 9, 2, 3], strict=True)), []

  def measure():
    step = len(weights) + 1
    weights[step] = [v.numpy() for v in held[0].variables]
    return {"bleu": bleus[step]}, {}

  def make():
    held.append(bigram.Bigram())
    return held[0]

  model, mean = train(data, tmp_path, settings, validate=measure, make=make)
  for n, variable in enumerate(model.variables):
    expected = np.mean([weights[step][n] for step in shipped], 0)
    np.testing.assert_allclose(mean[variable.path], expected, rtol=1e-6)
    np.testing.assert_array_equal(variable.numpy(), weights[6][n])  # The model's own weights are unchanged.
  assert set(checkpoint.Checkpoints(model, tf.Module(), str(tmp_path)).steps()) == left


class Diverges(bigram.Bigram):
  """Its loss is NaN after some updates."""

  def __init__(self, after):
    super().__init__()
    self.done, self.after = tf.Variable(0), after

  def spoil(self, done):
    return done > self.after

  def objective(self, batch, *, seed, training, step=0):
    terms = super().objective(batch, seed=seed, training=training).terms
    spoiled = tf.where(self.spoil(self.done.assign_add(1)), float("nan"), 1.0)
    return types.Loss(terms | {"token": terms["token"]._replace(total=terms["token"].total * spoiled)})


@pytest.mark.parametrize("after, message", [
  (0, r"loss is nan at step 1; its sentence pairs are in .*/nonfinite.jsonl; no checkpoint was saved yet"),
  (4, r"loss is nan at step 5; .*; the last good checkpoint is .*ckpt-000003\. Lower train.optimizer"),
])
def test_a_loss_that_is_no_number_stops_the_run(data, tmp_path, after, message):
  with pytest.raises(FloatingPointError, match=message):
    train(data, tmp_path, make=lambda: Diverges(after))
  assert [row["step"] for row in rows(tmp_path)] == [2, 3, 3, 4][:after]


class Recovers(Diverges):
  """Its loss is NaN in one update."""

  def spoil(self, done):
    return tf.equal(done, self.after + 1)


def test_an_update_that_is_no_number_may_be_skipped(data, tmp_path, caplog):
  skip = dataclasses.replace(TRAIN, nonfinite="skip")
  with caplog.at_level("WARNING", logger="absl"):
    model, shipped = train(data, tmp_path, skip, make=lambda: Recovers(4))
  assert "The loss is nan at step 5; its sentence pairs are in" in caplog.text
  assert [row.get("skipped") for row in rows(tmp_path)] == [None] * 4 + [1] + [None] * 3
  assert all(np.isfinite(value).all() for value in shipped.values())
  (row,) = [row for row in rows(tmp_path) if "skipped" in row]
  assert row["step"] == 6 and np.isfinite(row["loss"])


def test_told_to_stop_it_saves_at_once_and_goes_on(data, tmp_path, undisturbed):
  stream = pipeline.training

  def told(n):
    def training(*args):
      for drawn, batch in enumerate(stream(*args), 1):
        if drawn == n:
          os.kill(os.getpid(), signal.SIGTERM)
        yield batch
    return training

  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(pipeline, "training", told(5))
    with pytest.raises(preemption.Preempted, match=r"saved after step 5\. Run the same command to resume"):
      train(data, tmp_path)
  assert checkpoint.Checkpoints(bigram.Bigram(), tf.Module(), str(tmp_path)).steps() == [3, 5]
  model, shipped = train(data, tmp_path)
  whole_dir, (whole_model, whole_shipped) = undisturbed
  for mine, theirs in zip(model.variables, whole_model.variables, strict=True):
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
  for path, value in whole_shipped.items():
    np.testing.assert_array_equal(shipped[path], value)
  # The log has one row more, and its next one is about fewer updates.
  assert [row["step"] for row in rows(tmp_path)] == [2, 3, 3, 4, 5, 6, 6, 8, 8]
  assert [row for row in rows(tmp_path) if "valid_bleu" in row] == [
    row for row in rows(whole_dir) if "valid_bleu" in row]


def test_a_full_disk_leaves_the_last_good_checkpoint(data, tmp_path, undisturbed):
  _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
  ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # Writing then fails as on a full disk.
  models, validations = [], []

  def measure():
    validations.append(None)
    if len(validations) == 2:
      resource.setrlimit(resource.RLIMIT_FSIZE, (3_000, hard))
    return {"bleu": float(tf.reduce_sum(tf.abs(models[-1].table.value)))}, {"text": "words"}

  def make():
    models.append(bigram.Bigram())
    return models[-1]

  try:
    with pytest.raises(OSError, match=r"^The checkpoint of step 6 could not be written .*; the last good one is "
                                      r".*ckpt-000003\. Make room and run the same command\.$"):
      train(data, tmp_path, validate=measure, make=make)
  finally:
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    signal.signal(signal.SIGXFSZ, ignored)
  assert checkpoint.Checkpoints(models[0], tf.Module(), str(tmp_path)).steps() == [3]
  assert not list((tmp_path / checkpoint.FOLDER).glob("*000006*"))
  assert_same_run(tmp_path, train(data, tmp_path), undisturbed)


def test_averages_are_validated_and_shipped(data, tmp_path):
  settings = dataclasses.replace(TRAIN, steps=4, validate_every=2, average=1, ema=0.5)
  seen, models = [], []

  def measure():
    seen.append([v.numpy() for v in models[-1].variables])
    return {"bleu": 1.0}, {}

  def make():
    models.append(bigram.Bigram())
    return models[-1]

  model, shipped = train(data, tmp_path, settings, validate=measure, make=make)
  averaged = seen[:]
  plain = dataclasses.replace(settings, ema=0.0, validate_every=1)  # Its weights are seen after each update.
  train(data, tmp_path / "plain", plain, validate=measure, make=make)
  weights = seen[len(averaged):]
  assert (len(averaged), len(weights)) == (2, 4)
  mean = [v.numpy() for v in bigram.Bigram().variables]
  for n, then in enumerate(weights, 1):
    decay = min(0.5, (1 + n) / (10 + n))
    mean = [decay * m + (1 - decay) * v for m, v in zip(mean, then, strict=True)]
    if n == 2:
      for found, expected in zip(averaged[0], mean, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5)
  for v, last, expected in zip(model.variables, weights[-1], mean, strict=True):
    np.testing.assert_allclose(shipped[v.path], expected, rtol=1e-5)
    np.testing.assert_array_equal(v.numpy(), last)  # Training continued with its own weights.

  with pytest.raises(ValueError, match=r"ckpt-000004 does not hold all of this run's state; give the settings"):
    train(data, tmp_path / "plain", dataclasses.replace(settings, steps=5))


def test_draws_as_many_micro_batches_as_an_update_has(data, tmp_path):
  settings = dataclasses.replace(TRAIN, steps=2, optimizer=dataclasses.replace(RECIPE, accumulate=3))
  train(data, tmp_path / "enough", settings, dies=("batch", 7))
  with pytest.raises(Killed):
    train(data, tmp_path / "one_less", settings, dies=("batch", 6))
