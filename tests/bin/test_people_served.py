"""Serving, load-testing and comparing reports, on texts and paths as they occur in practice."""
import json
import re

import pytest
from starlette import testclient

from tests.bin import people
from tests.serve import planted
from tf_nar.evaluate import report as report_lib
from tf_nar.serve import app
from tf_nar.serve import loaded


@pytest.fixture
def server():
  """The address of a server of a fake model."""
  model = planted.Model()
  with planted.served(model, max_batch=1) as url:
    yield model, url


@pytest.mark.parametrize("kind", people.GOOD)
def test_load_asks_what_is_in_a_file(load, server, tmp_path, capsys, kind):
  model, url = server
  (tmp_path / "in").write_bytes(people.GOOD[kind].data)
  arguments = [f"--url={url}", f"--source={tmp_path}/in", "--clients=1", "--seconds=0.001"]
  program = load("load")[1]
  if not any(people.GOOD[kind].words):
    assert people.refused(program, *arguments).startswith("load: Expected sentences to translate, got none")
  elif kind in ("NUL", "separators of Unicode") or "100,000" in kind:  # The server answers that it rejects these.
    with pytest.raises(SystemExit) as exit:
      program(*arguments)
    assert exit.value.code == 1 and re.search(r"errors: \d+\n  4(00|13): .*Expected", capsys.readouterr().out)
  else:
    program(*arguments)
    assert "errors: 0" in capsys.readouterr().out
    offer, (asked,) = model.batches[0]
    assert offer == "translate" and asked.split()[0] == ("@@" if kind == "literal pieces" else "a")


@pytest.mark.parametrize("kind", [*people.BAD, "nothing", "a folder"])
def test_load_refuses(load, server, tmp_path, kind):
  data, message = people.BAD.get(kind, (None, "No file {}; give a text file"))
  source = tmp_path / "in"
  if kind == "a folder":
    source.mkdir()
  elif data:
    source.write_bytes(data)
  line = people.refused(load("load")[1], f"--url={server[1]}", f"--source={source}")
  assert re.match("load: " + message.format(re.escape(str(source))), line) and not server[0].batches


SENTENCES = {  # As they are written in JSON.
  '""': "", '" "': " ", '"▁ @@ <unk> </s>"': "▁ @@ <UNK> </S>",
  '"\\ud83d\\ude00"': "\U0001f600", '"\\ufeffa"': "\ufeffA",
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
  serve = load("serve")[1]
  monkeypatch.setattr(loaded, "share_threads", lambda folder: None)  # TensorFlow is already initialised.
  for name in people.NAMES:
    line = people.refused(serve, f"--model={tmp_path}/{name}")
    assert line == (f"serve: Expected a SavedModel, got {tmp_path}/{name} without a saved_model.pb; give the --out of "
                    "bin/export.py or bin/export_openvino.py.")
  assert people.listed(tmp_path) == []


def measured(path, value=40.0):
  rows = [report_lib.Row("bleu_tokenized", value, "tok:none"), report_lib.Row("milliseconds_batch_1", 2.0, "median")]
  report_lib.write(str(path), rows, {"data": {"source": {"sha256": "d"}}})


@pytest.mark.parametrize("name", people.NAMES)
def test_report_of_any_name(load, tmp_path, monkeypatch, capsys, name):
  monkeypatch.chdir(tmp_path)
  (tmp_path / name).mkdir()
  measured(tmp_path / name / "report.json")
  load("report")[1](f"./{name}/report.json", f"--out=new/{name}")
  assert f"\n{name} " in capsys.readouterr().out
  assert people.listed(tmp_path / "new") == sorted([f"{name}.md", f"{name}.png"])


@pytest.mark.parametrize("data, message", [
  (None, r"\[Errno 2\] No such file or directory: '.*in.json'"),
  ("a folder", r"\[Errno 21\] Is a directory: '.*in.json'"),
  (b"", ".*in.json is not a report of bin/evaluate.py"),
  (b"\n", ".*in.json is not a report of bin/evaluate.py"),
  (b'{"rows"', ".*in.json is not a report of bin/evaluate.py"),
  (b"\xff\xfe\0", ".*in.json is not a report of bin/evaluate.py"),
  (b'{"facts": {}, "rows": {}}', ".*in.json is not a report of bin/evaluate.py"),
  (b'{"facts": [], "rows": []}', ".*in.json is not a report of bin/evaluate.py"),
  (b"[" * 100_000, ".*in.json is not a report of bin/evaluate.py"),
])
def test_report_refuses(load, tmp_path, data, message):
  if data == "a folder":
    (tmp_path / "in.json").mkdir()
  elif data is not None:
    (tmp_path / "in.json").write_bytes(data)
  line = people.refused(load("report")[1], f"{tmp_path}/in.json", f"--out={tmp_path}/new/out")
  assert re.match(f"report: {message}", line), line
  assert people.listed(tmp_path) == ["in.json"] * isinstance(data, bytes)


def test_report_where_nothing_can_be_written(load, tmp_path):
  measured(tmp_path / "in.json")
  line = people.refused(load("report")[1], f"{tmp_path}/in.json", f"--out={tmp_path}/in.json/out")
  assert re.match(r"report: \[Errno (17|20)\] .*in.json'", line) and people.listed(tmp_path) == ["in.json"]
