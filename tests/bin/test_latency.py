"""bin/latency.py from flags to its output, on tiny models."""
import json
import pathlib

import pytest
import tensorflow as tf

from tests.export import tiny as exported
from tests.latency import tiny
from tf_nar.latency import systems

ROOT = pathlib.Path(__file__).parents[2]
SHORT = "--rounds=1", "--sentences=2", "--batches=2,4", "--lengths=3,90", "--sentences_a_length=2", "--threads=1"


@pytest.fixture
def threads(monkeypatch):
  """Leaves the threads of this process as they are: it is too late to set them in a test."""
  monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda _: None)


def test_two_systems_in_turns(load, tmp_path, threads, one_process, capsys):
  pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed; it comes with the extra ct2.")
  run = tiny.run(tmp_path / "run")
  ours, theirs = tiny.export(run, tmp_path / "ours"), tiny.export_ct2(run, tmp_path / "theirs")
  (tmp_path / "text").write_text("a low house\nthe tower is new\nis\n")
  (tmp_path / "reference").write_text("low\nnew is new\nthe\n")
  load("latency")[1](
    f"--workdir={tmp_path}/out", f"--text={tmp_path}/text", f"--reference={tmp_path}/reference",
    f"--system=ours={ours}", f"--system=theirs, greedy={theirs},beam=1", "--baseline=theirs, greedy", *SHORT)
  printed = capsys.readouterr().out
  assert "round 0 of 1 (does not count)" in printed and "times as fast as theirs, greedy" in printed
  told = json.loads((tmp_path / "out/latency.json").read_text())
  assert set(told) == {"when", "machine", "weights", "text", "rounds", "sentences a round", "baseline", "systems",
                       "rates", "answers"}
  assert list(told["systems"]) == ["ours", "theirs, greedy"] and told["machine"]["threads"] == 1
  for own in told["systems"].values():
    assert 0 < own["p50 ms"] <= own["p95 ms"] and list(own["sentences/s"]) == ["2", "4"]
    assert list(own["p50 ms by words"]) == ["3"]  # No sentence has 90 words.
    assert own["peak MiB"] >= own["peak MiB at batch 1"] > 1 and own["versions"] and own["dtype"] == "float32"
    assert own["disk MB"] > 0.001 and all(0 <= own[f"{score}_detokenized"] <= 100 for score in ("bleu", "chrf"))
  ratio = told["systems"]["theirs, greedy"]["p50 ms"] / told["systems"]["ours"]["p50 ms"]
  assert told["systems"]["ours"]["times"]["p50"] == pytest.approx(ratio)
  assert len(told["answers"]) == 2 * 2 * 4  # Rounds, systems, tasks.
  assert (tmp_path / "out/latency.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments, message", [
  ([], "Expected --text with sentences to translate"),
  (["--nar=runs/a", "--ar=configs/ar_wmt14.py"], "Random weights have a made-up vocabulary: give configs only"),
  (["--nar=runs/a", "--text=no/file"], "no/file"),
  (["--ar=configs/ar_wmt14.py", "--draft_with=configs/nat_em_wmt14.py"],
   "Translations of random weights agree with no draft; leave out --draft_with, or give runs."),
  (["--nar=configs/nat_em_wmt14.py", "--shortlist=x"],
   "--shortlist expects a number of tokens for random weights, as 1000; got x."),
  (["--text=README.md", "--shortlist=x"], "--shortlist is of the NAR run; give --nar too."),
  (["--ar=configs/ar_wmt14.py", "--reference=x"], "--reference is of the sentences of --text; give --text too."),
  (["--text=README.md", "--only=("], "--only is no regular expression, as int8|beam is; got '('"),
  (["--text=README.md", "--batches=8,x"], "--batches expects whole numbers, as 8,32,128; got 8,x"),
  (["--text=README.md"], "Nothing to compare: give --nar and --ar, or --system=NAME=FOLDER"),
])
def test_refusals_are_one_line(refused, tmp_path, threads, monkeypatch, arguments, message):
  monkeypatch.chdir(ROOT)
  line = refused("latency", f"--workdir={tmp_path}/out", *arguments)
  assert line.startswith("latency: ") and message in line


def test_a_drafter_is_checked_before_anything_is_exported(load, tmp_path, monkeypatch):
  made, latency = [], load("latency")[0]
  monkeypatch.setattr(systems, "prepare", made.append)
  teacher, student = (tiny.run(tmp_path / name, name) for name in ("ar", "nat_em"))
  other = exported.make(tmp_path / "other", "nat_em", exported.VOCABULARIES["bpe"]())

  def compared(drafter):
    latency.flags.values.unparse_flags()
    latency.flags.parse(["latency", f"--workdir={tmp_path}/out", f"--draft_with={drafter}"])
    return latency.compared([], [teacher])

  with pytest.raises(ValueError, match="other cannot draft for .*ar: it has another vocabulary"):
    compared(other)
  assert not made
  with pytest.raises(ValueError, match="ar cannot use a shortlist"):
    latency.flags.values.unparse_flags()
    latency.flags.parse(["latency", f"--workdir={tmp_path}/out"])
    latency.compared([teacher], [], "short.npz")
  assert not made
  found, baseline = compared(student)
  assert found == made and baseline == "AR 1-1, beam 5"
  assert [each.made_by for each in made if each.name == "AR 1-1, drafted"] == [
    (f"--workdir={teacher}", f"--draft_with={student}")]
