"""The alternation of Sun & Yang (ICML 2020, arXiv:2006.16378), as stages that each write a folder.

  S_1 = the original text
  in round t = 1, 2, ...
    teacher      an AR model trained on S_t               E-step: a model of the posterior
    candidates   its n-best list for every source
    distilled    the best candidate of each list          samples from the posterior
    student      a NAR model trained on distilled         M-step
    scores       the student's, of all candidates
    selected     the candidate of the best score: S_t+1

Round 1 is plain distillation. The folder of a stage gets a file DONE when it is complete, so that the same command
resumes an interrupted alternation at any stage.
"""
import json
import operator
import os
import time
from typing import Any, Callable

import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.data import json_file
from tf_nar.ops import graphs

DONE = "DONE"
ROUND = ("teacher", "candidates", "distilled", "student", "scores", "selected", "measures")


def run(stages: Any, data_dir: str, workdir: str, *, rounds: int, raw_student: bool = True,
        after: Callable[[int], None] = lambda number: None, enough: Callable[[int], bool] = lambda number: False,
        do_once: Callable | None = None) -> int:
  """Runs all rounds, skipping the stages that are done.

  Args:
    stages: an object with the work of each stage, such as `stages.Stages`: methods `teach`, `propose`, `distil`,
      `study`, `score`, `choose` and `measure`. Each fills the folder that is its last argument, and is called again
      with the same folder if it was interrupted.
    data_dir: the data folder of the original text.
    workdir: the folder of the folders of all stages, such as round_1/teacher. Round 0 is a student that is trained on
      the original text.
    rounds: number of rounds.
    raw_student: whether there is a round 0.
    after: called with the number of the round whenever a stage is newly done.
    enough: maps the number of a round just done to whether to stop.
    do_once: replaces `once`; that of `jobs.Jobs` does the part of one job.

  Returns:
    The number of the last round.

  Raises:
    ValueError: if `rounds` is below 1.
  """
  if rounds < 1:
    raise ValueError(f"rounds must be at least 1, which is plain distillation; got {rounds}.")
  def do(number, stage, work, *inputs):
    with graphs.freed():
      is_new = (do_once or once)(at(workdir, number)[stage], work, *inputs)
    if is_new:
      after(number)

  if raw_student:
    start = at(workdir, 0)
    do(0, "student", stages.study, data_dir, None, None)
    do(0, "measures", stages.measure, {"student": start["student"]})
  data, before = data_dir, {}
  for number in range(1, rounds + 1):
    here = at(workdir, number)
    do(number, "teacher", stages.teach, data, before.get("teacher"))
    do(number, "candidates", stages.propose, here["teacher"])
    do(number, "distilled", stages.distil, here["candidates"])
    do(number, "student", stages.study, here["distilled"], here["teacher"], before.get("student"))
    do(number, "scores", stages.score, here["student"], at(workdir, 1)["teacher"], here["candidates"])
    do(number, "selected", stages.choose, here["candidates"], here["scores"])
    do(number, "measures", stages.measure, {name: here[name] for name in ROUND[:-1]})
    data, before = here["selected"], here
    if enough(number):
      return number
  return rounds


def at(workdir: str, number: int) -> dict[str, str]:
  """Returns dict, stage -> its folder, of one round."""
  return {stage: os.path.join(workdir, f"round_{number}", stage) for stage in ROUND}


def once(folder: str, work: Callable, *inputs: Any) -> bool:
  """Calls `work(*inputs, folder)` to fill a folder unless it is done; returns whether it was called.

  DONE holds the seconds of the call that completed the folder.
  """
  if seconds(folder) is not None:
    return False
  tf.io.gfile.makedirs(os.path.dirname(folder))
  began = time.monotonic()
  work(*inputs, folder)
  done = json.dumps({"seconds": round(time.monotonic() - began, 3)})
  atomic.write(os.path.join(folder, DONE), done.encode())
  return True


def seconds(folder: str) -> float | None:
  """Returns the seconds that a stage took, or None if it is not done."""
  path = os.path.join(folder, DONE)
  if not tf.io.gfile.exists(path):
    return None
  return json_file.read(path, operator.itemgetter("seconds"))
