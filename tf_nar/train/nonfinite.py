"""Updates whose loss or gradient is NaN or infinite: writes the batch of the first, then stops the run or goes on.

  nonfinite.jsonl     the sentence pairs of the latest such update, a line each: step, weight, ids, text
"""
import json
import os
from typing import Sequence

import numpy as np
from absl import logging

from tf_nar import types
from tf_nar.data import atomic

FILE = "nonfinite.jsonl"  # A file of the run folder.
IN_A_ROW = 50  # Skipped updates without any other between them after which the run stops all the same.
VALUES = {"loss": "loss", "gradient_norm": "norm of the gradient"}


class Watch:
  """Checks the updates of a window, as `train.nonfinite` demands."""

  def __init__(self, mode, saved, workdir, vocab=None, writes=True):
    """Args: mode: `train.nonfinite`; saved: `Checkpoints`; vocab: decodes ids, None: no text; writes: see `Monitor`."""
    self._skips, self._saved, self._vocab, self._writes = mode == "skip", saved, vocab, writes
    self._path, self._in_a_row = os.path.join(workdir, FILE), 0

  def check(self, start: int, results: Sequence[dict], batches: Sequence[list]) -> np.ndarray:
    """Returns which updates were finite, bool [n].

    Args:
      start: the number of updates made before.
      results: the results of n calls of `step.Update`.
      batches: the list of micro-batches of each.

    Raises:
      FloatingPointError: if one was not, unless it was skipped; the message names the first.
    """
    values = np.array([[float(each[name]) for name in VALUES] for each in results]).reshape(-1, len(VALUES))
    finite = np.isfinite(values)
    good = finite.all(1)
    last = np.flatnonzero(good)
    self._in_a_row = len(good) - 1 - last[-1] if len(last) else self._in_a_row + len(good)
    if not good.all():
      bad = int(np.argmin(good))
      which = int(np.argmin(finite[bad]))
      what = f"The {list(VALUES.values())[which]} is {values[bad, which]} at step {start + 1 + bad}"
      if self._writes:
        self._write(start + 1 + bad, batches[bad])
      self._report(f"{what}; its sentence pairs are in {self._path}", int(np.sum(~good)))
    return good

  def _report(self, what, count):
    if self._skips and self._in_a_row < IN_A_ROW:
      logging.warning("%s. Skipped (train.nonfinite), as %d of the updates since the last log line.", what, count)
      return
    steps = self._saved.steps()
    last = f"the last good checkpoint is {self._saved.path(steps[-1])}" if steps else "no checkpoint was saved yet"
    more = f", as {self._in_a_row} updates in a row were skipped" if self._skips else ""
    raise FloatingPointError(
      f"{what}; {last}{more}. Lower train.optimizer.learning_rate or lengthen train.optimizer.warmup" +
      (", " if self._skips else ", or leave such updates out by train.nonfinite=skip, ") + "then run the same command.")

  def _write(self, step, batches):
    rows = [{"step": step} | row for batch in batches for row in self._rows(batch)]
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    atomic.write(self._path, "".join(lines).encode())

  def _rows(self, batch):
    """Yields what is known of each pair of a batch; rows of padding, of weight 0, are left out."""
    for src, tgt, weight in zip(*(np.asarray(field) for field in batch[:3]), strict=True):
      if weight:
        ids = {"src": _ids(src), "tgt": _ids(tgt)}
        yield {"weight": float(weight)} | self._texts(**ids) | ids

  def _texts(self, src, tgt):
    return {"source": self._vocab.source.decode(src), "target": self._vocab.decode(tgt)} if self._vocab else {}


def _ids(row):
  return [int(token) for token in row if token != types.PAD]
