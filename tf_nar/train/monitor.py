"""Writes the log of a training: log.jsonl (one object per line), TensorBoard, and a progress bar on a terminal."""
import dataclasses
import json
import os
from typing import Any

import tensorflow as tf
import tqdm
from absl import logging

from tf_nar import display
from tf_nar.data import atomic
from tf_nar.train import events

LOG = "log.jsonl"
SPEED = "tokens_per_second", "padding", "input_share"  # Scalars that are about the machine and not the model.
WAITING = 0.2  # Share of a window's time spent waiting for batches above which a warning is logged.

# Drops TensorFlow's log line, for every checkpoint, on the duration of one of its callbacks.
logging.get_absl_logger().addFilter(lambda record: record.module != "functional_saver")


def read(workdir: str) -> list[dict]:
  """Returns the rows of the log, oldest first."""
  path = os.path.join(workdir, LOG)
  if not tf.io.gfile.exists(path):
    return []
  with tf.io.gfile.GFile(path) as file:
    return [json.loads(line) for line in file if line.endswith("\n")]  # The last may be incomplete.


def tag(name: str) -> str:
  """Returns the name of a scalar in TensorBoard, which groups by what precedes the slash: train, valid or speed."""
  if name.startswith("valid_"):
    return name.replace("_", "/", 1)
  return f"{'speed' if name in SPEED else 'train'}/{name}"


class Monitor:
  """Writes rows of scalars. Rows that an interrupted run wrote after `step` are removed."""

  def __init__(self, workdir, step, steps, writes=True):
    """Args: step: updates made; steps: updates of all; writes: False on all machines but the first (keeps `rows`)."""
    self.rows = [row for row in read(workdir) if row["step"] <= step]
    self._path, self._writes, self._windows, self._warned = os.path.join(workdir, LOG), writes, 0, False
    folder = os.path.join(workdir, "events")
    if writes:
      atomic.write(self._path, "".join(json.dumps(row) + "\n" for row in self.rows).encode())
      events.forget_after(folder, step)
    self._events = tf.summary.create_file_writer(folder) if writes else tf.summary.create_noop_writer()
    name = os.path.basename(os.path.normpath(workdir))
    self._bar = display.bar(name, steps, unit="updates", initial=step, rate=False, disable=None if writes else True)

  def __enter__(self):
    return self

  def __exit__(self, *_):
    self._bar.close()
    self._events.close()

  def write(self, step: int, texts: dict[str, str] | None = None, **scalars: float) -> None:
    """Writes scalars by name, and `texts` to TensorBoard only."""
    row = {"step": step} | {name: float(f"{value:.6g}") for name, value in scalars.items()}
    self.rows.append(row)
    self._watch_input(step, scalars)
    if not self._writes:
      return
    with tf.io.gfile.GFile(self._path, "a") as file:
      file.write(json.dumps(row) + "\n")
    with self._events.as_default(step):
      for name, value in scalars.items():
        tf.summary.scalar(tag(name), value)
      for name, text in (texts or {}).items():
        tf.summary.text(f"valid/{name}", text)
    self._events.flush()
    if self._bar.disable or texts:
      with tqdm.tqdm.external_write_mode():
        logging.info(
          "step %d  %s", step, "  ".join(f"{name} {display.number(value)}" for name, value in scalars.items()))
    else:
      speed = f"{display.count(scalars['tokens_per_second'])} tokens/s" if "tokens_per_second" in scalars else ""
      loss = f"loss {display.number(scalars['loss'])}" if "loss" in scalars else ""
      self._bar.set_postfix_str(", ".join(filter(None, (loss, speed))))

  def _watch_input(self, step, scalars):
    """Warns once if batches come too slowly; not in the first window, which fills the shuffle buffer."""
    share = scalars.get("input_share")
    if share is None:
      return
    self._windows += 1
    if share > WAITING and self._windows > 1 and not self._warned:
      self._warned = True
      with tqdm.tqdm.external_write_mode():
        logging.warning(
          "step %d: %.0f %% of the time was spent waiting for batches. On a CPU that time is lost; on an accelerator, "
          "which works behind the host, only as it nears 100 %%. Put the data folder on a faster or a local disk, "
          "prepare it with more --shards (16 are read at a time), or use more cores.", step, 100 * share)

  def advance(self) -> None:
    self._bar.update()

  def settings(self, experiment: Any) -> None:
    """Writes the experiment to TensorBoard's hparams table."""
    from tensorboard.plugins.hparams import api as hparams  # Imported here, as it is slow to import.

    with self._events.as_default():
      hparams.hparams(dict(_flat(dataclasses.asdict(experiment), "")))


def _flat(tree, prefix):
  for name, value in tree.items():
    if isinstance(value, dict):
      yield from _flat(value, f"{prefix}{name}.")
    elif not isinstance(value, tuple):  # TensorBoard's table has no lists.
      yield prefix + name, value
