"""Tells a person how far a long job got: a bar on a terminal, a line now and then in a log."""
import sys
import time

import tqdm
from absl import logging

from tf_nar.data import text


class Progress:
  """Counts what is done; a context manager, so that the bar closes with the job.

  Args:
    what: the job, as "translate".
    total: how many there will be; None where nobody knows yet.
    unit: what is counted, in the plural.
    every: seconds between two log lines where there is no terminal.
    stream: where the bar goes; standard error unless told.
    quiet: no bar, as where the results themselves go to the terminal.
    clock: seconds, monotonic.
  """

  def __init__(self, what, *, total=None, unit="sentences", every=30.0, stream=None, quiet=False,
               clock=time.monotonic):
    stream = stream or sys.stderr
    self._what, self._total, self._unit = what, total, unit
    self._every, self._clock = every, clock
    self._done, self._start = 0, clock()
    self._said = self._start
    self._quiet = quiet
    shown = text.is_terminal(stream) and not quiet
    self._bar = tqdm.tqdm(total=total, desc=what, unit=f" {unit}", file=stream) if shown else None

  def advance(self, count):
    """Notes that `count` more are done."""
    self._done += count
    if self._bar is not None:
      self._bar.update(count)
    elif not self._quiet and self._clock() - self._said >= self._every:
      self._say()

  def _say(self):
    self._said = self._clock()
    of = f" of {self._total}" if self._total else ""
    rate = self._done / max(self._said - self._start, 1e-9)
    logging.info("%s: %d%s %s, %.1f a second.", self._what, self._done, of, self._unit, rate)

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    if self._bar is not None:
      self._bar.close()
    elif self._done and not self._quiet:
      self._say()
