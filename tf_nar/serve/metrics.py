"""Metrics of a server for Prometheus: requests, sentences, batches, the queue, and durations."""
import time
from typing import Any

import prometheus_client as prometheus

SECONDS = (.005, .01, .02, .03, .05, .075, .1, .15, .2, .3, .5, .75, 1, 2, 5, 10, 30)
SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256)
CONTENT_TYPE = prometheus.CONTENT_TYPE_LATEST


class Metrics:
  """The metrics of one server, whose names all begin with tf_nar_."""

  def __init__(self):
    self._all = prometheus.CollectorRegistry()
    counter = lambda name, text, *labels: prometheus.Counter(f"tf_nar_{name}", text, labels, registry=self._all)
    histogram = lambda name, text, label, buckets: prometheus.Histogram(
        f"tf_nar_{name}", text, [label], buckets=buckets, registry=self._all)
    self.requests = counter("requests", "Requests by path and HTTP status.", "path", "status")
    self.sentences = counter("sentences", "Sentences answered, by path.", "path")
    self.truncated = counter("truncated_sentences", "Sentences longer than the model takes, by path.", "path")
    self.seconds = histogram("request_seconds", "Seconds from a request's head to its answer's end.", "path", SECONDS)
    self.sizes = histogram("batch_sentences", "Sentences in a batch, by offer.", "offer", SIZES)
    self.runs = histogram("batch_seconds", "Seconds that a batch takes in the model, by offer.", "offer", SECONDS)

  def batch(self, offer: str, size: int, seconds: float) -> None:
    """Records a batch; the `Batcher` calls this after each."""
    self.sizes.labels(offer).observe(size)
    self.runs.labels(offer).observe(seconds)

  def watch(self, batcher: Any) -> None:
    """Adds gauges of a batcher: the number of waiting sentences, and whether the model is warm."""
    gauge = lambda name, text: prometheus.Gauge(f"tf_nar_{name}", text, registry=self._all)
    gauge("waiting_sentences", "Sentences that wait in the queue.").set_function(lambda: batcher.waiting)
    gauge("ready", "1 once the model is warm.").set_function(lambda: float(batcher.ready.is_set()))

  def shown(self) -> bytes:
    """Returns all metrics in Prometheus' text format, as bytes."""
    return prometheus.generate_latest(self._all)


class Counted:
  """An ASGI application that counts the requests to another one; paths that are not `known` count as `other`."""

  def __init__(self, app, metrics, known):
    self._app, self._metrics, self._known = app, metrics, known

  async def __call__(self, scope, receive, send):
    if scope["type"] != "http":
      await self._app(scope, receive, send)
      return
    path = scope["path"] if scope["path"] in self._known else "other"
    begun, status = time.perf_counter(), 500  # The status if an exception leaves no answer.

    async def noting(message):
      nonlocal status
      status = message.get("status", status)
      await send(message)

    try:
      await self._app(scope, receive, noting)
    finally:
      self._metrics.requests.labels(path, status).inc()
      self._metrics.seconds.labels(path).observe(time.perf_counter() - begun)
