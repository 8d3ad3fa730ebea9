"""TensorBoard's profile of a few updates: where the time of a step goes (TensorBoard's "Profile", with its plugin)."""
import os

import tensorflow as tf


class Profiler:
  """Watches the updates from the first to before the last of `steps`, once; () watches none. A context manager."""

  def __init__(self, workdir, steps):
    self._steps, self._folder, self._watching = steps, os.path.join(workdir, "events"), False

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._stop()

  def before(self, step):
    """To be called before update `step` (from 0)."""
    if self._steps and step == self._steps[0]:
      tf.profiler.experimental.start(self._folder)
      self._watching = True
    if self._steps and step >= self._steps[1]:
      self._stop()

  def _stop(self):
    if self._watching:
      tf.profiler.experimental.stop()
      self._watching = False
