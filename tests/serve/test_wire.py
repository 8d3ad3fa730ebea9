"""Tests over a real connection: bodies that do not end, many clients, a load test, a stop."""
import http.client
import json
import socket
import threading
import time
import urllib.parse

import pytest

from tests.serve import planted
from tf_nar.serve import load

HEAD = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def url():
  with planted.served(planted.Model(), timeout=1.0, max_batch=8, max_wait=0.002) as address:
    yield address


def exchange(url, sent, close=False):
  """Sends bytes and returns the status and the body of the answer."""
  address = urllib.parse.urlsplit(url)
  with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
    connection.sendall(sent)
    if close:
      connection.shutdown(socket.SHUT_WR)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return answer.status, answer.read()


def test_a_body_that_does_not_end_is_504(url):
  status, said = exchange(url, HEAD + b"Content-Length: 100\r\n\r\n{")
  assert status == 504 and b"Expected an answer within 1 seconds" in said


@pytest.mark.parametrize("size", [20_001, 300_000])
def test_a_body_too_large_is_read_and_413(url, size):
  status, said = exchange(url, HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size)
  assert status == 413 and b"Expected a body of at most 20000 bytes" in said


def test_a_body_far_too_large_is_413_before_it_is_sent(url):
  assert exchange(url, HEAD + b"Content-Length: 99999999\r\nExpect: 100-continue\r\n\r\n")[0] == 413


def test_a_body_in_chunks_too_large_is_413(url):
  status, _ = exchange(url, HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1000\r\n" + b"x" * 4096 + b"\r\n" + (
      b"5000\r\n" + b"x" * 0x5000 + b"\r\n0\r\n\r\n"))
  assert status == 413


@pytest.mark.parametrize("sent", [
    b"\x16\x03\x01\x02\x00\x01\x00", b"GET\r\n\r\n", b"POST / HTTP/9\r\n\r\n",
    HEAD + b"Content-Length: -4\r\n\r\n", b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\n\r\n"])
def test_what_is_no_http_is_400(url, sent):
  assert exchange(url, sent + b"\r\n\r\n")[0] == 400


def test_a_client_that_goes_away_hurts_nobody(url):
  address = urllib.parse.urlsplit(url)
  for sent in (HEAD, HEAD + b"Content-Length: 100\r\n\r\n{", HEAD + b'Content-Length: 13\r\n\r\n{"text": "a"}'):
    with socket.create_connection((address.hostname, address.port), timeout=10) as connection:
      connection.sendall(sent)
  body = json.dumps({"text": "still here"}).encode()
  status, said = exchange(url, HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body)
  assert status == 200 and b"STILL HERE" in said


def test_a_load_is_borne(url):
  report = load.run(url, ["a", "bb bb", "ccc"], clients=8, seconds=1.0, together=2)
  assert report.errors == [] and len(report.took) > 50 and report.sentences == 2 * len(report.took)
  assert 1 <= report.seconds < 3 and "p50 " in str(report) and "errors: 0" in str(report)


def test_errors_of_a_load_are_counted_and_shown(url):
  report = load.run(url, ["boom"], clients=2, seconds=0.2)
  assert not len(report.took) and "500: {\"error\":\"The model failed with RuntimeError" in str(report)
  report = load.run("http://127.0.0.1:1", ["a"], clients=1, seconds=0.1)
  assert "ConnectionRefusedError" in str(report) and f"errors: {len(report.errors)}" in str(report)


@pytest.mark.parametrize("url, sentences, clients, seconds, line", [
    ("http://example.org", ["a"], 8, 1, "Expected a server on this machine, as .*, got http://example.org; run"),
    ("https://127.0.0.1", ["a"], 8, 1, "Expected a server on this machine"),
    ("http://127.0.0.1:8000", [], 8, 1, "Expected sentences to translate, got none"),
    ("http://127.0.0.1:8000", ["a"], 65, 1, "Expected 1 to 64 clients for at most 600 seconds, got 65 for 1"),
    ("http://127.0.0.1:8000", ["a"], 0, 1, "Expected 1 to 64 clients"),
    ("http://127.0.0.1:8000", ["a"], 1, 601, "at most 600 seconds, got 1 for 601"),
])
def test_a_load_that_should_not_be_is_refused(url, sentences, clients, seconds, line):
  with pytest.raises(ValueError, match=line):
    load.run(url, sentences, clients=clients, seconds=seconds)


def test_a_stop_answers_what_was_asked_and_refuses_what_comes():
  model, answers = planted.Model(), []
  ask = lambda address: answers.append(exchange(address, HEAD + b'Content-Length: 13\r\n\r\n{"text": "a"}'))
  with planted.served(model) as address:
    model.gate.clear()
    waiting = threading.Thread(target=ask, args=(address,))
    waiting.start()
    while not model.batches:
      time.sleep(0.001)
    threading.Timer(0.5, model.gate.set).start()
  waiting.join(10)  # The server has stopped.
  assert answers[0][0] == 200 and b'"A"' in answers[0][1]
  with pytest.raises(ConnectionRefusedError):
    ask(address)
