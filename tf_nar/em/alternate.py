"""The alternation of Sun & Yang (ICML 2020, arXiv:2006.16378) as stages over folders.

  S_1 = the true text
  in round t = 1, 2, ...
    teacher      fits S_t                                 E-step: an AR model of the posterior
    candidates   its n-best list of every source
    distilled    the best of each list                    what it draws from the posterior
    student      fits that                                M-step
    scores       the student's, of all candidates
    selected     the candidate it likes best: S_t+1

Round 1 is plain distillation. Each stage is a folder that says DONE when it is whole, so the same command
goes on where it was stopped, by whatever.
"""
import json
import os
import time

import tensorflow as tf

from tf_nar.data import atomic

DONE = "DONE"
ROUND = ("teacher", "candidates", "distilled", "student", "scores", "selected", "measures")


def run(stages, data_dir, workdir, *, rounds, raw_student=True, after=lambda: None,
        enough=lambda number: False):
  """Runs all rounds; what is done already is not done again.

  Args:
    stages: an object with the work of each stage, as `stages.Stages`: methods `teach`, `propose`, `distil`,
      `study`, `score`, `choose` and `measure`, each of which fills the folder given last, and is called
      again on the same folder if it was stopped.
    data_dir: the data folder of the true text.
    workdir: where the folders of all stages are, as round_1/teacher. Round 0 is a student of the true text.
    rounds: how many.
    raw_student: whether there is a round 0.
    after: called when a stage is newly done.
    enough: maps the number of a round just done to whether to stop.

  Returns:
    The number of the last round.

  Raises:
    ValueError: for rounds below 1.
  """
  if rounds < 1:
    raise ValueError(f"The alternation needs rounds >= 1, got {rounds}; 1 is plain distillation.")
  def do(folder, work, *inputs):
    if once(folder, work, *inputs):
      after()
  if raw_student:
    start = at(workdir, 0)
    do(start["student"], stages.study, data_dir, None, None)
    do(start["measures"], stages.measure, {"student": start["student"]})
  data, before = data_dir, {}
  for number in range(1, rounds + 1):
    here = at(workdir, number)
    do(here["teacher"], stages.teach, data, before.get("teacher"))
    do(here["candidates"], stages.propose, here["teacher"])
    do(here["distilled"], stages.distil, here["candidates"])
    do(here["student"], stages.study, here["distilled"], here["teacher"], before.get("student"))
    do(here["scores"], stages.score, here["student"], at(workdir, 1)["teacher"], here["candidates"])
    do(here["selected"], stages.choose, here["candidates"], here["scores"])
    do(here["measures"], stages.measure, {name: here[name] for name in ROUND[:-1]})
    data, before = here["selected"], here
    if enough(number):
      return number
  return rounds


def at(workdir, number):
  """Returns dict, stage -> its folder in a round."""
  return {stage: os.path.join(workdir, f"round_{number}", stage) for stage in ROUND}


def once(folder, work, *inputs):
  """Lets `work(*inputs, folder)` fill a folder unless it is done; returns whether there was work.

  DONE holds the seconds that it took: those of the start that finished it.
  """
  if seconds(folder) is not None:
    return False
  tf.io.gfile.makedirs(os.path.dirname(folder))
  began = time.monotonic()
  work(*inputs, folder)
  done = json.dumps({"seconds": round(time.monotonic() - began, 3)})
  atomic.write(os.path.join(folder, DONE), done.encode())
  return True


def seconds(folder):
  """Returns the seconds that a stage took, or None if it is not done."""
  path = os.path.join(folder, DONE)
  if not tf.io.gfile.exists(path):
    return None
  with tf.io.gfile.GFile(path) as file:
    return json.load(file)["seconds"]
