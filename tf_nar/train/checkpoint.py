"""Checkpoints of a training: saving, restoring, removing old ones, and averaging.

  checkpoints/ckpt-000400.index, .data-*     weights, Adam, moving averages if any, position in the text

A checkpoint exists once it has its index, which TensorFlow writes last, and is restored only if all its data can be
read, as a machine that stops may leave a file without all its bytes.
"""
import contextlib
import os
import re
from typing import Collection, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar.data import paths
from tf_nar.data import pipeline

FOLDER = "checkpoints"


class Checkpoints:
  """Saves, restores, removes and averages the checkpoints of one run folder."""

  def __init__(self, model, adam, workdir, *, ema=None, writes=True):
    """Args: ema: an `Ema`, whose averages are then shipped, or None; writes: False on machines that only read."""
    self._model, self._ema, self._writes = model, ema, writes
    self._epoch, self._batch = (tf.Variable(0, dtype=tf.int64) for _ in range(2))
    # Every variable by its path, as TensorFlow does not find layers in a list of a Keras model.
    self._parts = {"weights": {v.path: v for v in model.variables}} | ({"ema": ema} if ema else {})
    self._all = tf.train.Checkpoint(adam=adam, epoch=self._epoch, batch=self._batch, **self._parts)
    self._folder = os.path.join(workdir, FOLDER)
    self._literal = paths.literal(self._folder)  # As TensorFlow treats the path of a checkpoint as a pattern.

  def steps(self) -> list[int]:
    """Returns the steps (numbers of updates) of the checkpoints, oldest first."""
    names = tf.io.gfile.listdir(self._folder) if tf.io.gfile.isdir(self._folder) else []
    found = (re.fullmatch(r"ckpt-(\d+)\.index", name) for name in names)
    return sorted(int(match[1]) for match in found if match)

  def path(self, step: int) -> str:
    """Returns the path of a checkpoint, for messages."""
    return os.path.join(self._folder, _name(step))

  def _read_path(self, step):
    return os.path.join(self._literal, _name(step))

  def restore(self) -> tuple[int, pipeline.Position]:
    """Restores the newest complete checkpoint; returns (its step, the position of the next batch), or step 0.

    Raises:
      ValueError: if the checkpoint lacks state of this run.
    """
    for step in reversed(self.steps()):
      if is_whole(self._read_path(step)):
        try:
          self._all.read(self._read_path(step)).assert_existing_objects_matched()
        except AssertionError as error:
          raise ValueError(
            f"{self.path(step)} does not hold all of this run's state; give the settings that it was made with "
            "(train.ema among them), or choose another --workdir.") from error
        return step, pipeline.Position(int(self._epoch), int(self._batch))
      logging.warning("%s is incomplete and ignored.", self.path(step))
    return 0, pipeline.Position(0, 0)

  def save(self, step: int, position: pipeline.Position, kept: Collection[int]) -> None:
    """Saves a checkpoint, then removes all older ones except those of the steps in `kept` (a set).

    Raises:
      OSError: if it cannot be written, as on a full disk; older checkpoints are kept then.
    """
    if not self._writes:
      return
    self._epoch.assign(position.epoch)
    self._batch.assign(position.batch)
    tf.io.gfile.makedirs(self._folder)
    before = self.steps()
    try:
      self._all.write(self._read_path(step))
    except tf.errors.OpError as error:
      self._remove(step)
      last = f"the last good one is {self.path(before[-1])}" if before else "there is no earlier one"
      raise OSError(
        f"The checkpoint of step {step} could not be written ({error.message.splitlines()[0]}); {last}. Make room "
        "and run the same command.") from error
    for old in set(before) - {step} - set(kept):
      self._remove(old)

  def _remove(self, step):
    for name in tf.io.gfile.listdir(self._folder):
      path = os.path.join(self._folder, name)
      if name.startswith(f"{_name(step)}."):
        tf.io.gfile.remove(path)
      elif name.startswith(f"{_name(step)}_temp"):  # The folder that TensorFlow writes to before it renames.
        tf.io.gfile.rmtree(path)

  def mean(self, steps: Sequence[int]) -> dict[str, np.ndarray]:
    """Returns {path of a variable: its mean over the checkpoints of `steps`}; the model keeps its current weights.

    With an `Ema` it is the mean of its moving averages. State without a gradient is taken from the last of the steps,
    as a mean of counts or of codes' assignments would be meaningless.

    Raises:
      ValueError: if `steps` is empty.
    """
    if not steps:
      raise ValueError("There is no checkpoint to average; train until one is saved.")
    learned = {v.path for v in self._model.trainable_variables}
    held = {v.path: v.numpy() for v in self._model.variables}
    total = {path: np.zeros(held[path].shape, np.float64) for path in learned}
    last = {}
    # Version 0.1 has the learned weights there.
    before = tf.train.Checkpoint(_variables=list(self._model.trainable_variables))
    for step in sorted(steps):
      found = tf.train.Checkpoint(adam=before, **self._parts).read(self._read_path(step))
      found.assert_existing_objects_matched().expect_partial()
      with self._ema.swapped_in() if self._ema else contextlib.nullcontext():
        last = {v.path: v.numpy() for v in self._model.variables}
        for path in learned:
          total[path] += last[path]
    for v in self._model.variables:
      v.assign(held[v.path])
    return last | {path: (value / len(steps)).astype(np.float32) for path, value in total.items()}


def begun(workdir: str) -> bool:
  """Whether a run folder has a checkpoint."""
  folder = os.path.join(workdir, FOLDER)
  return tf.io.gfile.isdir(folder) and any(name.endswith(".index") for name in tf.io.gfile.listdir(folder))


def _name(step):
  return f"ckpt-{step:06d}"


def is_whole(path: str) -> bool:
  """Whether every value of the checkpoint can be read; each has a checksum."""
  try:
    reader = tf.train.load_checkpoint(path)
    for name in reader.get_variable_to_shape_map():
      reader.get_tensor(name)
  except (tf.errors.OpError, IndexError):  # The reader raises these for short files and wrong checksums.
    return False
  return True
