"""bin/measure.py around planted runs and a planted text."""
import json
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.bin import backwards
from tf_nar import config
from tf_nar import runs
from tf_nar.data import corpus
from tf_nar.evaluate import report
from tf_nar.models import ar


class Teacher(backwards.Backwards):
  """A quarter of a nat per target token, whatever the source."""

  traits = backwards.Backwards.traits._replace(autoregressive=True, likelihood=lambda config: "autoregressive")

  def score(self, src, tgt):
    return -0.25 * tf.math.count_nonzero(tgt, 1, dtype=tf.float32)


@pytest.fixture
def call(monkeypatch, load):
  def load_run(workdir, overrides=()):
    exact = "model.net.dtype=float32"
    expected = {"runs/old": [["search.beam=2"]], "runs/janus": [["model.scores=nar", exact]], "runs/nat": [[exact]]}
    assert list(overrides) in expected.get(workdir, [[exact], []])  # A teacher also translates, in its own type.
    experiment = config.Experiment("ar", ar.Config(ar.transformer.Config(max_length=6)), ar.Search(beam=4))
    model = Teacher() if "teacher" in workdir else backwards.Backwards()
    return SimpleNamespace(experiment=experiment, model=model, vocab=backwards.VOCAB, workdir=workdir)

  monkeypatch.setattr(runs, "load", load_run)
  monkeypatch.setattr(corpus, "validation", lambda folder: (["a b", "a c a"], ["a", "b"]))
  usual = {"data_dir": "data", "teacher": "runs/teacher", "student": "runs/nat"}
  return lambda **flags: load("measure")[1](*(f"--{name}={value}" for name, value in (usual | flags).items()))


def test_measures_the_validation_text(call, capsys):
  call()
  # The student gives "b" 100 nats, as it does not begin as its source; two targets of two tokens each.
  assert capsys.readouterr().out.split("\n")[0].split()[:2] == ["total_correlation", "25.25"]


def test_measures_another_score_of_the_student(call, capsys):
  call(student="runs/janus", student_set="model.scores=nar")
  assert capsys.readouterr().out.split()[:2] == ["total_correlation", "25.25"]


def test_measures_a_teachers_translations(call, capsys):
  call(translate_with="runs/teacher")
  # "b a" and "a c a": 7 tokens with EOS.
  assert float(capsys.readouterr().out.split()[1]) == pytest.approx(0.25 + 100 / 7, abs=0.01)


def test_translations_may_be_of_another_search(call, tmp_path):
  path = str(tmp_path / "report.json")
  report.write(path, [report.Row("sentences", 2, "")], {"data": {"source": {"sha256": "x"}}})
  call(translate_with="runs/old", translate_set="search.beam=2", report=path)
  assert json.loads((tmp_path / "report.json").read_text())["facts"]["total_correlation"]["translate_set"]
  with pytest.raises(SystemExit, match="^measure: --translate_set changes the search of the run of --translate_with; "):
    call(translate_set="search.beam=2")


def test_adds_the_rows_to_a_report(call, tmp_path):
  path = str(tmp_path / "report.json")
  report.write(path, [report.Row("bleu_tokenized", 30.0, "tok:none"), report.Row("nll_student", 9.0, "old")],
               {"a": 1, "data": {"source": {"sha256": "x"}}})
  call(report=path)
  written = json.loads((tmp_path / "report.json").read_text())
  assert list(written["rows"]) == ["bleu_tokenized", "total_correlation", "total_correlation_low",
                                   "total_correlation_high", "nll_student", "nll_teacher"]
  assert written["rows"]["nll_student"]["value"] == pytest.approx(25.5) and written["facts"]["a"] == 1
  assert written["facts"]["total_correlation"]["student"] == "runs/nat"


@pytest.mark.parametrize("flags", [{"teacher": "runs/nat"}, {"student": "runs/teacher"}])
def test_a_users_mistake_is_one_line(call, flags):
  with pytest.raises(SystemExit, match="^measure: Total correlation needs an autoregressive score of the teacher, "):
    call(**flags)
