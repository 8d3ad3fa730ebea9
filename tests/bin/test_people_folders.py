"""Data and run folders made from texts and paths as they occur in practice."""
import os
import pathlib
import re

import pytest

from tests.bin import people
from tests.data import folders
from tests.data import holding
from tf_nar.data import corpus


@pytest.fixture
def prepare(load, tmp_path):
  """Returns a function that runs data_prep/prepare.py on the bytes of sources and returns the folder tmp_path/out."""
  counts = tmp_path / "counts"
  counts.write_text("".join(f"{token} 9\n" for token in people.COUNTS))

  def run(source, target=None, out="out", write=pathlib.Path.write_bytes):
    target = source if target is None else target
    texts = {"source": source, "target": target, "valid_source": b"a\n", "valid_target": b"b\n"}
    for name, data in texts.items():
      if data is not None:
        write(tmp_path / name, data)
    load("prepare")[1](
      "--tokenizer=words", f"--vocab={counts}", f"--out={tmp_path}/{out}", "--max_length=9",
      *(f"--{name}={tmp_path}/{name}" for name in texts))
    return tmp_path / out

  return run


PREPARED = ["manifest.json", "target.json", *(f"train-{n:05d}-of-00004.tfrecord" for n in range(4)), "valid.src",
            "valid.tgt", "vocab.txt"]


@pytest.mark.parametrize("through", ["files", "pipes"])
@pytest.mark.parametrize("kind", people.GOOD)
def test_prepare(prepare, capsys, warnings, kind, through):
  text = people.GOOD[kind]
  write = people.fed if through == "pipes" else pathlib.Path.write_bytes
  kept = [count for count, said in zip(text.words, text.said, strict=True) if 0 < count < 9]
  words = sum(said.count(" ") + 1 for said in text.said if said)
  if not kept or " ".join(text.said).count("<unk>") > 0.9 * words:
    message = {"no line": "source is empty; expected one sentence per line"}.get(
      kind, "(No training pair is left; dropped: |100 % of the tokens are unknown to .*/counts, which must be of ano)")
    assert re.match(f"prepare: .*{message}", people.refused(prepare, text.data, None, "out", write))
    return
  out = prepare(text.data, write=write)
  split = corpus.read(str(out)).splits["train"]
  blank, long = text.words.count(0), sum(count > 8 for count in text.words)
  assert split.pairs == len(kept) and split.dropped == {
    name: count for name, count in (("empty source", blank), ("too long", long)) if count}
  assert split.source_tokens == sum(kept) + len(kept)
  assert people.listed(out) == sorted(PREPARED) and f"{split.pairs} training pairs" in capsys.readouterr().out
  assert not text.warns or "carriage" not in text.warns or any(text.warns in line for line in warnings)


@pytest.mark.parametrize("kind", [*people.BAD, "nothing", "a folder", "another count"])
def test_prepare_refuses(prepare, tmp_path, kind):
  data, message = people.BAD.get(kind, (None, "No file {}; give a text file"))
  target = b"a\n"
  if kind == "a folder":
    (tmp_path / "source").mkdir()
  if kind == "another count":
    data, target, message = b"a\nb\n", b"a\n", "{} has 2 lines but .*/target has 1; line n of one must translate line n"
  before = people.listed(tmp_path)
  line = people.refused(prepare, data, target)
  assert re.match("prepare: " + message.format(re.escape(f"{tmp_path}/source")), line), line
  texts = ["source"] * (data is not None) + ["target", "valid_source", "valid_target"]
  assert people.listed(tmp_path) == sorted([*before, *texts])


@pytest.mark.parametrize("out", [*people.NAMES, "new/er/", "./x/../y", "mine"])
def test_prepare_and_align_write_folders_of_any_name(prepare, load, tmp_path, capsys, out):
  (tmp_path / "mine.tmp").mkdir()
  (tmp_path / "mine.tmp/notes").write_text("precious")
  folder = prepare(b"a b\nc d\n" * 4, out=out).resolve()
  assert people.listed(folder) == sorted(PREPARED)
  load("align")[1](f"--data_dir={folder}", f"--out={folder}/../aligned[1]/", "--iterations=1")
  assert people.listed(folder.parent / "aligned[1]") == sorted(PREPARED)
  assert "8 aligned pairs" in capsys.readouterr().out and (tmp_path / "mine.tmp/notes").read_text() == "precious"
  assert not [path for path in people.listed(tmp_path) if ".tmp" in path and not path.startswith("mine.tmp")]


def test_a_shortlist_is_one_file(prepare, load, tmp_path, capsys):
  folder, out = prepare(b"a b\nc d\n" * 4), f"{tmp_path}/new [1]/short.npz"
  make = load("shortlist")[1]
  make(f"--data_dir={folder}", f"--out={out}", "--iterations=1")
  assert f"{out}: 100.00 % of the target tokens are on the shortlists of their sentences." in capsys.readouterr().out
  assert people.listed(tmp_path / "new [1]") == ["short.npz"]
  assert people.refused(make, f"--data_dir={folder}", f"--out={folder}").startswith("shortlist: ")
  assert re.match("shortlist: No manifest.json in .*: it is not a complete data folder", people.refused(
    make, f"--data_dir={tmp_path}", f"--out={out}"))


@pytest.mark.parametrize("place, message", [
  ("taken", "taken already exists and is not an empty folder; remove it, or choose another --out"),
  ("file", "file already exists and is not an empty folder"),
  ("file/out", r"\[Errno (17|20)\] .*file"),
  ("/dev/null", "/dev/null already exists and is not an empty folder"),
])
def test_prepare_and_align_refuse_a_place(prepare, load, tmp_path, place, message):
  (tmp_path / "taken").mkdir()
  (tmp_path / "taken/weights.npz").write_text("precious")
  (tmp_path / "file").write_text("precious")
  data = prepare(b"a b\nc d\n")
  place = os.path.relpath(place, tmp_path) if place.startswith("/") else place
  before = people.listed(tmp_path)
  assert re.match(f"prepare: .*{message}", people.refused(prepare, b"a b\nc d\n", None, place))
  align = load("align")[1]
  assert re.match(f"align: .*{message}", people.refused(align, f"--data_dir={data}", f"--out={tmp_path}/{place}"))
  assert re.match("align: No manifest.json in .*/taken: it is not a complete data folder", people.refused(
    align, f"--data_dir={tmp_path}/taken", f"--out={tmp_path}/new"))
  assert people.listed(tmp_path) == before and (tmp_path / "taken/weights.npz").read_text() == "precious"


CONFIG = """
from tf_nar import config
from tf_nar.models import ar
def get_config():
  net = ar.transformer.Config(width=8, ffn=8, heads=2, encoder_layers=1, decoder_layers=1, max_length=16)
  train = config.Train(steps=2, tokens_per_batch=64, max_length=16, buckets=1, log_every=1, validate_every=1, keep=1)
  return config.Experiment("ar", ar.Config(net), ar.Search(beam=2), train)
"""
def test_training_twice_at_once_on_one_folder(load, tmp_path):
  data = folders.make(tmp_path / "data", folders.random_pairs(9, longest=8))
  (tmp_path / "config.py").write_text(CONFIG)
  (tmp_path / "run").mkdir()
  train = load("train")[1]
  with holding.held(tmp_path / "run"):
    line = people.refused(
      train, f"--config={tmp_path}/config.py", f"--data_dir={data}", f"--workdir={tmp_path}/run/")
  assert line == f"train: {tmp_path}/run/ is in use by another process; wait for its end, or choose another --workdir."
  assert people.listed(tmp_path / "run") == []


def test_training_into_a_file(load, tmp_path):
  data = folders.make(tmp_path / "data", folders.random_pairs(9, longest=8))
  (tmp_path / "config.py").write_text(CONFIG)
  (tmp_path / "run").write_text("precious")
  line = people.refused(
    load("train")[1], f"--config={tmp_path}/config.py", f"--data_dir={data}", f"--workdir={tmp_path}/run")
  assert line.startswith("train: ") and f"{tmp_path}/run" in line
  assert (tmp_path / "run").read_text() == "precious"


@pytest.mark.slow
def test_training_in_a_folder_of_any_name(load, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  data = folders.make(tmp_path / "da[t]a ü", folders.random_pairs(9, longest=8))
  (tmp_path / "con[f]ig.py").write_text(CONFIG)
  for _ in range(2):  # The second returns at once.
    load("train")[1]("--config=con[f]ig.py", f"--data_dir={data}/", "--workdir=ru[n]s/a*b '1'/")
  assert "Trained. Translate with:" in capsys.readouterr().out
  found = people.listed(tmp_path / "ru[n]s/a*b '1'")
  assert "weights.npz" in found and [name for name in found if name.endswith(".index")] == [
    "checkpoints/ckpt-000002.index"]
  (tmp_path / "in").write_text("w1 w2\n\n")
  load("translate")[1]("--workdir=ru[n]s/a*b '1'", "--input=in", "--output=out")
  assert (tmp_path / "out").read_text().count("\n") == 2
