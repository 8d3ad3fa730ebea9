import pathlib
import subprocess
import sys

import pytest

from tests.data import folders
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.prepare import aligned

ROOT = pathlib.Path(__file__).parent.parent.parent
PAIRS = folders.random_pairs(50, longest=8)  # Some pairs have no token on a side.


@pytest.fixture
def data(tmp_path):
  return folders.make(tmp_path / "data", PAIRS)


def content(folder):
  return {path.name: path.read_bytes() for path in sorted(pathlib.Path(folder).iterdir())}


def test_the_folder_is_the_same_with_fertilities(data, tmp_path, monkeypatch):
  monkeypatch.setattr(aligned, "_WINDOW", 7)
  out = str(tmp_path / "out")
  report = aligned.align(data, out)
  assert (report.pairs, report.learned_from, len(report.log_likelihoods)) == (50, 50, 5)
  before, after = corpus.read(data).splits, corpus.read(out).splits
  assert after["train"].lengths == before["train"].lengths and after["valid"] == before["valid"]
  assert any(len(pair.src) == 1 for pair in PAIRS) and any(len(pair.tgt) == 1 for pair in PAIRS)
  for one, other in zip(corpus.shards(data), corpus.shards(out), strict=True):
    for plain, pair in zip(records.read(one), records.read(other), strict=True):
      assert pair._replace(fertility=()) == plain
      assert len(pair.fertility) == len(pair.src) and sum(pair.fertility) == len(pair.tgt)
      assert pair.fertility[-1] == (len(pair.tgt) if len(pair.src) == 1 else 1)
  words = sum(len(pair.src) - 1 for pair in PAIRS)
  assert sum(report.fertilities.values()) == words
  text = aligned.summary(report, out)
  assert "50 aligned pairs; the lexicon was estimated from 50." in text and "Fertilities of tokens: 0: " in text


def test_twice_gives_the_same_bytes(data, tmp_path):
  first, second = (str(tmp_path / name) for name in ("first", "second"))
  aligned.align(data, first)
  aligned.align(data, second)
  assert content(first) == content(second)


def test_learning_can_be_from_a_part(data, tmp_path):
  assert aligned.align(data, str(tmp_path / "out"), learn_pairs=20).learned_from == 17  # Every third.


@pytest.mark.parametrize("options, message", [
  (dict(iterations=0), "--iterations must be at least 1 and --learn_pairs at least 0 .all pairs.; got 0 and 500000"),
  (dict(learn_pairs=-1), "got 5 and -1"),
])
def test_refuses_options(data, tmp_path, options, message):
  with pytest.raises(ValueError, match=message):
    aligned.align(data, str(tmp_path / "out"), **options)


def test_refuses_a_place_that_is_taken_before_it_learns(data, monkeypatch):
  monkeypatch.setattr(aligned.fast_align, "learn", lambda *_, **__: pytest.fail("It learned."))
  with pytest.raises(FileExistsError, match="data already exists and is not an empty folder; remove it, or choose"):
    aligned.align(data, data)


def test_the_program(data, tmp_path):
  out = str(tmp_path / "out")
  run = lambda *flags: subprocess.run(
    [sys.executable, str(ROOT / "data_prep" / "align.py"), *flags], capture_output=True, text=True, check=False)
  first = run(f"--data_dir={data}", f"--out={out}", "--iterations=2")
  assert first.returncode == 0 and "50 aligned pairs" in first.stdout, first.stderr
  second = run(f"--data_dir={data}", f"--out={out}")
  assert second.returncode == 1
  assert second.stderr.splitlines()[-1].startswith(f"align: {out} already exists")
