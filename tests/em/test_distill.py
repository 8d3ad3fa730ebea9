"""The candidates and scores of exported models are those of the runs, byte for byte, here and on an engine."""
import dataclasses
import importlib
import importlib.util
import pathlib
import shutil

import numpy as np
import pytest

from tests.em import minuscule
from tf_nar import runs
from tf_nar.data import toy
from tf_nar.data import vocab
from tf_nar.em import alternate
from tf_nar.em import config
from tf_nar.em import distill
from tf_nar.em import stages
from tf_nar.evaluate import corpus
from tf_nar.export import saved_model
from tf_nar.export import verify

needs_beam = pytest.mark.skipif(not importlib.util.find_spec("apache_beam"),
                                reason="apache-beam (the extra `beam`) is not installed")


def export(workdir, search, out):
  run = runs.load(str(workdir))
  run = run._replace(experiment=dataclasses.replace(run.experiment, search=search))
  saved_model.export(run, corpus.searcher(run.model, search), str(out))


@pytest.fixture(scope="module")
def place(tmp_path_factory):
  """A folder with a text in 3 shards, and of a teacher and a student run folders, SavedModels, candidates and scores.

  Batches are small, so there are several of one shape, and of several shapes.
  """
  place = tmp_path_factory.mktemp("distill")
  rule = dataclasses.replace(minuscule.get_config(), tokens_per_batch=24)
  toy.write(str(place / "data"), rule.data, shards=3)
  draw = np.random.default_rng(0)
  for name in ("teacher", "student"):
    run = runs.create(getattr(rule, name), vocab.load(str(place / "data")), str(place / name))
    runs.save_weights({variable.path: variable.numpy() + draw.normal(0, 0.3, variable.shape).astype(np.float32)
                       for variable in run.model.variables}, str(place / name))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(verify, "check", lambda *_: None)
    export(place / "teacher", config.nbest_search(rule, rule.teacher.search), place / "teacher_model")
    export(place / "student", rule.student.search, place / "student_model")
  work = stages.Stages(rule, str(place / "data"))
  work.propose(str(place / "teacher"), str(place / "candidates"))
  work.score(str(place / "student"), str(place / "teacher"), str(place / "candidates"), str(place / "scores"))
  return place


@pytest.fixture
def call(place):
  """Returns a function that calls the program on the folders of `place`."""
  program = importlib.import_module("tf_nar.cli.distill")

  def call(out, *arguments, model="teacher_model"):
    program.flags.values.unparse_flags()
    given = [f"--saved_model={place / model}", f"--data_dir={place / 'data'}", f"--out={out}", "--tokens_per_batch=24"]
    program.main(program.flags.parse(["distill", *given, *arguments]))

  return call


def score(place):
  return f"--candidates={place / 'candidates'}", f"--quality={place / 'teacher_model'}"


def files(folder):
  return {path.name: path.read_bytes() for path in pathlib.Path(folder).glob("train-*")}


def test_all_is_as_by_the_runs(place, call, tmp_path, capsys):
  call(tmp_path / "candidates")
  call(tmp_path / "scores", *score(place), model="student_model")
  for name in ("candidates", "scores"):
    assert files(tmp_path / name) == files(place / name) and len(files(place / name)) == 3
    assert alternate.seconds(str(tmp_path / name)) is not None
  assert any(len(each.tokens) > 1 for each in stages.records.read_candidates(sorted(
    str(path) for path in (tmp_path / "candidates").glob("train-*"))[0]))
  call(tmp_path / "scores", *score(place), model="student_model")
  assert capsys.readouterr().out.splitlines()[-1].endswith("scores: 3 shards, which were done already.")


def test_only_missing_shards_are_made(place, call, tmp_path, monkeypatch):
  out = tmp_path / "out"
  shutil.copytree(place / "candidates", out)
  left, missing, _ = sorted(out.glob("train-*"))
  left.write_bytes(b"left alone")
  missing.unlink()
  call(out, "--jobs=2", "--job=1")
  assert files(out) == files(place / "candidates") | {left.name: b"left alone"}


def without(place, tmp_path):
  """A SavedModel of an older version: its metadata names fewer signatures."""
  folder = tmp_path / "old"
  shutil.copytree(place / "teacher_model", folder)
  path = folder / "assets.extra/metadata.json"
  path.write_text(path.read_text().replace('"candidates_ids",', ""))
  return folder


def test_refusals(place, call, tmp_path):
  for arguments, model, message in (
    ([], "data", "No assets.extra/metadata.json in .*data: it is no SavedModel"),
    ([], without(place, tmp_path), "old has the signatures .*, and not candidates_ids, .* again"),
    (["--quality=x"], "teacher_model", "--quality scores the lists of --candidates; give that folder"),
    ([f"--candidates={tmp_path}"], "student_model", "No .*-of-00003.*; finish the candidates first"),
    (["--jobs=2", "--job=2"], "teacher_model", "give a --job from 0 to 1; got 2"),
    (["--jobs=2", "--runner=X"], "teacher_model", "--runner=X divides the work itself; leave out --jobs"),
  ):
    with pytest.raises(SystemExit, match=f"^distill: .*{message}"):
      call(tmp_path / "out", *arguments, model=model)
    assert not (tmp_path / "out").exists()


def test_another_model_or_text_is_refused(place, call, tmp_path):
  other = dataclasses.replace(minuscule.get_config().data, words=13)
  toy.write(str(tmp_path / "data"), other)
  with pytest.raises(ValueError, match=r"vocabulary of .*teacher_model \(SHA-256 \w{8}\) is not that of .*data"):
    distill.nbest(str(place / "teacher_model"), str(tmp_path / "data"), "out", 24)
  call(tmp_path / "out")
  with pytest.raises(SystemExit, match="out was begun with another student and teacher; choose another --out"):
    call(tmp_path / "out", *score(place)[:1], model="student_model")


@needs_beam
@pytest.mark.parametrize("options", [
  ["--direct_running_mode=in_memory"],
  pytest.param(["--direct_num_workers=2", "--direct_running_mode=multi_processing"], marks=pytest.mark.slow),
])
def test_an_engine_is_as_this_process(place, call, tmp_path, options):
  call(tmp_path / "candidates", "--runner=DirectRunner", "--", *options)
  call(tmp_path / "scores", "--runner=DirectRunner", *score(place), "--", *options, model="student_model")
  for name in ("candidates", "scores"):
    assert files(tmp_path / name) == files(place / name)
    assert alternate.seconds(str(tmp_path / name)) is not None


