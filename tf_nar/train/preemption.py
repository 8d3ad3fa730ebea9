"""Detects that a run is told to stop, so that it saves and exits: SIGTERM, Ctrl-C, or Google Cloud's preemption notice.

TensorFlow's own preemption handlers do not support TPU and CPU machines of Google Cloud.
"""
import os
import signal
import threading
import urllib.request

EXIT = 75  # Exit status of the programs: a temporary failure (EX_TEMPFAIL), run again.
PRODUCT = "/sys/class/dmi/id/product_name"
NOTICE = "http://metadata.google.internal/computeMetadata/v1/instance/preempted"
EVERY = 5.0  # Seconds between two requests; the machine is stopped 30 seconds after its notice.


class Preempted(Exception):
  """A run was told to stop and has saved a checkpoint; the same command resumes it."""


class Notice:
  """Sets `given` when this process is told to stop. A context manager; signals are handled in the main thread only.

  A second Ctrl-C interrupts at once.
  """

  def __init__(self, url=None):
    """Args: url: returns TRUE if the machine is preempted; None: Google Cloud's, if this is one of its machines."""
    self._url = url or (NOTICE if _on_google_cloud() else None)
    self._told, self._over = threading.Event(), threading.Event()

  @property
  def given(self) -> bool:
    return self._told.is_set()

  def __enter__(self):
    if threading.current_thread() is threading.main_thread():
      self._before = {each: signal.signal(each, self._hear) for each in (signal.SIGTERM, signal.SIGINT)}
    if self._url:
      threading.Thread(target=self._watch, daemon=True).start()
    return self

  def __exit__(self, *_):
    self._over.set()
    if threading.current_thread() is threading.main_thread():
      for each, handler in self._before.items():
        signal.signal(each, handler)

  def _hear(self, number, _):
    self._told.set()
    if number == signal.SIGINT:
      signal.signal(signal.SIGINT, self._before[signal.SIGINT])

  def _watch(self):
    while not (self._told.is_set() or self._over.wait(EVERY)):
      try:
        ask = urllib.request.Request(self._url, headers={"Metadata-Flavor": "Google"})
        with urllib.request.urlopen(ask, timeout=EVERY) as answer:
          if answer.read().strip() == b"TRUE":
            self._told.set()
      except OSError:
        pass  # The server may be unavailable for a moment; SIGTERM comes in any case.


def _on_google_cloud():
  if not os.path.exists(PRODUCT):
    return False
  with open(PRODUCT) as file:
    return "Google" in file.read()
