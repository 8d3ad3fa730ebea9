"""Load on a server of this machine: many clients that ask, wait for the answer, and ask again."""
import http.client
import itertools
import json
import threading
import time
import urllib.parse
from typing import NamedTuple

import numpy as np

LOCAL = ("127.0.0.1", "localhost", "::1")  # A load test of another's machine is an attack.
LONGEST, MOST = 600, 64  # Seconds, clients.
PATIENCE = 60  # Seconds that a client waits for an answer before it calls that an error.


class Report(NamedTuple):
  """What was measured."""

  seconds: float
  sentences: int  # Of requests answered with 200.
  took: np.ndarray  # float64: milliseconds of each such request, sorted.
  errors: list  # A line for each of the others.

  def __str__(self):
    rate = self.sentences / self.seconds
    found = np.percentile(self.took, (50, 95, 99)) if len(self.took) else [float("nan")] * 3
    times = ", ".join(f"p{share} {value:.1f} ms" for share, value in zip((50, 95, 99), found, strict=True))
    lines = [f"{len(self.took)} requests, {self.sentences} sentences in {self.seconds:.1f} s: {rate:.1f} sentences/s",
             f"latency: {times}", f"errors: {len(self.errors)}"]
    return "\n".join(lines + [f"  {line}" for line in sorted(set(self.errors))[:5]])


def run(url, sentences, *, clients, seconds, together=1):
  """Returns the `Report` of `clients` that ask /translate of a server for `seconds`.

  Args:
    url: of the server, on this machine.
    sentences: what is asked, in turn, from the start again at the end.
    clients: how many ask at a time, each on one connection.
    seconds: how long new requests are sent; each client sends one at least.
    together: sentences of a request.

  Raises:
    ValueError: if the server is of another machine, nothing is to be asked, or a number is out of bounds.
  """
  address = urllib.parse.urlsplit(url)
  if address.scheme != "http" or address.hostname not in LOCAL:
    raise ValueError(f"Expected a server on this machine, as http://127.0.0.1:8000, got {url}; run this there.")
  if not sentences:
    raise ValueError("Expected sentences to ask, got none; give a file with one a line.")
  if not 1 <= clients <= MOST or not 0 < seconds <= LONGEST:
    raise ValueError(f"Expected 1 to {MOST} clients for at most {LONGEST} seconds, got {clients} for {seconds:g}; "
                     "ask less.")
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
        time.sleep(0.1)  # A server that refuses at once is not asked a thousand times a second.
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
  """Returns what is wrong with the answer to a request, "" if nothing."""
  try:
    connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    said = answer.read()
    if answer.status != 200:
      return f"{answer.status}: {said[:200].decode(errors='replace')}"
    got = len(json.loads(said)["translations"])
    return "" if got == wanted else f"{got} translations of {wanted} sentences"
  except (OSError, http.client.HTTPException, ValueError, KeyError) as problem:
    return f"{type(problem).__name__}: {problem}"
