"""Shows the progress of a long job: a bar on a terminal, or a log line from time to time."""
import sys
import time

from absl import logging

from tf_nar import display
from tf_nar.data import text


class Progress:
  """Counts finished units; a context manager, so that the bar is closed at the end.

  Args:
    what: the name of the job, such as "translate".
    total: the number of units; None if it is unknown.
    unit: the name of the units, in the plural.
    every: seconds between two log lines if there is no terminal.
    stream: the stream of the bar; None: standard error.
    quiet: whether to show nothing, as if the results themselves are printed on the terminal.
    clock: function that returns monotonic seconds.
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
    self._bar = display.bar(what, total, unit=unit, file=stream) if shown else None

  def advance(self, count: int) -> None:
    """Counts `count` more finished units."""
    self._done += count
    if self._bar is not None:
      self._bar.update(count)
    elif not self._quiet and self._clock() - self._said >= self._every:
      self._say()

  def _say(self):
    self._said = self._clock()
    of = f" of {self._total}" if self._total else ""
    rate = self._done / max(self._said - self._start, 1e-9)
    logging.info("%s: %d%s %s, %.1f per second.", self._what, self._done, of, self._unit, rate)

  def __enter__(self):
    return self

  def __exit__(self, *unused):
    if self._bar is not None:
      self._bar.close()
    elif self._done and not self._quiet:
      self._say()
