"""bin/serve.py and bin/load.py as an operator calls them, with a tiny model, real processes and real signals."""
import contextlib
import json
import math
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request

import numpy as np
import pytest
import tensorflow as tf

from tests.export import tiny
from tf_nar import runs
from tf_nar import translator
from tf_nar.data import shortlist
from tf_nar.evaluate import corpus
from tf_nar.export import saved_model
from tf_nar.export import verify
from tf_nar.serve import loaded as loaded_lib

ROOT = pathlib.Path(__file__).parents[2]
TEXTS = ["a new low tower", "the house is new", "lower the tower", "a slow news show is the new low", "tower"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  """A run and its SavedModel."""
  folder = tmp_path_factory.mktemp("exported")
  run = runs.load(tiny.make(folder / "run", "nat_em", tiny.VOCABULARIES["sentencepiece"](), candidates=3))
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(verify, "check", lambda *_: None)  # tests/export tries it.
    saved_model.export(run, corpus.searcher(run.model, run.experiment.search), f"{folder}/model")
  return run, f"{folder}/model"


@contextlib.contextmanager
def serving(model, *arguments):
  """Context manager of the process of a server and its address, once it is ready."""
  command = [sys.executable, ROOT / "bin/serve.py", f"--model={model}", "--port=0", *arguments]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
  try:
    url = re.match(r"(http://\S+) offers translate", process.stdout.readline())[1]
    seen = []
    while not seen or seen[-1] != 200:
      seen.append(ask(f"{url}/health")[0])
      assert seen[-1] in (200, 503)
      time.sleep(0.05)
    yield process, url
  finally:
    process.kill()
    process.wait()


def ask(url, body=None):
  """Returns the status and the JSON of a request."""
  request = urllib.request.Request(url, body, {"Content-Type": "application/json"})
  try:
    with urllib.request.urlopen(request, timeout=60) as answer:
      return answer.status, json.load(answer)
  except urllib.error.HTTPError as refused:
    with refused:
      return refused.code, json.load(refused)


def translate(url, texts, offer="translate"):
  return ask(f"{url}/{offer}", json.dumps({"text": texts}).encode())


def by_the_run(run, texts):
  """Returns the candidates of each text, best first."""
  rows = verify.encode(texts, run.vocab, tiny.MAX_LENGTH)
  found = verify.live(run, corpus.searcher(run.model, run.experiment.search), rows)["candidates"]
  return [[text for text, score in each if score > -math.inf] for each in found]


def loaded(url, tmp_path, seconds):
  """Returns the output of bin/load.py with 8 clients."""
  (tmp_path / "source").write_text("\n".join([*TEXTS, "", "  "]))
  asked = [f"--url={url}", f"--source={tmp_path}/source", f"--seconds={seconds}"]
  command = [sys.executable, ROOT / "bin/load.py", *asked]
  done = subprocess.run(command, capture_output=True, text=True, check=False)
  assert done.returncode == 0, done.stdout + done.stderr
  return done.stdout


def test_it_says_what_the_run_says_bears_what_comes_and_stops_at_last(exported, tmp_path):
  run, model = exported
  with serving(model, "--timeout_s=20") as (process, url):
    status, said = translate(url, TEXTS)
    assert status == 200
    wanted = by_the_run(run, TEXTS)
    assert [each["translation"] for each in said["translations"]] == [each[0] for each in wanted]
    found = translate(url, TEXTS, "candidates")[1]["candidates"]
    assert [[one["translation"] for one in each] for each in found] == wanted and len(wanted[0]) == 3
    assert ask(f"{url}/health")[1]["model"]["family"] == "nat_em"

    # A line of a megabyte, ten thousand lines, bytes that are not text, and nothing.
    bodies = [b'{"text": "%s"}' % (b"a" * 1_000_000), json.dumps({"text": ["a"] * 10_000}).encode(), b"\xff\xfe", b""]
    assert [ask(f"{url}/translate", body)[0] for body in bodies] == [413, 413, 400, 400]

    report = loaded(url, tmp_path, seconds=2)
    assert re.search(r"\d+ sentences in .* sentences/s\nlatency: p50 .* ms, p95 .* ms, p99 .* ms\nerrors: 0", report)
    metrics = urllib.request.urlopen(f"{url}/metrics", timeout=60).read().decode()
    assert 'tf_nar_requests_total{path="/translate",status="413"} 2.0' in metrics
    assert float(re.search(r'tf_nar_batch_sentences_bucket{le="1.0",offer="translate"} (\S+)', metrics)[1]) < float(
        re.search(r'tf_nar_requests_total{path="/translate",status="200"} (\S+)', metrics)[1])  # Some were batched.

    answers = []
    asking = [threading.Thread(target=lambda: answers.append(translate(url, TEXTS * 40)[0])) for _ in range(3)]
    for each in asking:
      each.start()
    time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    for each in asking:
      each.join(60)
    assert process.wait(60) == 0 and answers == [200] * 3
    with pytest.raises(urllib.error.URLError, match="refused"):
      translate(url, TEXTS)


def test_stopped_while_it_warms_up(exported):
  command = [sys.executable, ROOT / "bin/serve.py", f"--model={exported[1]}", "--port=0", "--max_batch=2048"]
  process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
  process.stdout.readline()
  process.send_signal(signal.SIGTERM)
  assert process.wait(60) == 0


def test_a_model_that_cannot_be_warmed_up(tmp_path):
  class Broken(tf.Module):
    @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False)
    def translate(self, text):
      with tf.control_dependencies([tf.debugging.Assert(tf.size(text) > 99, ["planted"])]):
        return {"translation": tf.identity(text), "score": tf.zeros(tf.shape(text))}

  broken = Broken()
  tf.saved_model.save(broken, str(tmp_path / "broken"), {"translate": broken.translate})
  command = [sys.executable, ROOT / "bin/serve.py", f"--model={tmp_path}/broken", "--port=0"]
  done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
  assert done.returncode == 1 and "planted" in done.stderr
  assert done.stderr.splitlines()[-1] == (
      f"serve: {tmp_path}/broken cannot be warmed up (InvalidArgumentError, see above); export it again.")


def test_refusals_are_one_line(refused, exported, tmp_path, monkeypatch):
  monkeypatch.setenv("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "0")  # The server sets it for good, unless it is set.
  monkeypatch.setattr(loaded_lib, "share_threads", lambda _: None)  # Too late in a test.
  monkeypatch.chdir(ROOT)
  model = f"--model={exported[1]}"
  with socket.create_server(("127.0.0.1", 0)) as taken:
    port = taken.getsockname()[1]
    for program, arguments, message in (
        ("serve", [f"--model={tmp_path}"], f"serve: Expected a SavedModel, got {tmp_path} without a saved_model.pb"),
        ("serve", [model, f"--port={port}"], f"serve: Cannot listen at 127.0.0.1:{port}: Address already in use; give"),
        ("serve", [model, "--max_queue=9"], "serve: --max_lines=256 is more than --max_queue=9 can hold; raise"),
        ("load", [f"--source={tmp_path}/none"], "load: No file "),
        ("load", ["--source=README.md", "--url=http://example.org"], "load: Expected a server on this machine"),
    ):
      assert refused(program, *arguments).startswith(message)


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
  """Run folders of a teacher and a student."""
  folder, vocab = tmp_path_factory.mktemp("pair"), tiny.VOCABULARIES["words"]()
  return [tiny.make(folder / name, name, vocab) for name in ("ar", "nat_em")]


def test_a_run_is_served_as_its_export_would_be(load, pair):
  teacher, student = pair
  serve = load("serve")[0]
  serve.flags.values.unparse_flags()
  serve.flags.parse(["serve", f"--workdir={teacher}", f"--draft_with={student}"])
  model = serve.opened()
  assert model.offers == ("translate", "candidates", "score") and model.facts["drafted_by"] == "nat_em"
  translations = [answer.content["translation"] for answer in model.answer("translate", TEXTS)]
  assert translations == translator.load(teacher, "search.draft_block=1", draft_with=student).translate(TEXTS)
  assert [answer.content[0]["translation"] for answer in model.answer("candidates", TEXTS)] == translations
  assert model.answer("score", [("tower", translations[-1])])[0].content < 0
  assert len(next(model.warm_ups(1, 100))[1]) == 1


def test_a_run_is_served_with_a_shortlist(load, pair, tmp_path):
  student, vocab, path = pair[1], tiny.VOCABULARIES["words"](), f"{tmp_path}/short.npz"
  few = np.full([len(vocab), 1], 7, np.int32), np.array([*range(5), 9], np.int32), np.array(vocab.sha256)
  shortlist.write(path, shortlist.Shortlist(*few))
  serve = load("serve")[0]
  serve.flags.values.unparse_flags()
  serve.flags.parse(["serve", f"--workdir={student}", f"--shortlist={path}"])
  model = serve.opened()
  translations = [answer.content["translation"] for answer in model.answer("translate", TEXTS)]
  assert {word for text in translations for word in text.split()} <= {vocab.tokens[7], vocab.tokens[9]}
  assert translations == translator.load(student, shortlist=path).translate(TEXTS)
  assert model.facts["shortlist"] == "short.npz"


def test_runs_that_cannot_be_served_are_refused(load, pair, tmp_path):
  teacher, student = pair
  other = tiny.make(tmp_path / "other", "nat_em", tiny.VOCABULARIES["bpe"]())
  for arguments, message in (
      ([f"--workdir={student}", f"--draft_with={teacher}"], f"{student} cannot check drafts: only an autoregressive"),
      ([f"--workdir={teacher}", f"--draft_with={other}"], f"{other} cannot draft for {teacher}: it has another vocab"),
      ([f"--workdir={teacher}", "--model=x"], "--workdir is a run that is served without an export; give it or --mo"),
      (["--model=x", "--draft_with=y"], "x is exported with its search; leave out --draft_with, or give the run"),
      ([], "Missing --model; see --help."),
  ):
    with pytest.raises((SystemExit, ValueError)) as refused:
      load("serve")[1](*arguments)
    line = str(refused.value)
    assert line.removeprefix("serve: ").startswith(message) and "\n" not in line


@pytest.mark.slow
def test_eight_clients_for_a_minute(exported, tmp_path):
  with serving(exported[1]) as (_, url):
    report = loaded(url, tmp_path, seconds=60)
  print(report)
  assert report.endswith("errors: 0\n")
