"""`fit.fit` trains from a data folder into a run folder."""
import contextlib
import dataclasses
import os
import pathlib
import shutil
from types import SimpleNamespace

import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tests.data import folders
from tests.data import holding
from tf_nar import config
from tf_nar import family
from tf_nar import fit
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import pipeline
from tf_nar.data import vocab as vocab_lib
from tf_nar.train import loop
from tf_nar.train import monitor

TRAIN = config.Train(
  steps=5, tokens_per_batch=128, max_length=12, buckets=1, log_every=2, validate_every=2, keep=2, average=2,
  optimizer=config.Optimizer(learning_rate=0.01, warmup=1))


def experiment(name, **train):
  return config.Experiment(name, *families.TINY[name], dataclasses.replace(TRAIN, **train))


class Killed(BaseException):
  """An exception that no program catches."""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
  pairs = folders.aligned(folders.random_pairs(60, longest=11))  # That is for those families that need it.
  return folders.make(tmp_path_factory.mktemp("fit") / "data", pairs)


@pytest.fixture(scope="module")
def finished(data, tmp_path_factory):
  return fit.fit(experiment("nat_em"), data, str(tmp_path_factory.mktemp("fit") / "run"))


def weights(run):
  return {v.path: v.numpy() for v in run.model.variables}


def rows(workdir):
  timed = {"tokens_per_second", "input_share"}
  return [{name: value for name, value in row.items() if name not in timed} for row in monitor.read(workdir)]


def assert_same(one, other):
  assert one.keys() == other.keys()
  for path, value in one.items():
    np.testing.assert_array_equal(value, other[path], err_msg=path)


def killed_at(batch):
  """A training stream that ends its program when one more batch is requested."""
  def training(folder, train, position, **options):
    yield from stream(folder, train, position, **options).take(batch)
    raise Killed

  stream = pipeline.training
  return training


def test_run_folder_stands_alone(data, finished):
  held = {path.name for path in pathlib.Path(finished.workdir).iterdir()}
  assert held == {"config.json", "vocab.txt", "target.json", "weights.npz", "text.sha256", "log.jsonl", "checkpoints",
                  "events"}
  loaded = runs.load(finished.workdir)
  assert_same(weights(loaded), weights(finished))
  assert loaded.vocab.sha256 == vocab_lib.load(data).sha256
  src = families.padded([[5, 6, 7], [8]], 5)
  np.testing.assert_array_equal(loaded.model.score(src, src), finished.model.score(src, src))


def test_measures_are_logged(finished):
  validations = [row for row in rows(finished.workdir) if "valid_bleu" in row]
  assert [row["step"] for row in validations] == [2, 4, 5]
  measures = {"step", "valid_bleu", "valid_chrf", "valid_ncm", "valid_repeats", "valid_token", "valid_length"}
  assert all(row.keys() == measures for row in validations)


@pytest.mark.slow
def test_two_devices_validate_as_one(data, finished, two):
  with two.scope():
    both = fit.Validation(runs.load(finished.workdir), data)()[0]
  assert both == fit.Validation(finished, data)()[0]


def test_a_finished_run_returns_at_once(data, finished, monkeypatch):
  monkeypatch.setattr(loop, "run", lambda *_, **__: pytest.fail("It trained again."))
  again = fit.fit(experiment("nat_em"), data, finished.workdir)
  assert_same(weights(again), weights(finished))


def test_a_finished_run_is_trained_on(data, finished, tmp_path, monkeypatch):
  workdir = str(tmp_path / "run")
  shutil.copytree(finished.workdir, workdir)
  longer = experiment("nat_em", steps=8)
  monkeypatch.setattr(fit.Validation, "__call__", lambda self: ({"bleu": 0.0}, {}))
  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(pipeline, "training", killed_at(2))  # After a checkpoint of update 6.
    fit.fit(longer, data, workdir)
  assert_same(weights(runs.load(workdir)), weights(finished))  # Still the run that it was.
  assert runs.read(workdir).train.steps == 5
  fit.fit(longer, data, workdir)
  assert runs.load(workdir).experiment.train.steps == 8
  assert [row["step"] for row in rows(workdir) if "valid_bleu" in row] == [2, 4, 5, 6, 8]
  with pytest.raises(ValueError, match="is finished, and was trained with other settings"):
    fit.fit(experiment("nat_em"), data, workdir)
  shutil.rmtree(os.path.join(workdir, "checkpoints"))
  with pytest.raises(ValueError, match=f"finished and has no checkpoints, so .* more train.steps; .*_start={workdir}"):
    fit.fit(experiment("nat_em", steps=9), data, workdir)


@pytest.mark.slow
@pytest.mark.parametrize("name", [
  name for name in sorted(models.FAMILIES) if not models.traits(name).frozen(families.TINY[name].config)])
def test_stopping_changes_nothing(data, tmp_path, monkeypatch, name):
  whole = fit.fit(experiment(name), data, str(tmp_path / "whole"))
  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(pipeline, "training", killed_at(3))
    fit.fit(experiment(name), data, str(tmp_path / "parts"))
  parts = fit.fit(experiment(name), data, str(tmp_path / "parts"))
  assert_same(weights(parts), weights(whole))
  assert rows(parts.workdir) == rows(whole.workdir)


@pytest.fixture
def began(monkeypatch):
  """{path: array}, the initial weights of the last model; nothing is trained."""
  held = {}

  def run(model, *_, **__):
    held.update((v.path, v.numpy()) for v in model.variables)
    return held

  monkeypatch.setattr(loop, "run", run)
  return held


def test_warm_start_begins_with_those_weights(data, finished, tmp_path, began):
  fit.fit(experiment("nat_em", seed=7), data, str(tmp_path / "warm"), warm_start=finished.workdir)
  assert_same(began, weights(finished))
  fit.fit(experiment("nat_em", seed=7), data, str(tmp_path / "cold"))
  assert not np.array_equal(began["embed/tokens/embeddings"], weights(finished)["embed/tokens/embeddings"])


def test_another_text_is_refused(data, finished, tmp_path):
  other = folders.make(tmp_path / "data", folders.aligned(folders.random_pairs(59, longest=11)))
  with pytest.raises(ValueError, match="run was begun with another text than .*data; choose another --workdir"):
    fit.fit(experiment("nat_em"), other, finished.workdir)
  fit.fit(experiment("nat_em"), data, finished.workdir)


def test_warm_start_takes_what_another_family_has_too(data, finished, tmp_path, began):
  fit.fit(experiment("ar", seed=7), data, str(tmp_path / "cold"))
  cold = dict(began)
  fit.fit(experiment("ar", seed=7), data, str(tmp_path / "warm"), warm_start=finished.workdir)
  theirs = weights(finished)
  shared = {path for path in began if path.split("/")[0] in ("embed", "encoder", "decoder")}
  assert shared and shared < set(began)
  assert_same(began, {path: theirs[path] if path in shared else cold[path] for path in began})
  wide = config.override(experiment("ar"), "model.net.ffn=99")
  with pytest.raises(ValueError, match="has no weight encoder/.* of shape .*; its model is of another family or"):
    fit.fit(wide, data, str(tmp_path / "wide"), warm_start=finished.workdir)


def test_a_warm_start_takes_each_layer_from_its_relative_depth(data, finished, tmp_path, began):
  theirs = weights(finished)
  layers = lambda held, part: {path.split("/")[1] for path in held if path.startswith(f"{part}/block_")}
  has = len(layers(theirs, "encoder"))  # nat_em has one more decoder block than its config says.
  assert (has, len(layers(theirs, "decoder"))) == (1, 2)
  deep = config.override(experiment("nat_em", seed=7), "model.net.encoder_layers=3", "model.net.decoder_layers=2")
  fit.fit(deep, data, str(tmp_path), warm_start=finished.workdir)
  begins = {"encoder": [0, 0, 0], "decoder": [0, 0, 1]}  # Layers by the net that they start from.
  assert [len(layers(began, part)) for part in begins] == [3, 3]

  def source(path):
    part, block, *rest = path.split("/")
    return "/".join([part, f"block_{begins[part][int(block[6:])]}", *rest]) if block.startswith("block_") else path

  assert_same(began, {path: theirs[source(path)] for path in began})


def test_a_warm_start_goes_on_from_its_own_checkpoint(data, finished, tmp_path, monkeypatch):
  restored, restore = [], loop.checkpoint.Checkpoints.restore

  def look(saved):
    step = restore(saved)
    restored.append((step[0], {v.path: v.numpy() for v in saved._model.variables}))
    return step

  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(pipeline, "training", killed_at(3))
    patch.setattr(fit.Validation, "__call__", lambda self: ({"bleu": 0.0}, {}))
    fit.fit(experiment("nat_em", seed=7), data, str(tmp_path), warm_start=finished.workdir)
  with monkeypatch.context() as patch, pytest.raises(Killed):
    patch.setattr(pipeline, "training", killed_at(0))
    patch.setattr(loop.checkpoint.Checkpoints, "restore", look)
    fit.fit(experiment("nat_em", seed=7), data, str(tmp_path), warm_start=finished.workdir)
  (step, held), = restored
  assert step == 2 and not np.array_equal(held["embed/positions"], weights(finished)["embed/positions"])


@pytest.mark.parametrize("changes, message", [
  (dict(max_length=256), r"pairs of 14 tokens, but the model takes model.net.max_length=12; raise it, or set "
                         r"train.max_length=12 to leave longer pairs out"),
  (dict(max_length=1), "train.max_length=1 leaves no training pair"),
])
def test_refuses_pairs_without_places(tmp_path, changes, message):
  pairs = [folders.records.Pair([5] * n + [types.EOS], [5, types.EOS]) for n in (4, 13)]
  folder = folders.make(tmp_path / "data", pairs)
  with pytest.raises(ValueError, match=message):
    fit.fit(experiment("ar", **changes), folder, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()  # Or it would refuse what mends it.


@pytest.mark.parametrize("name, options, message", [
  ("ar", lambda folder: dict(warm_start=folder), "has no weights.npz: its training has not saved a model yet"),
  ("nat_fertility", lambda _: {}, "has no fertilities, which the model learns from"),
])
def test_a_refused_training_leaves_no_folder(tmp_path, name, options, message):
  plain = folders.make(tmp_path / "data", folders.random_pairs(9, longest=11))
  with pytest.raises(ValueError, match=message):
    fit.fit(experiment(name), plain, str(tmp_path / "run"), **options(str(tmp_path)))
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["ctc", "dag"])
def test_a_canvas_without_room_is_refused_before_the_first_update(tmp_path, name):
  pairs = [folders.records.Pair([5, types.EOS], [*range(6, 15), types.EOS])] * 9
  folder = folders.make(tmp_path / "data", pairs)
  small = config.override(experiment(name), "model.upsample=3")
  with pytest.raises(ValueError, match=r"model.upsample=3 is too small for 100.0 % of .*; --set=model.upsample=5 "):
    fit.fit(small, folder, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_a_search_allows_what_the_text_has(tmp_path, began):
  pairs = [folders.records.Pair([5, types.EOS], [5] * 25 + [types.EOS])] * 9  # 26 tokens are 3 times 2, and 20.
  folder = folders.make(tmp_path / "data", pairs)
  asked = config.override(experiment("ar", max_length=30), "model.net.max_length=30")
  for name, overrides, ratio in (("learned", (), 3.0), ("told", ("search.length_ratio=1.5",), 1.5)):
    fit.fit(config.override(asked, *overrides), folder, str(tmp_path / name))
    assert runs.load(str(tmp_path / name)).experiment.search.length_ratio == ratio


def test_a_folder_in_use_is_refused_untouched(data, tmp_path):
  (tmp_path / "run").mkdir()
  with holding.held(tmp_path / "run"):
    with pytest.raises(ValueError, match=f"^{tmp_path}/run is in use by another process; wait for its end, or choose"):
      fit.fit(experiment("nat_em"), data, str(tmp_path / "run"))
  assert os.listdir(tmp_path / "run") == []


def test_who_began_meanwhile_is_not_overwritten(data, tmp_path, monkeypatch):
  with contextlib.ExitStack() as stack:
    def begun(*_, **__):
      (tmp_path / "run").mkdir()
      (tmp_path / "run/config.json").write_text("theirs")
      stack.enter_context(holding.held(tmp_path / "run"))

    monkeypatch.setattr(fit.pipeline, "check", begun)
    with pytest.raises(ValueError, match="run is in use by another process"):
      fit.fit(experiment("nat_em"), data, str(tmp_path / "run"))
  assert os.listdir(tmp_path / "run") == ["config.json"] and (tmp_path / "run/config.json").read_text() == "theirs"


class Echo:
  """Predicts the source, at half a nat per token; its objective cannot be computed on validation text."""

  traits = family.Traits(lambda *_: family.Operations(0, 0), batch=lambda config: types.Aligned)

  def __init__(self, max_length):
    self.config = SimpleNamespace(net=SimpleNamespace(max_length=max_length))

  def translate(self, src, search, rescore=None):
    return types.Translation(src[:, None], tf.zeros([tf.shape(src)[0], 1]), tf.constant(1))

  def score(self, src, tgt):
    return -0.5 * tf.math.count_nonzero(tgt, 1, dtype=tf.float32)


def validation(folder, max_length=12, **train):
  """A `Validation` of the echo on text that is its own translation except for one repeated word."""
  text = "w1 w2 w3 w4\nw5 w5 w7 w8 w9\n"
  for name in (corpus.SOURCE, corpus.TARGET):
    with open(os.path.join(folder, name), "w", encoding="utf-8") as file:
      file.write(text)
  run = runs.Run(experiment("ar", **train), Echo(max_length), folders.VOCAB, "")
  return fit.Validation(run, folder)


@pytest.fixture
def text_data(tmp_path):
  return folders.make(tmp_path / "data", folders.random_pairs(3))


def test_validation_measures(text_data):
  numbers, texts = validation(text_data)()
  np.testing.assert_allclose([numbers["bleu"], numbers["ncm"]], [100, 0.5])
  assert numbers["repeats"] == pytest.approx(1 / 9)  # Of nine words; EOS does not count.
  assert texts["translations"].splitlines()[2] == "| w1 w2 w3 w4 | w1 w2 w3 w4 | w1 w2 w3 w4 |"


def test_validation_ends_each_source_once(text_data, monkeypatch):
  shown, translate = [], fit.corpus.translate
  spy = lambda model, ids, **kw: shown.extend(ids) or translate(model, ids, **kw)
  monkeypatch.setattr(fit.corpus, "translate", spy)
  validation(text_data, max_length=5)()
  assert shown == [[6, 7, 8, 9, types.EOS], [10, 10, 12, 13, types.EOS]]


def test_validation_of_a_part(text_data):
  numbers, _ = validation(text_data, validate_sentences=1)()
  assert (numbers["bleu"], numbers["repeats"]) == (pytest.approx(100), 0)


def test_validation_cuts_what_is_too_long_and_scores_it_not(text_data):
  numbers, texts = validation(text_data, max_length=5)()
  assert texts["translations"].splitlines()[3] == "| w5 w5 w7 w8 w9 | w5 w5 w7 w8 | w5 w5 w7 w8 w9 |"
  assert numbers["bleu"] < 100 and numbers["ncm"] == pytest.approx(0.5)
  with pytest.raises(ValueError, match=r"No validation pair of .* fits in model.net.max_length=4; raise it"):
    validation(text_data, max_length=4)


def test_validation_leaves_out_of_ncm_what_the_model_cannot_say(text_data, monkeypatch):
  echo = Echo.score
  monkeypatch.setattr(
    Echo, "score", lambda self, src, tgt: tf.where(tgt[:, 5] == types.EOS, -float("inf"), echo(self, src, tgt)))
  assert validation(text_data)()[0]["ncm"] == pytest.approx(0.5)


def test_ncm_by_a_bound_has_a_name_of_its_own(text_data, monkeypatch):
  monkeypatch.setattr(Echo, "traits", Echo.traits._replace(likelihood=lambda config: "bound"))
  numbers, _ = validation(text_data)()
  assert "ncm" not in numbers and numbers["ncm_bound"] == pytest.approx(0.5)


def test_a_measure_that_cannot_be_had_does_not_end_a_training(text_data, monkeypatch):
  monkeypatch.setattr(Echo, "score", lambda self, src, tgt: tf.fill([tf.shape(tgt)[0]], -float("inf")))
  numbers, _ = validation(text_data)()
  assert numbers.keys() == {"bleu", "chrf", "repeats"} and numbers["bleu"] == pytest.approx(100)


def test_validation_joins_references_for_bleu_and_scores_them_cut(tmp_path):
  vocab = vocab_lib.WordList([*types.SPECIALS, "w@@", "1", "2"])
  folder = folders.make(tmp_path / "data", folders.random_pairs(3))
  for name in (corpus.SOURCE, corpus.TARGET):
    pathlib.Path(folder, name).write_text("w@@ 1 w@@ 2 w@@ 1 w@@ 2\n")
  numbers, texts = fit.Validation(runs.Run(experiment("ar"), Echo(12), vocab, ""), folder)()
  assert "| w1 w2 w1 w2 |" in texts["translations"].splitlines()[2]
  np.testing.assert_allclose([numbers["bleu"], numbers["ncm"]], [100, 0.5])
