"""The answers of the service to valid and to invalid requests."""
import json
import re
import threading
import time

import pytest
from starlette import testclient

from tests.serve import planted
from tf_nar.serve import app
from tf_nar.serve import metrics as metrics_lib

JSON = {"Content-Type": "application/json"}
LIMITS = planted.LIMITS


class Service:
  """A service of a planted model, and a client of it."""

  def __init__(self, timeout=20.0, offers=("translate", "candidates", "trace", "score"), **settings):
    self.model, metrics = planted.Model(offers), metrics_lib.Metrics()
    self.batcher = planted.batcher(self.model, metrics, **settings)
    asgi = app.build(self.model, self.batcher, LIMITS, timeout, metrics)
    self.client = testclient.TestClient(asgi, raise_server_exceptions=False)

  def __enter__(self):
    self.batcher.start()
    assert self.batcher.ready.wait(10)
    self.client.__enter__()
    return self

  def __exit__(self, *problem):
    self.model.gate.set()
    self.client.__exit__(*problem)

  def ask(self, path, **fields):
    return self.client.post(path, json=fields)


@pytest.fixture(scope="module")
def service():
  with Service() as made:
    yield made


def test_translate(service):
  one = service.ask("/translate", text="a house")
  assert (one.status_code, one.json()) == (200, {"translations": [{"translation": "A HOUSE", "score": -7.0}]})
  texts = ["grüße", "\u65e5\u672c\u8a9e \U0001f600", "e\u0301", "x" * LIMITS.characters] * 12
  said = service.ask("/translate", text=texts).json()["translations"]
  assert [each["translation"] for each in said] == [text.upper() for text in texts]


def test_the_others(service):
  found = service.ask("/candidates", text=["a b"]).json()
  assert found == {"candidates": [[{"translation": "A B", "score": -3.0}, {"translation": "A b", "score": -99.5},
                                   {"translation": "?", "score": None}]]}
  [trace] = service.ask("/trace", text="a").json()["traces"]
  assert trace["translation"] == "A"
  assert trace["passes"][1] == {"inputs": "THE <mask> <mask>", "predictions": "THE OLD HOUSE"}
  assert service.ask("/score", source=["a", "b"], target=["xx", "yyy"]).json() == {"scores": [-2.0, -3.0]}
  assert service.ask("/score", source="a", target="xx").json() == {"scores": [-2.0]}


def test_truncated_sentences_are_said_and_counted():
  with Service() as service:
    for path, name in (("/translate", "translations"), ("/candidates", "candidates"), ("/trace", "traces")):
      answer = service.ask(path, text=["a", "long b", "c", "long d"]).json()
      assert answer["truncated"] == [1, 3] and len(answer[name]) == 4
      assert set(service.ask(path, text="a").json()) == {name}
    assert service.ask("/score", source="long a", target="b").json() == {"scores": [-1.0], "truncated": [0]}
    lines = service.client.get("/metrics").text.splitlines()
  assert 'tf_nar_truncated_sentences_total{path="/translate"} 2.0' in lines
  assert 'tf_nar_truncated_sentences_total{path="/score"} 1.0' in lines


def test_a_blank_sentence_is_a_sentence(service):
  said = service.ask("/translate", text=["a", "", " \u00a0 "]).json()["translations"]
  assert [each["translation"] for each in said] == ["A", "", " \u00a0 "]
  assert service.ask("/translate", text="").json() == {"translations": [{"translation": "", "score": 0.0}]}
  assert service.ask("/score", source=["a", ""], target=["", "b"]).json() == {"scores": [0.0, -1.0]}


def text(value):
  return json.dumps({"text": value}).encode()


BAD = {
    "an empty body": (b"", 400, 'a JSON object as {"text": "..."}, got an empty body'),
    "wrong JSON": (b'{"text": "a"', 400, "got invalid JSON at character 12 .Expecting ',' delimiter."),
    "invalid UTF-8": (b'{"text": "a \xff"}', 400, "Expected UTF-8, got the byte 0xff at position 12 of the body"),
    "UTF-16": ('{"text": "a"}'.encode("utf-16"), 400, "Expected UTF-8, got the byte 0xff at position 0"),
    "a byte order mark": (b'\xef\xbb\xbf{"text": "a"}', 400, "invalid JSON at character 0 .*BOM"),
    "a list": (b'["a"]', 400, "got a list; send text only"),
    "null": (b"null", 400, "got null"),
    "another field": (b'{"texts": "a"}', 400, 'got one with "texts"'),
    "a field too much": (b'{"text": "a", "beam": 5}', 400, 'got one with "text", "beam"'),
    "a number": (text(5), 400, "Expected text to be a string or a list of strings, got a number"),
    "an object inside": (text({"a": "b"}), 400, "Expected text to be a string or a list of strings, got an object"),
    "null inside": (text(["a", None]), 400, r"Expected text\[1\] to be a string, got null"),
    "true inside": (text([True]), 400, r"Expected text\[0\] to be a string, got true or false"),
    "a list inside": (text([["a"]]), 400, r"Expected text\[0\] to be a string, got a list"),
    "no sentences": (text([]), 400, "Expected 1 to 50 sentences in text, got 0; send one"),
    "a long line": (text("a" * 301), 413, "Expected at most 300 characters in text, got 301; split it"),
    "a line of 1 MB": (text("a" * 1_000_000), 413, "Expected a body of at most 20000 bytes, got more"),
    "10,000 lines": (text(["a"] * 10_000), 413, "Expected a body of at most 20000 bytes, got more"),
    "too many lines": (text(["a"] * 51), 413, "Expected 1 to 50 sentences in text, got 51; send them in several"),
    "NUL": (text("a\0b"), 400, r"got a control character \(U\+0000\) at character 1; remove it"),
    "escape": (text("a\x1b[31m"), 400, r"control character \(U\+001B\)"),
    "C1": (text(["a\x85b"]), 400, r"Expected a sentence in text\[0\], got a control character \(U\+0085\)"),
    "two lines": (text("a\nb"), 400, r"got a line break \(U\+000A\) at character 1; send each line as a sentence"),
    "a line separator": (text("a\u2028b"), 400, r"got a line break \(U\+2028\)"),
    "half a pair": (b'{"text": "a \\ud800"}', 400, r"got a half of a surrogate pair \(U\+D800\) at character 2"),
    "deep brackets": (b"[" * 19_000, 400, "got one too large or too deeply nested"),
    "a huge number": (b'{"text": ' + b"9" * 19_000 + b"}", 400, "got one too large or too deeply nested"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_bodies_are_refused_in_one_line(service, name):
  body, status, line = BAD[name]
  answer = service.client.post("/translate", content=body, headers=JSON)
  line_said = answer.json()["error"]
  assert answer.status_code == status and answer.headers["content-type"] == "application/json"
  assert re.search(line, line_said) and "\n" not in line_said and len(line_said) < 300, line_said


@pytest.mark.parametrize("fields, line", [
    ({"source": ["a", "b"], "target": ["c"]}, "Expected as many targets as sources, .* got 2 and 1; send a target for"),
    ({"source": "a", "target": ["c"]}, "both strings or both lists, got 1 and 1"),
    ({"source": "a"}, 'Expected a JSON object as {"source": "...", "target": "..."}, got one with "source"'),
])
def test_bad_pairs_are_refused(service, fields, line):
  answer = service.ask("/score", **fields)
  assert answer.status_code == 400 and re.search(line, answer.json()["error"])


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"])
def test_another_content_type_is_refused(service, kind):
  answer = service.client.post("/translate", content=text("a"), headers={"Content-Type": kind})
  assert answer.status_code == 415
  assert re.search("Expected the content type application/json, got .*; send the header", answer.json()["error"])


def test_a_charset_may_be_said(service):
  for kind in ("application/json; charset=utf-8", "Application/JSON"):
    assert service.client.post("/translate", content=text("a"), headers={"Content-Type": kind}).status_code == 200


def test_unknown_paths_and_methods(service):
  for path in ("/tranlate", "/translate/", "/../etc/passwd", "/%00"):
    answer = service.ask(path, text="a")
    assert answer.status_code == 404 and "Expected one of /translate, /candidates" in answer.json()["error"]
  answer = service.client.get("/translate")
  assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
  assert answer.json()["error"] == "Expected POST for /translate, got GET; use another method."
  assert service.client.delete("/health").status_code == 405


def test_what_the_model_has_not_is_404():
  with Service(offers=("translate",)) as service:
    answer = service.ask("/trace", text="a")
    assert answer.status_code == 404
    assert answer.json()["error"].startswith("Expected a model with the signature trace, got one with translate;")
    assert service.client.get("/health").json()["offers"] == ["translate"]


def test_health():
  service = Service()
  with service.client:
    answer = service.client.get("/health")
    assert (answer.status_code, answer.json()["status"]) == (503, "warming up")
    early = service.ask("/translate", text="a")
    assert (early.status_code, early.headers["retry-after"]) == (503, "1") and "warming up" in early.json()["error"]
    service.batcher.start()
    assert service.batcher.ready.wait(10)
    answer = service.client.get("/health")
    assert answer.status_code == 200 and answer.json() == {
        "status": "ready", "offers": ["translate", "candidates", "trace", "score"], "limits": LIMITS._asdict(),
        "model": planted.Model.facts}


def test_a_failing_model_is_500_and_survived(service):
  answer = service.ask("/translate", text=["boom", "a"])
  assert answer.status_code == 500
  assert answer.json()["error"] == (
      "The model failed with RuntimeError; the operator can find details in the server's log.")
  assert service.ask("/translate", text="a").status_code == 200


def test_a_slow_model_is_504_and_what_waited_is_dropped():
  with Service(timeout=0.2, max_batch=1) as service:
    service.model.gate.clear()
    answer = service.ask("/translate", text=["a", "b", "c"])
    assert answer.status_code == 504 and "Expected an answer within 0.2 seconds, got none" in answer.json()["error"]
    assert service.batcher.waiting == 0
    service.model.gate.set()
    until(lambda: service.ask("/translate", text="d").status_code == 200)
    assert service.model.batches[0] == ("translate", ["a"]) and service.model.batches[-1] == ("translate", ["d"])
    assert not {"b", "c"} & {text for _, texts in service.model.batches for text in texts}


def test_a_full_queue_is_503():
  with Service(max_queue=2) as service:
    service.model.gate.clear()
    answers = []
    asks = [threading.Thread(target=lambda: answers.append(service.ask("/translate", text="a"))) for _ in range(3)]
    for waiting, each in enumerate(asks):  # The first is run at once, the others wait.
      each.start()
      until(lambda waiting=waiting: len(service.model.batches) == 1 and service.batcher.waiting == waiting)
    full = service.ask("/translate", text="b")
    assert (full.status_code, full.headers["retry-after"]) == (503, "1")
    assert full.json()["error"] == (
        "Expected room for 1 more sentences in the queue, got 2 waiting; try again in a second.")
    service.model.gate.set()
    for each in asks:
      each.join(10)
    assert [answer.status_code for answer in answers] == [200] * 3


def until(true):
  end = time.monotonic() + 10
  while not true():
    assert time.monotonic() < end
    time.sleep(0.001)


def test_metrics():
  with Service(max_batch=4) as service:
    service.ask("/translate", text=["a", "b", "c"])
    service.ask("/translate", text="\n")
    service.ask("/x")
    service.ask("/y")
    lines = service.client.get("/metrics").text.splitlines()
  for line in ('tf_nar_requests_total{path="/translate",status="200"} 1.0',
               'tf_nar_requests_total{path="/translate",status="400"} 1.0',
               'tf_nar_requests_total{path="other",status="404"} 2.0',
               'tf_nar_sentences_total{path="/translate"} 3.0',
               'tf_nar_request_seconds_count{path="/translate"} 2.0',
               'tf_nar_batch_sentences_bucket{le="2.0",offer="translate"} 0.0',
               'tf_nar_batch_sentences_bucket{le="4.0",offer="translate"} 1.0',
               'tf_nar_batch_seconds_count{offer="translate"} 1.0',
               "tf_nar_waiting_sentences 0.0", "tf_nar_ready 1.0"):
    assert line in lines


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_the_pages_are_whole_and_guarded(service, path):
  answer = service.client.get(path)
  assert answer.status_code == 200 and answer.headers["content-type"] == "text/html; charset=utf-8"
  assert "default-src 'none'" in answer.headers["content-security-policy"]
  outside = re.compile(r"(?:src|href)=(?!\"(?:data:|docs\"|openapi.json\"|[.]/\"))|https?://|@import|url\(")
  assert not outside.search(answer.text)


def test_the_interface_is_described_as_it_is(service):
  answer = service.client.get("/openapi.json")
  assert answer.headers["content-type"] == "application/json"
  described = answer.json()
  lists = lambda path: service.client.get(path).json()["error"].split(" one of ")[1].split(", got")[0].split(", ")
  assert set(described["paths"]) == set(lists("/nowhere"))
  schemas = described["components"]["schemas"]
  assert set(re.findall(r'"#/components/schemas/(\w+)"', answer.text)) == set(schemas)
  for path, methods in described["paths"].items():
    if "post" in methods:
      content = methods["post"]["requestBody"]["content"]["application/json"]
      answered = service.client.post(path, json=content["example"])
      example = methods["post"]["responses"]["200"]["content"]["application/json"]["example"]
      assert answered.status_code == 200 and keys(answered.json()) == keys(example), path
    else:
      assert service.client.get(path).status_code == 200
  health = service.client.get("/health").json()
  assert set(health) == set(schemas["Health"]["properties"])
  assert set(health["limits"]) == set(schemas["Health"]["properties"]["limits"]["properties"])


def keys(answer):
  """Returns the names of the fields of an answer and of its first entries."""
  if isinstance(answer, list):
    return keys(answer[0])
  return {name: keys(value) for name, value in answer.items()} if isinstance(answer, dict) else None
