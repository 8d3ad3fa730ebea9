"""Text and places as people have them, through every program: what goes in, what comes out, what lies there after it."""
import contextlib
import gzip
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import threading
from typing import NamedTuple

import pytest
from absl import logging
from starlette import testclient

from tests.data import folders
from tests.serve import planted
from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import report as report_lib
from tf_nar.serve import app

COUNTS = [*"abcdefgh", "@@", "a@@", "▁", "é"]
VOCAB = vocab_lib.WordList([*types.SPECIALS, *COUNTS])
FULL = "[Errno 28] No space left on device: '/dev/full'"


@pytest.fixture
def vocab():
  return VOCAB


@pytest.fixture
def warnings(monkeypatch):
  said = []
  monkeypatch.setattr(logging, "warning", lambda text, *values: said.append(text % values))
  return said


class Good(NamedTuple):
  """A text that every program reads."""

  data: bytes
  said: list  # What the model says to it: up to 5 words of each line, backwards.
  words: list  # How many each line has.
  warns: str = ""


def lines(text, said, words, **more):
  return Good(text.encode(), said, words, **more)


PLAIN = lines("a b\nc\n", ["b a", "c"], [2, 1])
GOOD = {
  "no line": lines("", [], []),
  "a line without its end": lines("a b", ["b a"], [2]),
  "a blank line": lines("\n", [""], [0]),
  "blanks": lines("  \n a  b \n\n", ["", "b a", ""], [0, 2, 0]),
  "a word of 100,000 characters": lines("x" * 100_000 + "\n", ["<unk>"], [1]),
  "100,000 characters in words": lines("a " * 50_000 + "\n", ["a a a a a"], [50_000],
                                       warns="1 of 1 lines were cut to 6 tokens."),
  "10,000 lines": lines("a b\n" * 10_000, ["b a"] * 10_000, [2] * 10_000),
  "NUL": lines("a\0 b\n\0\n", ["b <unk>", "<unk>"], [2, 1]),
  "literal pieces": lines("@@ b\na@@ b @@\n▁ <unk> </s>\n<eos> <pad> a\n",
                          ["b @@", "@@ b a", "<unk> <unk> ▁", "a <unk> <unk>"], [2, 3, 3, 3]),
  "separators of Unicode": lines("a\u2028 b\u0085\n\u00a0 c\x0c\n", ["<unk> <unk>", "<unk> <unk>"], [2, 2]),
  "CRLF": lines("a b\r\n\r\nc\r\n", ["b a", "", "c"], [2, 0, 1]),
  "a CR inside": lines("a\rb\nc\n", ["b a", "c"], [2, 1], warns="1 lines have a carriage return inside"),
  "a mark": lines("\ufeffa b\né\n", ["b a", "é"], [2, 1]),
  "packed": Good(gzip.compress(PLAIN.data), PLAIN.said, PLAIN.words),
  "two archives in one": Good(gzip.compress(b"a b\n") + gzip.compress(b"c\n"), PLAIN.said, PLAIN.words),
}
BAD = {
  "Latin-1": ("a\nsch\xf6n\n".encode("latin-1"), r"{}, line 2: not UTF-8 \(byte 4 is 0xf6\); convert it first"),
  "surrogates": ("a \ud800\n".encode("utf-8", "surrogatepass"), r"{}, line 1: not UTF-8 \(byte 3 is 0xed\)"),
  "UTF-16": ("a b\n".encode("utf-16"), "{} is UTF-16, expected is UTF-8; convert it: iconv"),
  "a cut archive": (gzip.compress(b"a b\n" * 999)[:40], r"{} is a broken .gz archive \(.*\); fetch or pack it again"),
}
NAMES = ["with space", "run[1]", "a*b?", "quo'te", 'dou"ble', "üml 日本", "-dash", "in.gz.txt"]


def fed(path, data):
  """Makes a FIFO and writes to it as another program would."""
  os.mkfifo(path)
  threading.Thread(target=pathlib.Path(path).write_bytes, args=[data], daemon=True).start()


def listed(folder):
  """Returns the paths of all files and links below a folder."""
  return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir() or path.is_symlink())


def refused(program, *arguments):
  """Calls a program that refuses; returns its only line."""
  with pytest.raises(SystemExit) as exit:
    program(*arguments)
  assert isinstance(exit.value.code, str) and "\n" not in exit.value.code  # Python prints it and exits with 1.
  return exit.value.code


# What a program is asked, how often it is given the text, and what lies in its folder after it.
READERS = {
  "translate": (["--input={0}", "--output={out}"], 1),
  "score": (["--source={0}", "--target={1}", "--output={out}"], 2),
  "evaluate": (["--source={0}", "--reference={1}", "--output={out}"], 2),
  "sweep": (["--source={0}", "--reference={1}", "--try=search.beam=4"], 2),
}


def given(name, folder, out, write):
  """Writes the texts of a program and returns its arguments."""
  arguments, count = READERS[name]
  paths = [folder / f"in{number}" for number in range(count)]
  for path in paths:
    write(path)
  return [argument.format(*paths, out=out) for argument in arguments], paths


def check_output(name, text, out, paths, printed):
  """Holds what a program left against what is right."""
  files = [path.name for path in paths]
  if name == "translate":
    assert out.read_text().split("\n") == [*text.said, ""] and listed(out.parent) == sorted([*files, "out"])
  elif name == "score":
    scores = [-0.5 * (count + 1) if count <= 5 else float("-inf") for count in text.words]
    assert [float(line) for line in out.read_text().splitlines()] == scores
    assert listed(out.parent) == sorted([*files, "out"])
  elif name == "evaluate":
    assert (out.parent / "out.hypotheses.txt").read_text().split("\n") == [*text.said, ""]
    data = json.loads(out.read_text())["facts"]["data"]
    unpacked = gzip.decompress(text.data) if text.data[:2] == b"\x1f\x8b" else text.data
    assert data["reference"] == {"path": str(paths[1]), "lines": len(text.said),
                                 "sha256": hashlib.sha256(unpacked).hexdigest()}
    assert listed(out.parent) == sorted([*files, "out", "out.hypotheses.txt"]) and "chrf_tokenized" in printed
  else:
    assert "--set=search.beam=4\n" in printed and listed(out.parent) == sorted(files)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", GOOD)
def test_text_is_read(call, tmp_path, warnings, capsys, name, kind):
  text, out = GOOD[kind], tmp_path / "out"
  arguments, paths = given(name, tmp_path, out, lambda path: path.write_bytes(text.data))
  if name in ("evaluate", "sweep") and not text.said:
    assert refused(call, name, *arguments).startswith(f"{name}: There is no sentence to measure")
    assert listed(tmp_path) == sorted(path.name for path in paths)
    return
  call(name, *arguments)
  check_output(name, text, out, paths, capsys.readouterr().out)
  assert not text.warns or any(text.warns in line for line in warnings)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["a CR inside", "packed"])
def test_text_comes_through_pipes(call, tmp_path, capsys, name, kind):
  text, out = GOOD[kind], tmp_path / "out"
  arguments, paths = given(name, tmp_path, out, lambda path: fed(path, text.data))
  call(name, *arguments)
  check_output(name, text, out, paths, capsys.readouterr().out)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [*BAD, "nothing", "a folder"])
def test_what_is_no_text_is_refused_and_leaves_nothing(call, tmp_path, name, kind):
  data, message = BAD.get(kind, (None, "No file {}; give a text file, one sentence a line"))

  def write(path):
    if kind == "a folder":
      path.mkdir()
    elif data is not None:
      path.write_bytes(data)

  arguments, paths = given(name, tmp_path, tmp_path / "out", write)
  line = refused(call, name, *arguments)
  assert re.match(f"{name}: " + message.format(re.escape(str(paths[0]))), line), line
  assert listed(tmp_path) == sorted(path.name for path in paths if path.is_file())


WRITERS = [name for name in READERS if name != "sweep"]


def made(folder, kind):
  """Makes a place to write to; returns its path and where its text will be."""
  out = folder / "out"
  if kind == "a link":
    (folder / "real").write_text("old")
    out.symlink_to("real")
  elif kind == "a link to nothing":
    out.symlink_to("real")
  elif kind == "an old file":
    out.write_text("old")
  elif kind == "a new folder":
    return folder / "new" / "er" / "out", folder / "new" / "er" / "out"
  return out, folder / "real" if kind.startswith("a link") else out


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("kind", ["a new file", "an old file", "a link", "a link to nothing", "a new folder"])
def test_places_to_write_to(call, tmp_path, name, kind):
  (tmp_path / "data").mkdir()
  (tmp_path / "place").mkdir()
  out, real = made(tmp_path / "place", kind)
  arguments, _ = given(name, tmp_path / "data", out, lambda path: path.write_bytes(PLAIN.data))
  call(name, *arguments)
  written = real.read_text()
  assert written == {"translate": "b a\nc\n", "score": "-1.500000\n-1.000000\n"}.get(name, written)
  assert out.is_symlink() == kind.startswith("a link")
  beside = {out.parent / "out.hypotheses.txt"} if name == "evaluate" else set()
  left = {tmp_path / "place" / path for path in listed(tmp_path / "place")}
  assert left == {out, real} | beside and written != "old"


@pytest.mark.parametrize("name", WRITERS)
def test_into_a_fifo(call, tmp_path, name):
  (tmp_path / "data").mkdir()
  os.mkfifo(tmp_path / "out")
  got = []
  reader = threading.Thread(target=lambda: got.append((tmp_path / "out").read_text()), daemon=True)
  reader.start()
  arguments, _ = given(name, tmp_path / "data", tmp_path / "out", lambda path: path.write_bytes(PLAIN.data))
  call(name, *arguments)
  reader.join(20)
  if name == "evaluate":
    assert json.loads(got[0])["facts"]["data"]["source"]["lines"] == 2
  else:
    assert got == [{"translate": "b a\nc\n", "score": "-1.500000\n-1.000000\n"}[name]]
  assert (tmp_path / "out").is_fifo() and listed(tmp_path) == sorted([*(f"data/{path}" for path in listed(
    tmp_path / "data")), "out"])


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place, message", [
  ("/dev/full", re.escape(FULL)),
  ("{}", "{} is a folder; give the name of a file to write"),
  ("{}/new/", "{}/new/ is a folder; give the name of a file to write"),
  ("{}/in0/out", r"\[Errno (17|20)\] .*: '{}/in0'"),  # A file for a folder, as no mode stops root.
])
def test_places_where_nothing_can_be_written(call, tmp_path, name, place, message):
  arguments, paths = given(name, tmp_path, place.format(tmp_path), lambda path: path.write_bytes(PLAIN.data))
  line = refused(call, name, *arguments)
  assert re.match(f"{name}: " + message.replace("{}", re.escape(str(tmp_path))), line), line
  assert listed(tmp_path) == sorted(path.name for path in paths) and not list(pathlib.Path("/dev").glob("full?*"))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", NAMES)
def test_names_of_files_and_folders(call, tmp_path, monkeypatch, name, place):
  (tmp_path / place).mkdir()
  monkeypatch.chdir(tmp_path / place)
  pathlib.Path(place).write_bytes(PLAIN.data)
  (tmp_path / "link").symlink_to(place)
  arguments = [argument.format(f"../link/{place}", f"./{place}", out=f"new/{place}.out") for argument in READERS[name][0]]
  call(name, *arguments)
  beside = [f"new/{place}.hypotheses.txt"] if name == "evaluate" else []
  assert listed(tmp_path / place) == sorted([place, f"new/{place}.out", *beside])


@pytest.fixture
def prepare(load, tmp_path):
  """Returns a function of the bytes of sources that runs data_prep/prepare.py to tmp_path/out, and gives the folder."""
  counts = tmp_path / "counts"
  counts.write_text("".join(f"{token} 9\n" for token in COUNTS))

  def run(source, target=None, out="out", write=pathlib.Path.write_bytes):
    target = source if target is None else target
    texts = {"source": source, "target": target, "valid_source": b"a\n", "valid_target": b"b\n"}
    for name, data in texts.items():
      if data is not None:
        write(tmp_path / name, data)
    load("prepare", "data_prep")[1](
      "--tokenizer=words", f"--vocab={counts}", f"--out={tmp_path}/{out}", "--max_length=9",
      *(f"--{name}={tmp_path}/{name}" for name in texts))
    return tmp_path / out

  return run


PREPARED = ["manifest.json", "target.json", *(f"train-{n:05d}-of-00004.tfrecord" for n in range(4)), "valid.src",
            "valid.tgt", "vocab.txt"]


@pytest.mark.parametrize("through", ["files", "pipes"])
@pytest.mark.parametrize("kind", GOOD)
def test_prepare(prepare, capsys, warnings, kind, through):
  text = GOOD[kind]
  write = fed if through == "pipes" else pathlib.Path.write_bytes
  kept = [count for count, said in zip(text.words, text.said, strict=True) if 0 < count < 9]
  words = sum(said.count(" ") + 1 for said in text.said if said)
  if not kept or " ".join(text.said).count("<unk>") > 0.9 * words:
    message = {"no line": "source is empty; expected one sentence a line"}.get(
      kind, "(No training pair is left; dropped: |100 % of the tokens are unknown to .*/counts: it is not of this text)")
    assert re.match(f"prepare: .*{message}", refused(prepare, text.data, None, "out", write))
    return
  out = prepare(text.data, write=write)
  split = corpus.read(str(out)).splits["train"]
  blank, long = text.words.count(0), sum(count > 8 for count in text.words)
  assert split.pairs == len(kept) and split.dropped == {
    name: count for name, count in (("empty source", blank), ("too long", long)) if count}
  assert split.source_tokens == sum(kept) + len(kept)
  assert listed(out) == sorted(PREPARED) and f"{split.pairs} training pairs" in capsys.readouterr().out
  assert not text.warns or "carriage" not in text.warns or any(text.warns in line for line in warnings)


@pytest.mark.parametrize("kind", [*BAD, "nothing", "a folder", "another count"])
def test_prepare_refuses(prepare, tmp_path, kind):
  data, message = BAD.get(kind, (None, "No file {}; give a text file"))
  target = b"a\n"
  if kind == "a folder":
    (tmp_path / "source").mkdir()
  if kind == "another count":
    data, target, message = b"a\nb\n", b"a\n", "{} has 2 lines but .*/target has 1; line n of one must translate line n"
  before = listed(tmp_path)
  line = refused(prepare, data, target)
  assert re.match("prepare: " + message.format(re.escape(f"{tmp_path}/source")), line), line
  texts = ["source"] * (data is not None) + ["target", "valid_source", "valid_target"]
  assert listed(tmp_path) == sorted([*before, *texts])


@pytest.mark.parametrize("out", [*NAMES, "new/er/", "./x/../y", "mine"])
def test_prepare_and_align_write_folders_of_any_name(prepare, load, tmp_path, capsys, out):
  (tmp_path / "mine.tmp").mkdir()
  (tmp_path / "mine.tmp/notes").write_text("precious")
  folder = prepare(b"a b\nc d\n" * 4, out=out).resolve()
  assert listed(folder) == sorted(PREPARED)
  load("align", "data_prep")[1](f"--data_dir={folder}", f"--out={folder}/../aligned[1]/", "--iterations=1")
  assert listed(folder.parent / "aligned[1]") == sorted(PREPARED)
  assert "8 aligned pairs" in capsys.readouterr().out and (tmp_path / "mine.tmp/notes").read_text() == "precious"
  assert not [path for path in listed(tmp_path) if ".tmp" in path and not path.startswith("mine.tmp")]


@pytest.mark.parametrize("place, message", [
  ("taken", "taken is there already and no empty folder; remove it, or choose another --out"),
  ("file", "file is there already and no empty folder"),
  ("file/out", r"\[Errno (17|20)\] .*file"),
  ("/dev/null", "/dev/null is there already and no empty folder"),
])
def test_prepare_and_align_refuse_a_place(prepare, load, tmp_path, place, message):
  (tmp_path / "taken").mkdir()
  (tmp_path / "taken/weights.npz").write_text("precious")
  (tmp_path / "file").write_text("precious")
  data = prepare(b"a b\nc d\n")
  place = os.path.relpath(place, tmp_path) if place.startswith("/") else place
  before = listed(tmp_path)
  assert re.match(f"prepare: .*{message}", refused(prepare, b"a b\nc d\n", None, place))
  align = load("align", "data_prep")[1]
  assert re.match(f"align: .*{message}", refused(align, f"--data_dir={data}", f"--out={tmp_path}/{place}"))
  assert re.match("align: No manifest.json in .*/taken: it is no whole data folder", refused(
    align, f"--data_dir={tmp_path}/taken", f"--out={tmp_path}/new"))
  assert listed(tmp_path) == before and (tmp_path / "taken/weights.npz").read_text() == "precious"


@pytest.fixture
def server():
  """A planted model, served, and its address."""
  model = planted.Model()
  with planted.served(model, max_batch=1) as url:
    yield model, url


@pytest.mark.parametrize("kind", GOOD)
def test_load_asks_what_is_in_a_file(load, server, tmp_path, capsys, kind):
  model, url = server
  (tmp_path / "in").write_bytes(GOOD[kind].data)
  arguments = [f"--url={url}", f"--source={tmp_path}/in", "--clients=1", "--seconds=0.001"]
  program = load("load")[1]
  if not any(GOOD[kind].words):
    assert refused(program, *arguments).startswith("load: Expected sentences to ask, got none")
  elif kind in ("NUL", "separators of Unicode") or "100,000" in kind:  # Which the server says that it refuses.
    with pytest.raises(SystemExit) as exit:
      program(*arguments)
    assert exit.value.code == 1 and re.search(r"errors: \d+\n  4(00|13): .*Expected", capsys.readouterr().out)
  else:
    program(*arguments)
    assert "errors: 0" in capsys.readouterr().out
    offer, (asked,) = model.batches[0]
    assert (offer, "".join(asked.split())[0]) == ("translate", "".join(GOOD[kind].data.decode("utf-8-sig").split())[0]
                                                  if b"\x1f" not in GOOD[kind].data else "a")


@pytest.mark.parametrize("kind", [*BAD, "nothing", "a folder"])
def test_load_refuses(load, server, tmp_path, kind):
  data, message = BAD.get(kind, (None, "No file {}; give a text file"))
  source = tmp_path / "in"
  if kind == "a folder":
    source.mkdir()
  elif data:
    source.write_bytes(data)
  line = refused(load("load")[1], f"--url={server[1]}", f"--source={source}")
  assert re.match("load: " + message.format(re.escape(str(source))), line) and not server[0].batches


SENTENCES = {  # As they stand in JSON.
  '""': "", '" "': " ", '"▁ @@ <unk> </s>"': "▁ @@ <UNK> </S>", '"\\ud83d\\ude00"': "\U0001f600", '"\\ufeffa"': "\ufeffA",
  '"\\u00e4"': "Ä", '"a\\u00a0b"': "A\u00a0B", '"a\\tb"': 400, '"a\\u0000"': 400, '"\\ud83d"': 400, '"\\ude00"': 400,
  '"\\ude00\\ud83d"': 400, '"a\\ud800b"': 400, '"a\\r\\n"': 400, '"a\\u2028b"': 400, json.dumps("a" * 301): 413,
  json.dumps("a" * 300): "A" * 300,
}


@pytest.fixture(scope="module")
def client():
  model = planted.Model()
  batcher = planted.batcher(model)
  batcher.start()
  assert batcher.ready.wait(10)
  with testclient.TestClient(app.build(model, batcher, planted.LIMITS, 20.0)) as client:
    yield client


@pytest.mark.parametrize("sentence", SENTENCES)
@pytest.mark.parametrize("form", ['{"text": %s}', '{"text": ["b", %s]}'])
def test_serve_answers_what_is_text(client, form, sentence):
  answer = client.post("/translate", content=(form % sentence).encode(), headers={"Content-Type": "application/json"})
  expected = SENTENCES[sentence]
  if isinstance(expected, int):
    assert answer.status_code == expected and re.match("Expected .*, got .*; ", answer.json()["error"])
  else:
    assert answer.json()["translations"][-1]["translation"] == expected


def test_serve_refuses_a_folder_that_is_no_model(load, tmp_path, monkeypatch):
  program, serve = load("serve")
  monkeypatch.setattr(program.loaded, "share_threads", lambda folder: None)  # TensorFlow has worked here already.
  for name in NAMES:
    line = refused(serve, f"--model={tmp_path}/{name}")
    assert line == (f"serve: Expected a SavedModel, got {tmp_path}/{name} without a saved_model.pb; give the --out of a "
                    "bin/export.py.")
  assert listed(tmp_path) == []


def measured(path, value=40.0):
  rows = [report_lib.Row("bleu_tokenized", value, "tok:none"), report_lib.Row("milliseconds_batch_1", 2.0, "median")]
  report_lib.write(str(path), rows, {"data": {"source": {"sha256": "d"}}})


@pytest.mark.parametrize("name", NAMES)
def test_report_of_any_name(load, tmp_path, monkeypatch, capsys, name):
  monkeypatch.chdir(tmp_path)
  (tmp_path / name).mkdir()
  measured(tmp_path / name / "report.json")
  load("report")[1](f"./{name}/report.json", f"--out=new/{name}")
  assert f"| {name} |" in capsys.readouterr().out
  assert listed(tmp_path / "new") == sorted([f"{name}.md", f"{name}.png"])


@pytest.mark.parametrize("data, message", [
  (None, r"\[Errno 2\] No such file or directory: '.*in.json'"),
  ("a folder", r"\[Errno 21\] Is a directory: '.*in.json'"),
  (b"", ".*in.json is no report of bin/evaluate.py"),
  (b"\n", ".*in.json is no report of bin/evaluate.py"),
  (b'{"rows"', ".*in.json is no report of bin/evaluate.py"),
  (b"\xff\xfe\0", ".*in.json is no report of bin/evaluate.py"),
  (b'{"facts": {}, "rows": {}}', ".*in.json is no report of bin/evaluate.py"),
  (b'{"facts": [], "rows": []}', ".*in.json is no report of bin/evaluate.py"),
  (b"[" * 100_000, ".*in.json is no report of bin/evaluate.py"),
])
def test_report_refuses(load, tmp_path, data, message):
  if data == "a folder":
    (tmp_path / "in.json").mkdir()
  elif data is not None:
    (tmp_path / "in.json").write_bytes(data)
  line = refused(load("report")[1], f"{tmp_path}/in.json", f"--out={tmp_path}/new/out")
  assert re.match(f"report: {message}", line), line
  assert listed(tmp_path) == ["in.json"] * isinstance(data, bytes)


def test_report_where_nothing_can_be_written(load, tmp_path):
  measured(tmp_path / "in.json")
  line = refused(load("report")[1], f"{tmp_path}/in.json", f"--out={tmp_path}/in.json/out")
  assert re.match(r"report: \[Errno (17|20)\] .*in.json'", line) and listed(tmp_path) == ["in.json"]


CONFIG = """
from tf_nar import config
from tf_nar.models import ar
def get_config():
  net = ar.transformer.Config(width=8, ffn=8, heads=2, encoder_layers=1, decoder_layers=1, max_length=16)
  train = config.Train(steps=2, tokens_per_batch=64, max_length=16, buckets=1, log_every=1, validate_every=1, keep=1)
  return config.Experiment("ar", ar.Config(net), ar.Search(beam=2), train)
"""
HOLD = "import sys\nfrom tf_nar.data import lock\nwith lock.held(sys.argv[1]):\n  print(flush=True)\n  sys.stdin.read()"


@contextlib.contextmanager
def in_use(folder):
  """Another process holds a folder."""
  with subprocess.Popen([sys.executable, "-c", HOLD, folder], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
    other.stdout.readline()
    yield
    other.stdin.close()


def test_training_twice_at_once_on_one_folder(load, tmp_path):
  data = folders.make(tmp_path / "data", folders.random_pairs(9, longest=8))
  (tmp_path / "config.py").write_text(CONFIG)
  (tmp_path / "run").mkdir()
  train = load("train")[1]
  with in_use(tmp_path / "run"):
    line = refused(train, f"--config={tmp_path}/config.py", f"--data_dir={data}", f"--workdir={tmp_path}/run/")
  assert line == (f"train: {tmp_path}/run/ is in use by another process; wait for its end, or choose another --workdir.")
  assert listed(tmp_path / "run") == []


@pytest.mark.slow
def test_training_in_a_folder_of_any_name(load, tmp_path, monkeypatch, capsys):
  monkeypatch.chdir(tmp_path)
  data = folders.make(tmp_path / "da[t]a ü", folders.random_pairs(9, longest=8))
  (tmp_path / "con[f]ig.py").write_text(CONFIG)
  for _ in range(2):  # The second returns at once.
    load("train")[1](f"--config=con[f]ig.py", f"--data_dir={data}/", "--workdir=ru[n]s/a*b '1'/")
  assert "Trained. Translate with:" in capsys.readouterr().out
  found = listed(tmp_path / "ru[n]s/a*b '1'")
  assert "weights.npz" in found and [name for name in found if name.endswith(".index")] == [
    "checkpoints/ckpt-000002.index"]
  (tmp_path / "in").write_text("w1 w2\n\n")
  load("translate")[1]("--workdir=ru[n]s/a*b '1'", "--input=in", "--output=out")
  assert (tmp_path / "out").read_text().count("\n") == 2
