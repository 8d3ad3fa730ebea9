import hashlib
import math
import subprocess

import pytest

from tf_nar import config
from tf_nar.data import text
from tf_nar.evaluate import report

ROWS = [report.Row("bleu_detokenized", 27.12345, "nrefs:1|tok:13a"), report.Row("sentences", 3, "lines")]


def test_round_trip(tmp_path):
  path = str(tmp_path / "report.json")
  facts = {"seed": 1, "data": {"source": {"path": "Übung", "sha256": "d"}}}
  report.write(path, ROWS, facts)
  assert report.read(path) == (ROWS, facts) and report.digests(facts) == {"source": "d"}


def test_table_is_aligned():
  assert report.table(ROWS) == ("bleu_detokenized  27.12  nrefs:1|tok:13a\n"
                                "sentences             3  lines")
  assert report.table([]) == ""
  assert report.table([report.Row("bleu", 3.361e-132, "s"), report.Row("p", 0.000999, "t")]) == (
    "bleu      0.00  s\np     0.000999  t")


@pytest.mark.parametrize("rows, message", [
    ([ROWS[0], ROWS[0]], "Two rows are called 'bleu_detokenized'"),
    ([report.Row("x", math.nan, "")], "every value of a report must be finite"),
])
def test_write_refuses(tmp_path, rows, message):
  with pytest.raises(ValueError, match=message):
    report.write(str(tmp_path / "report.json"), rows, {})
  assert list(tmp_path.iterdir()) == []


def test_facts_say_what_was_measured(tmp_path):
  path = tmp_path / "test.de"
  path.write_bytes(b"ein\nzwei")
  lines = text.read(str(path))
  assert list(lines) == ["ein", "zwei"]
  facts = report.facts(config.Experiment("ar", None, None), "runs/x", {"source": lines})
  digest = hashlib.sha256(b"ein\nzwei").hexdigest()
  assert facts["data"] == {"source": {"path": str(path), "lines": 2, "sha256": digest}}
  assert facts["experiment"]["family"] == "ar" and facts["seed"] == 0 and facts["workdir"] == "runs/x"
  assert facts["machine"]["devices"]
  report.write(str(tmp_path / "report.json"), ROWS, facts)  # All of it can be written as JSON.


def test_commit_is_a_hash_or_unknown():
  name = report.commit().removesuffix("-dirty")
  assert name == "unknown" or len(name) == 40 and int(name, 16) >= 0


@pytest.mark.parametrize("error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git")])
def test_commit_is_unknown_without_git(monkeypatch, error):
  def fail(*args, **kw):
    raise error
  monkeypatch.setattr(report.subprocess, "run", fail)
  assert report.commit() == "unknown"
