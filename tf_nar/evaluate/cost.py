"""Measures the time and the decoder passes of a search."""
import time
from typing import Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.evaluate import replicas


class Meter:
  """Wraps a search, int32 [B, S] -> `types.Translation`, and adds up the cost of its calls.

  Attributes:
    devices: those of the search, see `replicas.py`.
    calls: number of batches translated.
    passes, steps: those of `types.Translation`, summed over the batches.
    seconds: wall clock time, including the copy of the results to the host, so that the device has finished.
  """

  def __init__(self, search, clock=time.perf_counter):
    self._search, self._clock = search, clock
    self.devices = replicas.devices(search)
    self.calls, self.passes, self.steps, self.seconds = 0, 0, 0, 0.0

  def warm_up(self) -> None:
    """Translates a padding row without counting it, as the first call also builds the graph."""
    self._search(tf.fill([1, 8], types.PAD))

  def __call__(self, src):
    return self._timed(lambda: [self._search(src)])[0]

  def together(self, batches: Sequence[tuple]) -> list[types.Translation]:
    """Translates batches at the same time, see `replicas.together`."""
    return self._timed(lambda: replicas.together(self._search, batches))

  def _timed(self, work):
    start = self._clock()
    found = tf.nest.map_structure(lambda tensor: tf.convert_to_tensor(tensor).numpy(), work())
    self.seconds += self._clock() - start
    self.calls += len(found)
    self.passes += sum(int(each.passes) for each in found)
    self.steps += sum(int(each.steps) for each in found)
    return found


def in_turns(searches: dict[str, Callable[..., types.Translation]], groups: Sequence[np.ndarray],
             clock: Callable[[], float] = time.perf_counter) -> dict[str, list[float]]:
  """Returns {name: seconds of each group, float [G]} of several searches, which translate each group in turn.

  Temporary load on the machine so affects all of them.

  Args:
    searches: name -> search, int32 [B, S] -> `types.Translation`.
    groups: list of int32 [B, S].
  """
  meters = {name: Meter(search, clock) for name, search in searches.items()}
  for meter in meters.values():
    meter(groups[0])  # Builds the graph; its time is not counted.
  took = {name: [] for name in meters}
  for group in groups:
    for name, meter in meters.items():
      before = meter.seconds
      meter(group)
      took[name].append(meter.seconds - before)
  return took
