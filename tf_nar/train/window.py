"""The updates between two rows of the log: means of their losses, and rates."""
import math
import time
from typing import Any, Iterator

import numpy as np
import tensorflow as tf


class Window:
  """Collects losses and rates between two rows of the log. Only `close` waits for the device."""

  def __init__(self, step):
    self._restart(step)

  def _restart(self, step):
    self._start, self._began, self._waited = step, time.perf_counter(), 0.0
    self._results, self._tokens, self._batches = [], [], []

  def wait_for(self, stream: Iterator) -> Any:
    """Draws a batch and adds the time that it took."""
    began = time.perf_counter()
    drawn = next(stream)
    self._waited += time.perf_counter() - began
    return drawn

  def add(self, result: dict, batches: list) -> None:
    """Adds an update: its results, and its micro-batches."""
    self._results.append(result)
    self._batches.append(batches)
    self._tokens.extend(tf.math.count_nonzero(batch.tgt) for batch in batches)

  def close(self, watch: Any) -> dict[str, float]:
    """Returns the means and rates of the window and starts the next. Means are of the updates that were not skipped.

    Raises:
      FloatingPointError: as `watch.check`, of a `nonfinite.Watch`, does.
    """
    good = watch.check(self._start, self._results, self._batches)
    results = [each for each, is_good in zip(self._results, good, strict=True) if is_good]
    row = {name: float(np.mean([float(each[name]) for each in results])) for name in results[0]} if results else {}
    skipped = {} if good.all() else {"skipped": int(np.sum(~good))}
    took, tokens = time.perf_counter() - self._began, int(sum(self._tokens))
    waited = self._waited
    positions = sum(math.prod(batch.tgt.shape) for batches in self._batches for batch in batches)
    self._restart(self._start + len(good))
    return row | skipped | {
      "tokens_per_second": tokens / took, "padding": 1 - tokens / positions, "input_share": waited / took}
