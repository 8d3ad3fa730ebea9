"""The state of a training: what is in it, which are kept, and the mean of several.

  checkpoints/ckpt-000400.index, .data-*     model, Adam, position in the text

A checkpoint counts once its index is there, which TensorFlow writes last, and is read only if it is whole: a
machine that stops may leave a file that has its name and not yet all its bytes.
"""
import os
import re

import numpy as np
import tensorflow as tf
from absl import logging

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
    """Restores the newest whole one; returns (its step, the position to read on from), or step 0."""
    for step in reversed(self.steps()):
      if is_whole(self.path(step)):
        self._all.read(self.path(step)).assert_existing_objects_matched()
        return step, pipeline.Position(int(self._epoch), int(self._batch))
      logging.warning("%s is not whole and passed over.", self.path(step))
    return 0, pipeline.Position(0, 0)

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
      tf.train.Checkpoint(model=self._model).read(self.path(step)).expect_partial()
      for v in self._model.variables:
        total[v.path] += v.numpy()
    for v in self._model.variables:
      v.assign(held[v.path])
    return {path: (value / len(steps)).astype(np.float32) for path, value in total.items()}


def is_whole(path):
  """Whether every value of the checkpoint can be read. Each has a checksum."""
  try:
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
      reader.get_tensor(name)
  except (tf.errors.OpError, IndexError):  # What the reader says of short files and wrong checksums.
    return False
  return True
