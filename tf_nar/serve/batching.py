"""Dynamic batching: the sentences of many clients go through the model together, in one thread.

A batch is formed around the sentence that has waited longest. It waits at most `max_wait` seconds for others, and
includes those of the same offer whose lengths are nearest to its own, as padding costs time and memory.
"""
import concurrent.futures
import logging
import threading
import time
from typing import Any, Callable, Iterable, NamedTuple


class Full(Exception):
  """The queue has no room for a request."""


class Closed(Exception):
  """No new requests are accepted, as the server is stopping."""


class Job(NamedTuple):
  """One sentence that waits for its answer."""

  offer: str
  asked: Any
  length: int  # Characters.
  arrived: float  # Seconds of `time.monotonic`.
  future: concurrent.futures.Future


class Batcher:
  """A queue in front of a model, and the one thread that runs it. `ready` is set once the model is warm."""

  def __init__(self, answer, *, max_batch, max_characters, max_wait, max_queue,
               observe=lambda offer, size, seconds: None):
    """Args:
      answer: a function of an offer and a list of sentences (or pairs) that returns the list of answers.
      max_batch: the maximum number of sentences in a batch.
      max_characters: the maximum size of a batch of more than one sentence, padding included; bounds memory.
      max_wait: seconds that a sentence may wait for others.
      max_queue: the maximum number of waiting sentences.
      observe: called after each batch with its offer, number of sentences, and seconds in the model.
    """
    self._answer, self._observe = answer, observe
    self._max_batch, self._max_characters = max_batch, max_characters
    self._max_wait, self._max_queue = max_wait, max_queue
    self._jobs, self._changed, self._stopping = [], threading.Condition(), False
    self._thread = None
    self.ready = threading.Event()

  @property
  def waiting(self) -> int:
    """The number of waiting sentences, without those of the running batch."""
    with self._changed:
      return len(self._waiting())

  def start(self, warm_ups: Iterable[tuple[str, list]] = (),
            failed: Callable[[Exception], None] = lambda problem: None) -> None:
    """Starts the thread, which first runs `warm_ups`, pairs of an offer and a list of sentences.

    Args:
      warm_ups: these pairs.
      failed: called in the thread with the exception if a warm-up fails; then `ready` is never set.
    """
    self._thread = threading.Thread(target=self._run, args=(warm_ups, failed), name="model", daemon=True)
    self._thread.start()

  def ask(self, offer: str, asked: Iterable) -> list[concurrent.futures.Future]:
    """Returns a future for each of `asked`; a job whose future is cancelled before its batch begins is not run.

    Raises:
      Full: if the queue has no room for all of them; then none is accepted.
      Closed: after `stop`.
    """
    now = time.monotonic()
    jobs = [Job(offer, one, _length(one), now, concurrent.futures.Future()) for one in asked]
    with self._changed:
      if self._stopping:
        raise Closed
      if len(self._waiting()) + len(jobs) > self._max_queue:
        raise Full
      self._jobs += jobs
      self._changed.notify()
    return [job.future for job in jobs]

  def stop(self, timeout: float | None = None) -> None:
    """Answers the waiting sentences and ends the thread, for which this waits `timeout` seconds at most."""
    with self._changed:
      self._stopping = True
      self._changed.notify()
    if self._thread:
      self._thread.join(timeout)

  def _run(self, warm_ups, failed):
    try:
      for offer, asked in warm_ups:
        if self._stopping:
          break
        self._answer(offer, asked)
    except Exception as problem:
      logging.exception("The model failed to warm up.")
      failed(problem)
      return
    self.ready.set()
    while jobs := self._next():
      jobs = [job for job in jobs if job.future.set_running_or_notify_cancel()]
      if jobs:
        self._do(jobs)

  def _do(self, jobs):
    """Runs one batch. The thread survives any exception of the model."""
    begun = time.monotonic()
    try:
      answers = self._answer(jobs[0].offer, [job.asked for job in jobs])
      for job, answer in zip(jobs, answers, strict=True):
        job.future.set_result(answer)
    except Exception as problem:
      logging.exception("The model failed on a batch of %d.", len(jobs))
      for job in jobs:
        if not job.future.done():
          job.future.set_exception(problem)
    self._observe(jobs[0].offer, len(jobs), time.monotonic() - begun)

  def _next(self):
    """Waits for the next batch and returns its jobs; [] after `stop`, when none is left."""
    with self._changed:
      while True:
        oldest = next(iter(self._waiting()), None)
        same = [job for job in self._jobs if job.offer == oldest.offer] if oldest else []
        left = oldest and oldest.arrived + self._max_wait - time.monotonic()
        if self._stopping or len(same) >= self._max_batch or (same and left <= 0):
          break
        self._changed.wait(left)  # None: until a job arrives.
      batch = self._fitting(sorted(same, key=lambda job: abs(job.length - oldest.length))) if same else []
      taken = {id(job) for job in batch}
      self._jobs = [job for job in self._jobs if id(job) not in taken]
      return batch

  def _fitting(self, jobs):
    """Returns as many of the first jobs as fit into a batch, at least one."""
    longest = 0
    for index, job in enumerate(jobs[:self._max_batch]):
      longest = max(longest, job.length)
      if index and (index + 1) * longest > self._max_characters:
        return jobs[:index]
    return jobs[:self._max_batch]

  def _waiting(self):
    """Drops the jobs whose future was cancelled, and returns the others, oldest first."""
    self._jobs = [job for job in self._jobs if not job.future.cancelled()]
    return self._jobs


def _length(asked):
  return len(asked) if isinstance(asked, str) else sum(map(len, asked))
