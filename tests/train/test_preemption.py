"""Told to stop."""
import http.server
import os
import signal
import threading
import time

import pytest

from tf_nar.train import preemption


def wait_for(condition):
  limit = time.monotonic() + 10
  while not condition() and time.monotonic() < limit:
    time.sleep(0.01)
  return condition()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_is_heard_and_the_old_handler_comes_back(number):
  before = signal.getsignal(number)
  with preemption.Notice() as notice:
    assert not notice.given
    os.kill(os.getpid(), number)
    assert wait_for(lambda: notice.given)
  assert signal.getsignal(number) is before


def test_a_second_ctrl_c_interrupts_at_once():
  signal.signal(signal.SIGINT, signal.default_int_handler)
  with preemption.Notice() as notice:
    os.kill(os.getpid(), signal.SIGINT)
    assert wait_for(lambda: notice.given)
    with pytest.raises(KeyboardInterrupt):
      os.kill(os.getpid(), signal.SIGINT)
      time.sleep(1)


@pytest.fixture
def metadata():
  """A machine's metadata server; `answers` are returned one after the other, the last one forever."""
  class Answer(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
      asked.append(self.headers["Metadata-Flavor"])
      text = answers.pop(0) if len(answers) > 1 else answers[0]
      self.send_response(200 if text else 503)
      self.end_headers()
      self.wfile.write((text or "").encode())

    def log_message(self, *_):
      pass

  answers, asked = [], []
  server = http.server.ThreadingHTTPServer(("localhost", 0), Answer)
  threading.Thread(target=server.serve_forever, daemon=True).start()
  yield f"http://localhost:{server.server_port}/", answers, asked
  server.shutdown()
  server.server_close()


def test_the_clouds_notice_is_heard_though_its_server_fails_at_times(metadata, monkeypatch):
  url, answers, asked = metadata
  answers.extend(["FALSE", None, "TRUE\n"])
  monkeypatch.setattr(preemption, "EVERY", 0.01)
  with preemption.Notice(url) as notice:
    assert wait_for(lambda: notice.given)
  assert asked == ["Google"] * 3


def test_elsewhere_nobody_is_asked(monkeypatch, tmp_path):
  (tmp_path / "product").write_text("Some PC\n")
  monkeypatch.setattr(preemption, "PRODUCT", str(tmp_path / "product"))
  assert preemption.Notice()._url is None
  (tmp_path / "product").write_text("Google Compute Engine\n")
  assert preemption.Notice()._url == preemption.NOTICE
  monkeypatch.setattr(preemption, "PRODUCT", str(tmp_path / "none"))
  assert preemption.Notice()._url is None
