"""Experiments of several phases give one run folder, the same however often they are interrupted."""
import dataclasses
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest

from tests.conformance import families
from tests.data import folders
from tf_nar import config
from tf_nar import fit
from tf_nar import recipe
from tf_nar import runs
from tf_nar.config import Phase
from tf_nar.data import pipeline
from tf_nar.evaluate import tuning
from tf_nar.models import ctc
from tf_nar.train import loop
from tf_nar.train import monitor

TRAIN = config.Train(
  steps=4, tokens_per_batch=128, max_length=12, buckets=1, log_every=2, validate_every=2, keep=2,
  optimizer=config.Optimizer(learning_rate=0.01, warmup=1))
PHASES = (
  Phase("likelihood", start="warm_start"),
  Phase("bigrams", ("model.ngrams=2", "train.steps=3", "train.optimizer.learning_rate=0.003"), text="original"),
)
SWEEP = ("search.beam=2", "search.bonus=0,0.5")


def experiment(**changes):
  model = ctc.Config(families.NET, upsample=4)
  return config.Experiment("ctc", model, ctc.Search(), TRAIN, **{"phases": PHASES, "sweep": SWEEP} | changes)


def data(folder):
  """Returns the data folders of a distilled text and of its original, with the same vocabulary."""
  return [folders.make(folder / name, folders.random_pairs(60, longest=11, seed=seed))
          for name, seed in (("given", 0), ("original", 1))]


class Killed(BaseException):
  """An exception that no program catches."""


@pytest.fixture(scope="module")
def texts(tmp_path_factory):
  return data(tmp_path_factory.mktemp("recipe"))


@pytest.fixture(scope="module")
def finished(texts, tmp_path_factory):
  return recipe.run(experiment(), texts[0], str(tmp_path_factory.mktemp("recipe") / "run"), original_dir=texts[1])


@pytest.fixture
def fits(monkeypatch):
  """The calls of `fit.fit`, which trains nothing: [(experiment, text, folder, warm_start, frozen)]."""
  calls = []

  def fit_(each, text, folder, *, warm_start=None, frozen=None, profile_steps=()):
    calls.append((each, text, folder, warm_start, frozen))
    if folder.endswith(("last", "train")):
      raise Killed

  monkeypatch.setattr(fit, "fit", fit_)
  monkeypatch.setattr(fit, "check", lambda *_: None)
  monkeypatch.setattr(recipe.warm_starts, "check", lambda *_: None)
  return calls


@pytest.fixture
def unvalidated(monkeypatch):
  """Trainings measure nothing on validation text: that takes half of their time, and changes no weight."""
  monkeypatch.setattr(fit.Validation, "__call__", lambda self: ({"bleu": 0.0}, {}))


def weights(workdir):
  return dict(np.load(os.path.join(workdir, runs.WEIGHTS)))


def assert_same(one, other):
  assert one.keys() == other.keys()
  for path, value in one.items():
    np.testing.assert_array_equal(value, other[path], err_msg=path)


def read(workdir, name):
  return json.loads(pathlib.Path(workdir, name).read_text())


def test_the_folder_is_a_run_folder_of_the_last_phase(finished):
  workdir = finished.workdir
  last = recipe.at(workdir, "bigrams")
  run = {"config.json", "vocab.txt", "target.json", "weights.npz", "text.sha256", "log.jsonl"}
  assert set(os.listdir(workdir)) == run | {"recipe.json", "phases", "sweep.json"}
  assert set(os.listdir(last)) == run | {"checkpoints", "events"}
  for name in run - {"config.json"}:
    assert pathlib.Path(workdir, name).read_bytes() == pathlib.Path(last, name).read_bytes()
  held = runs.load(workdir).experiment
  assert (held.model.ngrams, held.train.steps, held.phases, held.sweep) == (2, 3, (), ())
  assert dataclasses.replace(held, search=None) == dataclasses.replace(runs.load(last).experiment, search=None)
  assert [row["step"] for row in monitor.read(workdir) if "valid_bleu" in row] == [2, 3]


def test_all_updates_that_led_to_a_run_are_known(finished, tmp_path):
  whole = recipe.seen(finished.workdir)
  assert whole == [("likelihood", 4, 4 * 128), ("bigrams", 3, 3 * 128)]
  assert recipe.seen(recipe.at(finished.workdir, "likelihood")) == whole[:1]
  assert recipe.seen(recipe.at(finished.workdir, "bigrams")) == whole
  assert recipe.seen(str(tmp_path)) == []  # Without a log, as a packed run.
  shutil.copytree(recipe.at(finished.workdir, "bigrams"), tmp_path / "alone")
  assert recipe.seen(str(tmp_path / "alone")) == [("train", 3, 3 * 128)]


def test_the_search_is_the_best_on_validation_text(finished, texts):
  swept = read(finished.workdir, recipe.SWEEP)
  assert [row["name"].split()[-1] for row in swept["tried"]] == ["search.bonus=0", "search.bonus=0.5"]
  best = max(swept["tried"], key=lambda row: row["values"]["bleu_tokenized"])
  assert swept["chosen"] == best["name"].split()
  base = runs.load(recipe.at(finished.workdir, "bigrams")).experiment
  assert finished.experiment.search == config.override(base, *swept["chosen"]).search != base.search
  assert not any("second" in name for row in swept["tried"] for name in row["values"])


def test_a_finished_recipe_is_not_run_again(finished, texts, monkeypatch):
  monkeypatch.setattr(loop, "run", lambda *_, **__: pytest.fail("It trained again."))
  monkeypatch.setattr(tuning, "measure", lambda *_, **__: pytest.fail("It searched again."))
  again = recipe.run(experiment(), texts[0], finished.workdir, original_dir=texts[1])
  assert again.experiment == finished.experiment


def test_another_sweep_of_a_finished_recipe_trains_nothing(finished, texts, tmp_path, monkeypatch):
  monkeypatch.setattr(loop, "run", lambda *_, **__: pytest.fail("It trained again."))
  other = experiment(sweep=("search.unknown=True",))
  again = recipe.run(other, texts[0], finished.workdir, original_dir=texts[1])
  assert again.experiment.search.unknown
  recipe.run(experiment(), texts[0], finished.workdir, original_dir=texts[1])  # Restored for the other tests.


def test_the_last_phase_is_trained_on(finished, texts, tmp_path, unvalidated):
  workdir = str(tmp_path / "run")
  shutil.copytree(finished.workdir, workdir)
  run = lambda *phases: recipe.run(experiment(phases=phases), texts[0], workdir, original_dir=texts[1])
  longer = lambda phase: dataclasses.replace(phase, changes=(*phase.changes, "train.steps=5"))
  with pytest.raises(ValueError, match="^Phase likelihood: it is finished, and bigrams after it has begun; give more "):
    run(longer(PHASES[0]), PHASES[1])
  assert run(PHASES[0], longer(PHASES[1])).experiment.train.steps == 5
  assert monitor.read(workdir)[-1]["step"] == 5
  assert read(workdir, recipe.SWEEP)["steps"] == 5 and read(finished.workdir, recipe.SWEEP)["steps"] == 3


def test_a_sweep_after_one_training(texts, tmp_path, fits):
  with pytest.raises(Killed):
    recipe.run(experiment(phases=()), texts[0], str(tmp_path), warm_start="runs/old")
  assert fits == [(experiment(phases=(), sweep=()), texts[0], recipe.at(str(tmp_path), "train"), "runs/old", None)]


def test_without_phases_it_is_a_plain_run(texts, tmp_path, fits):
  plain = experiment(phases=(), sweep=())
  recipe.run(plain, texts[0], str(tmp_path / "run"), warm_start="runs/old")
  assert fits == [(plain, texts[0], str(tmp_path / "run"), "runs/old", None)]
  assert not (tmp_path / "run").exists()


def test_where_phases_start(texts, tmp_path, fits):
  phases = (Phase("one", start="warm_start"), Phase("two"), Phase("three", start="scratch", text="original"),
            Phase("four", start="warm_start"), Phase("last"))
  with pytest.raises(Killed):
    recipe.run(experiment(phases=phases), texts[0], str(tmp_path), original_dir=texts[1], warm_start="runs/old")
  at = lambda name: recipe.at(str(tmp_path), name)
  assert [call[1:4] for call in fits] == [
    (texts[0], at("one"), "runs/old"), (texts[0], at("two"), at("one")), (texts[1], at("three"), None),
    (texts[0], at("four"), "runs/old"), (texts[0], at("last"), at("four"))]


def test_a_phase_of_another_family_and_a_frozen_part(texts, tmp_path, fits, monkeypatch):
  first = config.Experiment("glat", *families.TINY["glat"], TRAIN)
  phases = (Phase("latent", ("train.steps=2",), start="scratch", experiment=first),
            Phase("last", start="scratch", frozen="latent"))
  scored = experiment(phases=phases)
  with pytest.raises(ValueError, match="Phase last: ctc takes no frozen part from another run; leave out frozen="):
    recipe.run(scored, texts[0], str(tmp_path))
  module = recipe.models.family("ctc")
  monkeypatch.setattr(module, "TRAITS", module.TRAITS._replace(frozen=lambda config: {"latent": first.model}))
  with pytest.raises(Killed):
    recipe.run(scored, texts[0], str(tmp_path))
  assert fits[0][0] == config.override(first, "train.steps=2")
  assert fits[1][0] == experiment(phases=(), sweep=()) and fits[1][4] == recipe.at(str(tmp_path), "latent")
  of_warm_start = experiment(phases=(phases[0], dataclasses.replace(phases[1], frozen="warm_start")))
  with pytest.raises(ValueError, match="Phase last freezes the weights of the run of --warm_start, but none is given"):
    recipe.run(of_warm_start, texts[0], str(tmp_path / "other"))
  teacher = str(tmp_path / "teacher")
  runs.create(first, families.VOCAB, teacher)
  with pytest.raises(Killed):
    recipe.run(of_warm_start, texts[0], str(tmp_path / "other"), warm_start=teacher)
  assert fits[3][3:] == (None, teacher)
  other = str(tmp_path / "deeper")
  runs.create(config.override(first, "model.net.decoder_layers=2"), families.VOCAB, other)
  with pytest.raises(ValueError, match="Phase last: The frozen part has net.decoder_layers=1, but .*deeper, whose"):
    recipe.run(of_warm_start, texts[0], str(tmp_path / "other"), warm_start=other)
  with pytest.raises(ValueError, match="Phase latent: ctc trains with a frozen part.*give the name of an earlier"):
    recipe.run(experiment(phases=(Phase("latent", start="scratch"),)), texts[0], str(tmp_path))


@pytest.mark.parametrize("changes, message", [
  (dict(sweep=("train.steps=1,2",)), "expect an option of the search and its values, as search.beam=1,5; got 'train"),
  (dict(sweep=("search.bean=1,2",)), "no field 'bean'. Did you mean 'beam'"),
  (dict(phases=(PHASES[0], Phase("b", ("family=glat",)))), "family=glat goes with a model of glat.Config"),
  (dict(phases=(Phase("a", start="scratch", text="original"),)), "Phase a trains on the original text; .*--original_d"),
  (dict(phases=(PHASES[0], Phase("b", ("model.net.max_length=9",)))),
   r"^Phase b: .* has pairs of \d+ tokens, but the model takes model.net.max_length=9"),
  (dict(phases=(PHASES[0], Phase("b", ("model.net.shards=2",)))), "^Phase b: net.shards=2 is for translation only"),
  (dict(phases=(PHASES[0], Phase("b", ("model.net.ffn=9",)))),
   "^Phase b: The run of .*/phases/likelihood has no weight .* of shape .*; its model is of another family or"),
  (dict(phases=(Phase("a", ("train.until=errors<0.1", "train.minutes=1"), start="scratch"),)),
   "^Phase a: train.until=errors<0.1 takes as many updates as it needs, so train.minutes cannot limit them; leave"),
])
def test_refused_before_any_work(texts, tmp_path, monkeypatch, changes, message):
  monkeypatch.setattr(loop, "run", lambda *_, **__: pytest.fail("It trained."))
  with pytest.raises(ValueError, match=message):
    recipe.run(experiment(**changes), texts[0], str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_a_folder_keeps_its_phases(finished, texts, tmp_path):
  workdir = finished.workdir
  run = lambda folder, **changes: recipe.run(experiment(**changes), texts[0], folder, original_dir=texts[1])
  with pytest.raises(ValueError, match="begun with other phases, .*: it has likelihood, bigrams; requested are"):
    run(workdir, phases=(PHASES[0], Phase("more"), PHASES[1]))
  with pytest.raises(ValueError, match="begun with other phases, or with other texts or initial weights of these"):
    run(workdir, phases=(PHASES[0], dataclasses.replace(PHASES[1], start="scratch")))
  with pytest.raises(ValueError, match=r"holds a training in phases \(likelihood, bigrams\), the config has none; "):
    run(workdir, phases=(), sweep=())
  with pytest.raises(ValueError, match="^Phase likelihood: .* is finished, and was trained with other"):
    recipe.run(dataclasses.replace(experiment(), train=dataclasses.replace(TRAIN, seed=1)), texts[0], workdir,
               original_dir=texts[1])
  with pytest.raises(ValueError, match="^Phase bigrams: .*bigrams was begun with another text"):
    recipe.run(experiment(), texts[0], workdir, original_dir=texts[0])
  with pytest.raises(ValueError, match="holds a run without phases; choose another --workdir, perhaps with --warm_st"):
    run(recipe.at(workdir, "bigrams"))
  assert read(workdir, recipe.FILE)["finished"]  # Nothing was written.


def test_phases_without_their_record_are_refused(texts, tmp_path):
  (tmp_path / "run/phases").mkdir(parents=True)
  with pytest.raises(ValueError, match="run has phases/ but no recipe.json, .*; copy recipe.json too, or choose"):
    recipe.run(experiment(), texts[0], str(tmp_path / "run"), original_dir=texts[1])


def test_a_folder_in_use_is_refused(texts, tmp_path):
  (tmp_path / "run").mkdir()
  code = ("import sys\nfrom tf_nar.data import lock\n"
          "with lock.held(sys.argv[1]):\n  print(flush=True)\n  sys.stdin.read()")
  pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE)
  other = subprocess.Popen([sys.executable, "-c", code, tmp_path / "run"], **pipes)
  other.stdout.readline()
  with pytest.raises(ValueError, match="run is in use by another process"):
    recipe.run(experiment(), texts[0], str(tmp_path / "run"), original_dir=texts[1])
  assert os.listdir(tmp_path / "run") == []
  other.communicate()


def stopped_at(moment, stop):
  """Plants a stop at one of MOMENTS; `stop` ends the process."""
  phase, batches = {"first": ("given", 3), "second": ("original", 2)}.get(moment, ("", 0))
  training, published = pipeline.training, recipe._publish

  def stream(folder, *args, **options):
    if not folder.endswith(phase or "none"):
      yield from training(folder, *args, **options)
    yield from training(folder, *args, **options).take(batches)
    stop()

  def fit_(each, text, *args, fit_=fit.fit, **options):
    if moment == "between" and text.endswith("original"):
      stop()
    return fit_(each, text, *args, **options)

  def publish(*args):
    if moment == "end":
      runs.write(args[0]._replace(workdir=args[2]))  # Half of it.
      stop()
    published(*args)

  def write(path, content, write=recipe.atomic.write):
    write(path, content)
    if moment == "sweep" and path.endswith(recipe.SWEEP):
      stop()

  return [(pipeline, "training", stream), (fit, "fit", fit_), (recipe, "_publish", publish),
          (recipe.atomic, "write", write)]


MOMENTS = ["first", "between", "second", "sweep", "end"]


def main(folder, moment):
  """Runs the recipe in a separate process, which kills itself at a given moment."""
  for owner, name, planted in stopped_at(moment, lambda: os.kill(os.getpid(), signal.SIGKILL)):
    setattr(owner, name, planted)
  text, original = (os.path.join(folder, name) for name in ("given", "original"))
  recipe.run(experiment(), text, os.path.join(folder, "killed"), original_dir=original)


def assert_undisturbed(workdir, whole):
  assert_same(weights(workdir), weights(whole))
  assert read(workdir, recipe.SWEEP) == read(whole, recipe.SWEEP)
  assert runs.load(workdir).experiment == runs.load(whole).experiment


def test_stopping_changes_nothing(finished, texts, tmp_path, monkeypatch, unvalidated):
  def stop():
    raise Killed

  for moment in MOMENTS:
    with monkeypatch.context() as patch, pytest.raises(Killed):
      for planted in stopped_at(moment, stop):
        patch.setattr(*planted)
      recipe.run(experiment(), texts[0], str(tmp_path), original_dir=texts[1])
    assert not (tmp_path / runs.WEIGHTS).exists() and not read(tmp_path, recipe.FILE)["finished"]
  recipe.run(experiment(), texts[0], str(tmp_path), original_dir=texts[1])
  assert_undisturbed(tmp_path, finished.workdir)


@pytest.mark.slow
def test_killed_by_a_signal_it_ends_as_if_undisturbed(finished, tmp_path):
  data(tmp_path)
  for moment in [*MOMENTS, ""]:
    code = f"from tests import test_recipe; test_recipe.main({str(tmp_path)!r}, {moment!r})"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False,
                           cwd=pathlib.Path(__file__).parents[1])
    assert ended.returncode == (-signal.SIGKILL if moment else 0), ended.stderr
  assert_undisturbed(tmp_path / "killed", finished.workdir)
