"""Divides an alternation among jobs that share its folder and nothing else, such as the job array of a cluster.

  job 0         trains, derives texts, measures and reports; it alone marks a stage as done
  every job     candidates and scores: its own shards, then those of other jobs that are still missing
  other jobs    wait for the stages of job 0

A file appears when it is complete, and is the same whichever job writes it. So k jobs have the result of one. What a
killed job leaves undone is done by itself, if it is started again, or else by the others; but job 0 must be started
again.

The workers of a TF_CONFIG are jobs, too, but train together. A strategy of several machines must be the first thing
that a process makes, so that training and all other stages need processes of two kinds, which take turns in each job;
`Turn` ends one of them. So there is no network between the workers but while they train.
"""
import dataclasses
import functools
import os
import time
from typing import Any, Callable, Sequence

import tensorflow as tf

from tf_nar.em import alternate

SHARED = "candidates", "scores"  # Stages that all jobs work on.
TRAINED = "teacher", "student"  # Stages that the workers of a TF_CONFIG work on together.


class Turn(Exception):
  """The next stage is for a process of the other kind, see `Jobs.together`."""


class _Made(Exception):
  """Another job has written the file meanwhile."""


@dataclasses.dataclass(frozen=True)
class Jobs:
  """One of several jobs.

  Raises:
    ValueError: if there is no such job.
  """

  job: int = 0
  jobs: int = 1
  tell: Callable[[str], None] = print  # Called with lines of progress to print.
  pause: float = 2.0  # Seconds between two looks at the folder.
  together: bool | None = None  # Whether this process trains with all other workers of a TF_CONFIG; None without one.

  def __post_init__(self):
    if not 0 <= self.job < self.jobs:
      raise ValueError(f"With --jobs={self.jobs} give a --job from 0 to {self.jobs - 1}; got {self.job}.")

  @property
  def owner(self) -> bool:
    """Whether this is job 0."""
    return self.job == 0

  def once(self, folder: str, work: Callable, *inputs: Any) -> bool:
    """Does its part of a stage, see `alternate.once`, and waits for its end; returns whether it marked it as done.

    Raises:
      Turn: if the stage is to be done, and this process is not of its kind.
    """
    stage, done = os.path.basename(folder), alternate.seconds(folder) is not None
    if not done and self.together not in (None, stage in TRAINED):
      raise Turn
    if self.owner:
      return alternate.once(folder, work, *inputs)
    if not done and stage in (TRAINED if self.together else SHARED):
      work(*inputs, folder)
    self.wait(os.path.join(folder, alternate.DONE))
    return False

  def wait(self, path: str) -> None:
    """Waits for a file of job 0, and tells so."""
    if not tf.io.gfile.exists(path):
      name = "job" if self.together is None else "worker"
      self.tell(f"{name} {self.job} of {self.jobs} waits for {path}, which {name} 0 will write.")
    while not tf.io.gfile.exists(path):
      time.sleep(self.pause)

  def each(self, paths: Sequence[str], make: Callable[[str, Callable[[int], None]], None],
           advance: Callable[[int], None]) -> None:
    """Calls `make` until all files exist, beginning with those of this job.

    Args:
      paths: the files that all jobs make together; file n is that of job n modulo their number.
      make: writes a file, when called with its path and with a function to call with the number of new results, which
        ends it if another job has written the file meanwhile.
      advance: called with that number.
    """
    for path in self._in_turn(paths):
      if not tf.io.gfile.exists(path):
        try:
          make(path, advance if self.jobs == 1 else functools.partial(_advance, path, advance))
        except _Made:
          pass

  def _in_turn(self, paths):
    """Returns the files of this job, then the others, those first that their jobs reach last; each job another."""
    own, start = paths[self.job::self.jobs], self.job * len(paths) // self.jobs
    return own + [path for path in reversed(paths[start:] + paths[:start]) if path not in own]


def _advance(path, advance, count):
  if tf.io.gfile.exists(path):
    raise _Made
  advance(count)
