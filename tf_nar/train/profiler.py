"""Profiles a few updates for TensorBoard (its "Profile" page, with its plugin)."""
import os

import tensorflow as tf


class Profiler:
  """Profiles the updates from `steps[0]` to before `steps[1]`, once; none if `steps` is (). A context manager."""

  def __init__(self, workdir, steps):
    self._steps, self._folder, self._watching = steps, os.path.join(workdir, "events"), False

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._stop()

  def before(self, step: int) -> None:
    """Must be called before update `step` (from 0)."""
    if self._steps and step == self._steps[0]:
      tf.profiler.experimental.start(self._folder)
      self._watching = True
    if self._steps and step >= self._steps[1]:
      self._stop()

  def _stop(self):
    if self._watching:
      tf.profiler.experimental.stop()
      self._watching = False
