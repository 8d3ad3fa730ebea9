"""A load test of a server on this machine: many clients that each send a request, wait for its answer, and repeat."""
import http.client
import itertools
import json
import threading
import time
import urllib.parse
from typing import NamedTuple, Sequence

import numpy as np

LOCAL = ("127.0.0.1", "localhost", "::1")  # A load test of another machine could be an attack.
LONGEST, MOST = 600, 64  # Seconds, clients.
PATIENCE = 60  # Seconds that a client waits for an answer before it counts an error.


class Report(NamedTuple):
  """The measurements of a load test."""

  seconds: float
  sentences: int  # Sentences of requests that were answered with 200.
  took: np.ndarray  # float64: milliseconds of each such request, sorted.
  errors: list  # A line for each other request.

  def __str__(self):
    rate = self.sentences / self.seconds
    found = np.percentile(self.took, (50, 95, 99)) if len(self.took) else [float("nan")] * 3
    times = ", ".join(f"p{share} {value:.1f} ms" for share, value in zip((50, 95, 99), found, strict=True))
    lines = [f"{len(self.took)} requests, {self.sentences} sentences in {self.seconds:.1f} s: {rate:.1f} sentences/s",
             f"latency: {times}", f"errors: {len(self.errors)}"]
    return "\n".join(lines + [f"  {line}" for line in sorted(set(self.errors))[:5]])


def run(url: str, sentences: Sequence[str], *, clients: int, seconds: float, together: int = 1) -> Report:
  """Returns the `Report` of `clients` that send requests to /translate of a server for `seconds`.

  Args:
    url: of the server, on this machine.
    sentences: the sentences to translate, in order, repeated when they run out.
    clients: the number of concurrent clients, each with one connection.
    seconds: how long new requests are sent; each client sends at least one.
    together: sentences per request.

  Raises:
    ValueError: if the server is on another machine, there are no sentences, or a number is out of range.
  """
  address = urllib.parse.urlsplit(url)
  if address.scheme != "http" or address.hostname not in LOCAL:
    raise ValueError(f"Expected a server on this machine, as http://127.0.0.1:8000, got {url}; run this there.")
  if not sentences:
    raise ValueError("Expected sentences to translate, got none; give a file with one a line.")
  if not 1 <= clients <= MOST or not 0 < seconds <= LONGEST:
    raise ValueError(f"Expected 1 to {MOST} clients for at most {LONGEST} seconds, got {clients} for {seconds:g}; "
                     "lower them.")
  turn = itertools.cycle(sentences)
  bodies = iter(lambda: json.dumps({"text": list(itertools.islice(turn, together))}).encode(), None)
  took, errors, one_at_a_time = [], [], threading.Lock()
  end = time.monotonic() + seconds

  def client():
    connection = http.client.HTTPConnection(address.hostname, address.port or 80, timeout=PATIENCE)
    going = True
    while going:
      with one_at_a_time:
        body = next(bodies)
      begun = time.perf_counter()
      problem = _ask(connection, body, together)
      if problem:
        errors.append(problem)
        connection.close()
        time.sleep(0.1)  # Limits the rate of requests to a server that refuses them at once.
      else:
        took.append(1000 * (time.perf_counter() - begun))
      going = time.monotonic() < end
    connection.close()

  begun = time.monotonic()
  threads = [threading.Thread(target=client, daemon=True) for _ in range(clients)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join()
  return Report(time.monotonic() - begun, together * len(took), np.sort(took), errors)


def _ask(connection, body, wanted):
  """Sends a request and returns what is wrong with its answer, "" if nothing."""
  try:
    connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
      return f"{answer.status}: {body[:200].decode(errors='replace')}"
    got = len(json.loads(body)["translations"])
    return "" if got == wanted else f"{got} translations, expected {wanted}"
  except (OSError, http.client.HTTPException, ValueError, KeyError) as problem:
    return f"{type(problem).__name__}: {problem}"
