"""The state of a training: what is in it, which are kept, and the mean of several.

  checkpoints/ckpt-000400.index, .data-*     model, Adam, position in the text

A checkpoint counts once its index is there, which TensorFlow writes last.
"""
import os
import re

import numpy as np
import tensorflow as tf

from tf_nar.data import pipeline

FOLDER = "checkpoints"


class Checkpoints:
  """Saves, restores, thins out and averages the checkpoints of one run folder."""

  def __init__(self, model, adam, workdir):
    self._model = model
    self._epoch, self._batch = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
    self._all = tf.train.Checkpoint(model=model, adam=adam, epoch=self._epoch, batch=self._batch)
    self._folder = os.path.join(workdir, FOLDER)

  def steps(self):
    """Returns the updates after which there is a checkpoint, oldest first."""
    names = tf.io.gfile.listdir(self._folder) if tf.io.gfile.isdir(self._folder) else []
    found = (re.fullmatch(r"ckpt-(\d+)\.index", name) for name in names)
    return sorted(int(match[1]) for match in found if match)

  def path(self, step):
    return os.path.join(self._folder, f"ckpt-{step:06d}")

  def restore(self):
    """Restores the newest; returns (its step, the position to read on from), step 0 if there is none."""
    steps = self.steps()
    if not steps:
      return 0, pipeline.Position(0, 0)
    self._all.restore(self.path(steps[-1])).assert_existing_objects_matched()
    return steps[-1], pipeline.Position(int(self._epoch), int(self._batch))

  def save(self, step, position, kept):
    """Saves, then removes all but the newest and those that `kept` (a set of steps) names."""
    self._epoch.assign(position.epoch)
    self._batch.assign(position.batch)
    tf.io.gfile.makedirs(self._folder)
    self._all.write(self.path(step))
    for old in set(self.steps()) - {step} - set(kept):
      for name in tf.io.gfile.glob(self.path(old) + ".*"):
        tf.io.gfile.remove(name)

  def mean(self, steps):
    """Returns {path of a weight: its mean over the checkpoints after `steps`}; the model keeps its own weights."""
    held = {v.path: v.numpy() for v in self._model.variables}
    total = {path: np.zeros(value.shape, np.float64) for path, value in held.items()}
    for step in steps:
      tf.train.Checkpoint(model=self._model).restore(self.path(step)).expect_partial()
      for v in self._model.variables:
        total[v.path] += v.numpy()
    for v in self._model.variables:
      v.assign(held[v.path])
    return {path: (value / len(steps)).astype(np.float32) for path, value in total.items()}
