import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tests.conformance import families
from tests.data import folders
from tests.data import holding
from tests.em import minuscule
from tf_nar import config
from tf_nar import fit
from tf_nar import models
from tf_nar import runs
from tf_nar.data import corpus
from tf_nar.data import toy
from tf_nar.data import vocab
from tf_nar.em import measure
from tf_nar.em import report
from tf_nar.em import run
from tf_nar.em import stages as stages_lib
from tf_nar.evaluate import total_correlation


class Stages:
  """Stages that make empty folders; the measures are given."""

  def __init__(self, *values):
    self.values = iter(values)

  def __getattr__(self, name):
    if name == "measure":
      return lambda folders, out: self._make(out) or measure.write({"ncm_distilled": next(self.values)}, out)
    return lambda *inputs: self._make(inputs[-1])

  def _make(self, out):
    os.makedirs(out)


def without_times(rows):
  return [{name: value for name, value in row.items() if name != "seconds"} for row in rows]


def test_report_is_written_and_told(tmp_path):
  told = []
  rows = run.run(minuscule.get_config(), "", str(tmp_path), tell=told.append, stages=Stages(0.9, 0.5, 0.3))
  assert without_times(rows) == [{"round": n, "ncm_distilled": v} for n, v in enumerate((0.9, 0.5, 0.3))]
  assert json.loads((tmp_path / report.FILE).read_text()) == rows
  assert sum("teacher done" in text for text in told) == 2
  assert told[-1] == report.table(rows)


def test_toy_data_are_made_once(tmp_path):
  run.run(minuscule.get_config(), "", str(tmp_path), tell=lambda text: None, stages=Stages(3, 2, 1))
  assert corpus.read(str(tmp_path / "data")).splits["train"].pairs == minuscule.get_config().data.pairs
  told = []
  run.run(minuscule.get_config(), "", str(tmp_path), tell=told.append, stages=Stages())
  assert len(told) == 1  # The table alone.


def test_stops_early(tmp_path):
  alternation = dataclasses.replace(minuscule.get_config(), rounds=5, stop="ncm")
  rows = run.run(alternation, "", str(tmp_path), tell=lambda text: None, stages=Stages(0.9, 0.5, 0.3, 0.4))
  assert [row["round"] for row in rows] == [0, 1, 2, 3]


QUICK = "ctc", "nat_em", "nat_fertility"  # No length head, plain, needs no alignments here.


@pytest.mark.parametrize("family", families.each(set(families.TINY) - {"ar"}, QUICK))
def test_every_family_is_a_student(tmp_path, family):
  teacher, student = (config.Experiment(name, *families.TINY[name], minuscule.TRAIN) for name in ("ar", family))
  if hasattr(student.model, "copy"):
    student = config.override(student, "model.copy=uniform")  # Copying by fertility needs alignments.
  student = dataclasses.replace(student, search=type(student.search)())  # One candidate, so it must be widened.
  for part, model in models.traits(family).frozen(student.model).items():  # A first phase trains it.
    own = config.Experiment(part, model, families.TINY[part].search, minuscule.TRAIN)
    student = dataclasses.replace(student, phases=(
      config.Phase("first", experiment=own, start="scratch"), config.Phase("last", start="scratch", frozen="first")))
  alternation = dataclasses.replace(
    minuscule.get_config(), teacher=teacher, student=student, rounds=1, raw_student=False, student_from_teacher=True)
  row, = run.run(alternation, "", str(tmp_path), tell=lambda text: None)
  assert row["round"] == 1 and corpus.read(str(tmp_path / "round_1" / "selected")).splits["train"].pairs
  assert "student_rescored_bleu" in row
  measured = [value for name, value in row.items() if name.startswith(("ncm_", "student"))]
  assert len(measured) >= 5 and np.isfinite(measured).all()
  lost = total_correlation.NAMES.get(models.traits(family).likelihood(student.model))
  if lost:
    assert row[f"{lost}_low"] <= row[lost] <= row[f"{lost}_high"]
  else:
    assert family == "janus"  # Whose score is that of its autoregressive mode.


def test_one_configuration_a_workdir(tmp_path):
  quiet = dict(tell=lambda text: None)
  run.run(minuscule.get_config(), "", str(tmp_path), stages=Stages(3, 2, 1), **quiet)
  with pytest.raises(ValueError, match="begun with another nbest; choose another --workdir"):
    run.run(dataclasses.replace(minuscule.get_config(), nbest=2), "", str(tmp_path), **quiet)
  more = dataclasses.replace(minuscule.get_config(), rounds=3)
  assert len(run.run(more, "", str(tmp_path), stages=Stages(0), **quiet)) == 4


def test_goes_on_with_what_an_older_version_began(tmp_path):
  quiet = dict(tell=lambda text: None)
  run.run(minuscule.get_config(), "", str(tmp_path), stages=Stages(3, 2, 1), **quiet)
  path = tmp_path / run.CONFIG
  values = json.loads(path.read_text())
  del values["student_from_teacher"], values["student"]["train"]["ema"], values["teacher"]["model"]["net"]["shards"]
  del values["later_teacher"], values["later_student"]
  values |= {"later_teacher_steps": 0, "later_student_steps": 4}
  path.write_text(json.dumps(values))
  today = dataclasses.replace(minuscule.get_config(), later_student=("train.steps=4",))
  assert len(run.run(today, "", str(tmp_path), stages=Stages(0), **quiet)) == 3
  path.write_text(json.dumps(values))
  with pytest.raises(ValueError, match="begun with another student_from_teacher"):
    run.run(dataclasses.replace(today, student_from_teacher=True), "", str(tmp_path), **quiet)


def test_goes_on_with_a_student_of_phases(tmp_path):
  quiet, alternation = dict(tell=lambda text: None), minuscule.get_config()
  own = config.Experiment("glat", *families.TINY["glat"], minuscule.TRAIN)
  phases = (config.Phase("latent", experiment=own, start="scratch"), config.Phase("last", ("train.steps=2",)))
  student = dataclasses.replace(alternation.student, phases=phases, sweep=("search.candidates=1,2",))
  alternation = dataclasses.replace(alternation, student=student)
  run.run(alternation, "", str(tmp_path), stages=Stages(3, 2, 1), **quiet)
  assert len(run.run(alternation, "", str(tmp_path), stages=Stages(), **quiet)) == 3
  longer = config.override(student, "phases.last.train.steps=3")
  with pytest.raises(ValueError, match="begun with another student"):
    run.run(dataclasses.replace(alternation, student=longer), "", str(tmp_path), **quiet)


def test_refuses_no_data(tmp_path):
  nothing = dataclasses.replace(minuscule.get_config(), data=None)
  with pytest.raises(ValueError, match="give --data_dir"):
    run.run(nothing, "", str(tmp_path / "run"))
  with pytest.raises(FileNotFoundError, match=f"No manifest.json in {tmp_path}: it is not a complete data folder"):
    run.run(nothing, str(tmp_path), str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name, pairs, shards, changed", [
  ("text", folders.random_pairs(20, seed=1), 3, "data_text"),
  ("shards", folders.random_pairs(20), 2, "data_shards"),
  ("size", folders.random_pairs(21), 3, "data_pairs and data_text"),
])
def test_refuses_another_text(tmp_path, name, pairs, shards, changed):
  quiet, config = dict(tell=lambda text: None), dataclasses.replace(minuscule.get_config(), data=None)
  data, workdir = folders.make(tmp_path / "data", folders.random_pairs(20)), str(tmp_path / "run")
  run.run(config, data, workdir, stages=Stages(3, 2, 1), **quiet)
  before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
  shutil.rmtree(data)
  folders.make(data, pairs, shards)
  with pytest.raises(ValueError, match=f"^{workdir} was begun with another {changed}; choose another --workdir, or"):
    run.run(config, data, workdir, stages=Stages(), **quiet)
  assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before
  shutil.rmtree(data)
  folders.make(data, folders.random_pairs(20))  # The first again.
  assert len(run.run(config, data, workdir, stages=Stages(), **quiet)) == 3


def from_trained(tmp_path):
  """Returns an alternation that begins from a run, its data folder, and that run, untrained."""
  data, folder = folders.make(tmp_path / "data", folders.random_pairs(20)), str(tmp_path / "teacher")
  alternation = dataclasses.replace(minuscule.get_config(), data=None, raw_student=False, first_teacher=folder)
  trained = config.override(alternation.teacher, "train.seed=7", "train.steps=99", "model.smoothing=0.3")
  return alternation, data, runs.plan(trained, vocab.load(data), folder)


def test_begins_from_a_teacher_that_is_trained(tmp_path):
  alternation, data, given = from_trained(tmp_path)
  runs.save(given)
  quiet = dict(tell=lambda text: None)
  assert len(run.run(alternation, data, str(tmp_path / "run"), stages=Stages(3, 2), **quiet)) == 2
  stages_lib.Stages(alternation, data).teach(data, None, str(tmp_path / "first"))
  first = runs.load(str(tmp_path / "first"))
  for ours, theirs in zip(first.model.variables, given.model.variables, strict=True):
    np.testing.assert_array_equal(ours, theirs)
  searching = dataclasses.replace(given.experiment, search=alternation.teacher.search)
  assert first.experiment == fit.for_data(searching, data) and first.experiment.search.length_ratio > 0
  shutil.rmtree(given.workdir)  # What was copied is not read again.
  assert len(run.run(alternation, data, str(tmp_path / "run"), stages=Stages(), **quiet)) == 2


@pytest.mark.parametrize("changes, message", [
  (["teacher.model.net.decoder_layers=2"], "^The teacher has net.decoder_layers=2, but first_teacher=.*, whose"),
  (["teacher.model.net.tie=none"], "has model.net.tie=all and model.net.max_length=16, the teacher none and 16; set"),
  (["first_teacher={}/student"], "^first_teacher=.*student is of the family nat_em; give a run of ar"),
  (["first_teacher={}/untrained"], "^first_teacher=.*untrained is not trained yet; give a finished run"),
  (["first_teacher={}/nothing"], "^No run at .*nothing"),
  (["toy"], "^first_teacher=.* has another vocabulary than the text; prepare the text with data_prep/prepare.py"),
  ([""], "^first_teacher=.* needs the text that it can read; give --data_dir"),
])
def test_refuses_a_teacher_that_does_not_fit(tmp_path, changes, message):
  alternation, data, given = from_trained(tmp_path)
  runs.save(given)
  runs.save(runs.plan(alternation.student, vocab.load(data), str(tmp_path / "student")))
  runs.write(given._replace(workdir=str(tmp_path / "untrained")))
  if "toy" in changes:
    toy.write(data := str(tmp_path / "toy"), minuscule.get_config().data)
  elif "" in changes:
    data, alternation = "", dataclasses.replace(alternation, data=minuscule.get_config().data)
  else:
    alternation = config.override(alternation, *(each.format(tmp_path) for each in changes))
  with pytest.raises(ValueError, match=message):
    run.run(alternation, data, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


def test_two_at_once_are_refused(tmp_path):
  config = dataclasses.replace(minuscule.get_config(), rounds=1)
  with holding.held(tmp_path):
    with pytest.raises(ValueError, match=f"^{tmp_path} is in use by another process"):
      run.run(config, "", str(tmp_path))
  assert os.listdir(tmp_path) == []


ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def command(workdir):
  program = [sys.executable, "bin/em.py", f"--config={minuscule.__file__}", f"--workdir={workdir}"]
  return subprocess.Popen(program, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def finish(workdir):
  process = command(workdir)
  _, errors = process.communicate()
  assert process.returncode == 0, errors
  return json.loads((workdir / report.FILE).read_text())


@pytest.mark.slow
def test_killed_by_a_signal_it_ends_as_if_undisturbed(tmp_path):
  whole = finish(tmp_path / "whole")
  parts = tmp_path / "parts"
  moments = ["round_0/student/checkpoints", "round_1/candidates/train-00000-of-00002.tfrecord",
             "round_1/distilled", "round_2/teacher/log.jsonl"]
  for moment in moments:
    process = command(parts)
    while not (parts / moment).exists():
      assert process.poll() is None, f"Ended before {moment}: {process.stderr.read()}"
      time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
  assert without_times(finish(parts)) == without_times(whole)
  assert [row["round"] for row in whole] == [0, 1, 2]
  stages = [set(row["seconds"]) for row in whole]
  assert stages[0] == {"student", "measures"} and len(stages[1]) == len(stages[2]) == 7
