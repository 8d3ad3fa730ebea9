"""Programs on texts and paths as they occur in practice: their results and the files that they leave."""
import gzip
import hashlib
import json
import os
import pathlib
import re
import threading

import pytest

from tests.bin import people


@pytest.fixture
def vocab():
  return people.VOCAB


# The arguments of a program, how often it gets the text, and the files in its folder afterwards.
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
  """Compares the results of a program with the expected ones."""
  files = [path.name for path in paths]
  if name == "translate":
    assert out.read_text().split("\n") == [*text.said, ""] and people.listed(out.parent) == sorted([*files, "out"])
  elif name == "score":
    scores = [-0.5 * (count + 1) if count <= 5 else float("-inf") for count in text.words]
    assert [float(line) for line in out.read_text().splitlines()] == scores
    assert people.listed(out.parent) == sorted([*files, "out"])
  elif name == "evaluate":
    assert (out.parent / "out.hypotheses.txt").read_text().split("\n") == [*text.said, ""]
    data = json.loads(out.read_text())["facts"]["data"]
    unpacked = gzip.decompress(text.data) if text.data[:2] == b"\x1f\x8b" else text.data
    assert data["reference"] == {"path": str(paths[1]), "lines": len(text.said),
                                 "sha256": hashlib.sha256(unpacked).hexdigest()}
    assert people.listed(out.parent) == sorted([*files, "out", "out.hypotheses.txt"]) and "chrf_tokenized" in printed
  else:
    assert "--set=search.beam=4\n" in printed and people.listed(out.parent) == sorted(files)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", people.GOOD)
def test_text_is_read(call, tmp_path, warnings, capsys, name, kind):
  text, out = people.GOOD[kind], tmp_path / "out"
  arguments, paths = given(name, tmp_path, out, lambda path: path.write_bytes(text.data))
  if name in ("evaluate", "sweep") and not text.said:
    assert people.refused(call, name, *arguments).startswith(f"{name}: There is no sentence to evaluate")
    assert people.listed(tmp_path) == sorted(path.name for path in paths)
    return
  call(name, *arguments)
  check_output(name, text, out, paths, capsys.readouterr().out)
  assert not text.warns or any(text.warns in line for line in warnings)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", ["a CR inside", "packed"])
def test_text_comes_through_pipes(call, tmp_path, capsys, name, kind):
  text, out = people.GOOD[kind], tmp_path / "out"
  arguments, paths = given(name, tmp_path, out, lambda path: people.fed(path, text.data))
  call(name, *arguments)
  check_output(name, text, out, paths, capsys.readouterr().out)


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("kind", [*people.BAD, "nothing", "a folder"])
def test_what_is_no_text_is_refused_and_leaves_nothing(call, tmp_path, name, kind):
  data, message = people.BAD.get(kind, (None, "No file {}; give a text file, one sentence per line"))

  def write(path):
    if kind == "a folder":
      path.mkdir()
    elif data is not None:
      path.write_bytes(data)

  arguments, paths = given(name, tmp_path, tmp_path / "out", write)
  line = people.refused(call, name, *arguments)
  assert re.match(f"{name}: " + message.format(re.escape(str(paths[0]))), line), line
  assert people.listed(tmp_path) == sorted(path.name for path in paths if path.is_file())


WRITERS = [name for name in READERS if name != "sweep"]


def made(folder, kind):
  """Makes a path to write to; returns it and the path where the text will be."""
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
  arguments, _ = given(name, tmp_path / "data", out, lambda path: path.write_bytes(people.PLAIN.data))
  call(name, *arguments)
  written = real.read_text()
  assert written == {"translate": "b a\nc\n", "score": "-1.500000\n-1.000000\n"}.get(name, written)
  assert out.is_symlink() == kind.startswith("a link")
  beside = {out.parent / "out.hypotheses.txt"} if name == "evaluate" else set()
  left = {tmp_path / "place" / path for path in people.listed(tmp_path / "place")}
  assert left == {out, real} | beside and written != "old"


@pytest.mark.parametrize("name", WRITERS)
def test_into_a_fifo(call, tmp_path, name):
  (tmp_path / "data").mkdir()
  os.mkfifo(tmp_path / "out")
  got = []
  reader = threading.Thread(target=lambda: got.append((tmp_path / "out").read_text()), daemon=True)
  reader.start()
  arguments, _ = given(name, tmp_path / "data", tmp_path / "out", lambda path: path.write_bytes(people.PLAIN.data))
  call(name, *arguments)
  reader.join(20)
  if name == "evaluate":
    assert json.loads(got[0])["facts"]["data"]["source"]["lines"] == 2
  else:
    assert got == [{"translate": "b a\nc\n", "score": "-1.500000\n-1.000000\n"}[name]]
  assert (tmp_path / "out").is_fifo() and people.listed(tmp_path) == sorted([*(f"data/{path}" for path in people.listed(
    tmp_path / "data")), "out"])


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place, message", [
  ("/dev/full", re.escape("[Errno 28] No space left on device: '/dev/full'")),
  ("{}", "{} is a folder; give the name of a file to write"),
  ("{}/new/", "{}/new/ is a folder; give the name of a file to write"),
  ("{}/in0/out", r"\[Errno (17|20)\] .*: '{}/in0'"),  # A file in place of a folder, as root ignores permissions.
])
def test_places_where_nothing_can_be_written(call, tmp_path, name, place, message):
  arguments, paths = given(name, tmp_path, place.format(tmp_path), lambda path: path.write_bytes(people.PLAIN.data))
  line = people.refused(call, name, *arguments)
  assert re.match(f"{name}: " + message.replace("{}", re.escape(str(tmp_path))), line), line
  assert people.listed(tmp_path) == sorted(path.name for path in paths)
  assert not list(pathlib.Path("/dev").glob("full?*"))


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("place", people.NAMES)
def test_names_of_files_and_folders(call, tmp_path, monkeypatch, name, place):
  (tmp_path / place).mkdir()
  monkeypatch.chdir(tmp_path / place)
  pathlib.Path(place).write_bytes(people.PLAIN.data)
  (tmp_path / "link").symlink_to(place)
  paths = dict(out=f"new/{place}.out")
  arguments = [argument.format(f"../link/{place}", f"./{place}", **paths) for argument in READERS[name][0]]
  call(name, *arguments)
  beside = [f"new/{place}.hypotheses.txt"] if name == "evaluate" else []
  assert people.listed(tmp_path / place) == sorted([place, f"new/{place}.out", *beside])
