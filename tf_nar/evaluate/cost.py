"""Measures the time and the decoder passes of a search."""
import time

import tensorflow as tf

from tf_nar import types


class Meter:
  """Wraps a search, int32 [B, S] -> `types.Translation`, and adds up the cost of its calls.

  Attributes:
    calls: number of batches translated.
    passes: decoder passes, summed over the batches.
    seconds: wall clock time, including the copy of the results to the host, so that the device has finished.
  """

  def __init__(self, search, clock=time.perf_counter):
    self._search, self._clock = search, clock
    self.calls, self.passes, self.seconds = 0, 0, 0.0

  def warm_up(self):
    """Translates a padding row without counting it, as the first call also builds the graph."""
    self._search(tf.fill([1, 8], types.PAD))

  def __call__(self, src):
    start = self._clock()
    found = tf.nest.map_structure(lambda tensor: tf.convert_to_tensor(tensor).numpy(), self._search(src))
    self.seconds += self._clock() - start
    self.calls += 1
    self.passes += int(found.passes)
    return found


def in_turns(searches, groups, clock=time.perf_counter):
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
