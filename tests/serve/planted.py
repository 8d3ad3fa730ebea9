"""A model with known answers, and a server of it."""
import contextlib
import socket
import threading

import uvicorn

from tf_nar.serve import app
from tf_nar.serve import asking
from tf_nar.serve import batching
from tf_nar.serve import loaded
from tf_nar.serve import metrics as metrics_lib

LIMITS = asking.Limits(body=20_000, lines=50, characters=300)


class Model:
  """Translates to upper case. `boom` raises an error; while `gate` is not set, nothing is answered.

  Sentences that begin with `long ` count as truncated.
  """

  facts = {"family": "planted", "search": {"passes": 3}, "languages": ["en", "Pig Latin"]}

  def __init__(self, offers=loaded.OFFERS):
    self.offers = offers
    self.gate = threading.Event()
    self.gate.set()
    self.batches = []  # (offer, asked) of each.

  def answer(self, offer, asked):
    self.batches.append((offer, list(asked)))
    assert self.gate.wait(60)
    if "boom" in asked:
      raise RuntimeError("planted")
    source = lambda one: one[0] if offer == "score" else one
    return [loaded.Answer(getattr(self, f"_{offer}")(one), source(one).startswith("long ")) for one in asked]

  def _translate(self, text):
    return {"translation": text.upper(), "score": -float(len(text))}

  def _candidates(self, text):
    others = {text.capitalize(): -99.5, "?": None}
    return [self._translate(text), *({"translation": said, "score": score} for said, score in others.items())]

  def _trace(self, text):
    passes = [("<mask> <mask> <mask>", "THE RED HOUSE"), ("THE <mask> <mask>", "THE OLD HOUSE"),
              ("THE OLD <mask>", "THE OLD TOWER")]
    return {**self._translate(text), "passes": [{"inputs": saw, "predictions": said} for saw, said in passes]}

  def _score(self, pair):
    return -float(len(pair[1]))


def batcher(model, metrics=None, **settings):
  """Returns a `Batcher` of a model that has not been started."""
  settings = {"max_batch": 4, "max_characters": 10_000, "max_wait": 0.0, "max_queue": 60, **settings}
  return batching.Batcher(model.answer, observe=(metrics or metrics_lib.Metrics()).batch, **settings)


@contextlib.contextmanager
def served(model, limits=LIMITS, timeout=20.0, warm_ups=(), **settings):
  """Yields the address of a server of a model, in a thread; `settings` are those of its `Batcher`."""
  metrics = metrics_lib.Metrics()
  queue = batcher(model, metrics, **settings)
  asgi = app.build(model, queue, limits, timeout, metrics)
  listening = socket.create_server(("127.0.0.1", 0))
  server = uvicorn.Server(uvicorn.Config(asgi, http="h11", ws="none", log_config=None, log_level="warning"))
  thread = threading.Thread(target=server.run, args=([listening],))
  queue.start(warm_ups)
  thread.start()
  try:
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
  finally:
    server.should_exit = True
    thread.join(30)
