"""Several jobs have the result of one, whichever of them is killed, and wherever."""
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

from tests.em import minuscule
from tests.em import test_alternate
from tests.em import test_run
from tf_nar.data import toy
from tf_nar.em import alternate
from tf_nar.em import jobs
from tf_nar.em import report

Killed = test_alternate.Killed
SHARDS = [f"shard-{k}" for k in range(7)]


class Stages(test_alternate.Stages):
  """Makes candidates and scores shard by shard; can be killed in the middle of a shard."""

  def __init__(self, workdir, own, kill_in=None):
    super().__init__(workdir)
    self.own, self.kill_shard, self.made = own, kill_in, []

  def propose(self, *inputs):
    self._shared(*inputs)

  def score(self, *inputs):
    self._shared(*inputs)

  def _shared(self, *inputs):
    os.makedirs(inputs[-1], exist_ok=True)

    def make(path, advance):
      for _ in range(3):
        if len(self.made) == self.kill_shard:
          raise Killed
        advance(1)
      with open(f"{path}.{self.own.job}.tmp", "w") as file:
        file.write(os.path.basename(path))
      os.replace(f"{path}.{self.own.job}.tmp", path)
      self.made.append(path)

    self.own.each([os.path.join(inputs[-1], name) for name in SHARDS], make, lambda count: time.sleep(0.001))


def start(workdir, job, count, told, kill_in=None):
  """Runs a job in a thread; returns the thread and its stages."""
  own = jobs.Jobs(job, count, told.append, pause=0.005)
  stages = Stages(workdir, own, kill_in)

  def work():
    try:
      test_alternate.run(stages, workdir, do_once=own.once)
    except Killed:
      pass

  thread = threading.Thread(target=work, daemon=True)
  thread.start()
  return thread, stages


@pytest.mark.parametrize("killed, kill_in", [(None, None), (2, 1), (1, 4), (0, 3)])
def test_jobs_are_one(tmp_path, killed, kill_in):
  (whole, parts), told = (tmp_path / "whole", tmp_path / "parts"), []
  for folder in (whole, parts):
    folder.mkdir()
  start(whole, 0, 1, told)[0].join(30)
  assert told == []
  running = [start(parts, job, 3, told, kill_in if job == killed else None) for job in (1, 2)]
  while len(told) < 2:
    time.sleep(0.001)
  assert sorted(told)[0] == f"job 1 of 3 waits for {parts}/round_0/student/DONE, which job 0 will write."
  running.insert(0, start(parts, 0, 3, told, kill_in if killed == 0 else None))
  if killed == 0:  # The others wait for it.
    running[0][0].join(30)
    assert not (parts / "round_2" / "measures" / alternate.DONE).exists()
    running[0] = start(parts, 0, 3, told)
  for thread, _ in running:
    thread.join(30)
  assert not any(thread.is_alive() for thread, _ in running)
  assert test_alternate.tree(parts) == test_alternate.tree(whole)
  assert not any(text.startswith("job 0") for text in told)
  assert not any("teacher" in text for stages in running[1:] for text in stages[1].ran)


def test_a_shard_is_left_to_the_job_that_made_it_sooner(tmp_path):
  own, path = jobs.Jobs(1, 2), tmp_path / "shard"
  counts = []

  def make(path, advance):
    advance(1)
    with open(path, "w") as file:
      file.write("by another job")
    advance(1)
    raise AssertionError("It should have ended.")

  own.each([str(path)], make, counts.append)
  assert counts == [1] and path.read_text() == "by another job"


@pytest.mark.parametrize("count", [1, 2, 5, 9])
def test_each_job_begins_with_its_own(count):
  turns = [jobs.Jobs(job, count)._in_turn(SHARDS) for job in range(count)]
  assert all(sorted(turn) == SHARDS for turn in turns)
  assert sorted(name for job, turn in enumerate(turns) for name in turn[:len(SHARDS[job::count])]) == SHARDS


class Workers(Stages):
  """Workers of a TF_CONFIG, which meet at the begin and the end of each training."""

  def __init__(self, workdir, own, ran, meeting):
    super().__init__(workdir, own)
    self.ran, self.meeting = ran, meeting

  def __getattr__(self, name):
    stage = super().__getattr__(name)

    def work(*inputs):
      assert self.own.together == (name in ("teach", "study"))
      if self.own.together:
        self.meeting.wait(30)
      stage(*inputs)
      if self.own.together:
        self.meeting.wait(30)
    return work


def test_workers_train_together_and_take_turns(tmp_path):
  (whole, parts), told = (tmp_path / "whole", tmp_path / "parts"), []
  meeting, ran = threading.Barrier(2), {0: [], 1: []}
  for folder in (whole, parts):
    folder.mkdir()
  start(whole, 0, 1, told)[0].join(30)

  def work(job):
    together = False
    while True:
      own = jobs.Jobs(job, 2, told.append, 0.005, together)
      try:
        return test_alternate.run(Workers(parts, own, ran[job], meeting), parts, do_once=own.once)
      except jobs.Turn:
        together = not together

  threads = [threading.Thread(target=work, args=[job], daemon=True) for job in (0, 1)]
  for thread in threads:
    thread.start()
  for thread in threads:
    thread.join(30)
  assert not any(thread.is_alive() for thread in threads)
  assert test_alternate.tree(parts) == test_alternate.tree(whole)
  assert ran[0] == [text for text in test_alternate.PLAN if not text.startswith(("propose", "score"))]
  assert ran[1] == [text for text in ran[0] if text.startswith(("teach", "study"))]
  assert all(text.startswith(f"worker 1 of 2 waits for {parts}/round_") for text in told)


@pytest.mark.parametrize("job, count", [(3, 3), (-1, 2)])
def test_no_such_job(job, count):
  with pytest.raises(ValueError, match=f"^With --jobs={count} give a --job from 0 to {count - 1}; got {job}.$"):
    jobs.Jobs(job, count)


def process(data, workdir, *more):
  command = [sys.executable, "bin/em.py", f"--config={minuscule.__file__}", f"--data_dir={data}",
             f"--workdir={workdir}", "--set=rounds=1", "--set=raw_student=False", *more]
  return subprocess.Popen(command, cwd=test_run.ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


@pytest.mark.slow
def test_processes_are_one(tmp_path):
  data, whole, parts = (tmp_path / name for name in ("data", "whole", "parts"))
  toy.write(str(data), minuscule.get_config().data, shards=5)
  alone = process(data, whole)
  text = alone.communicate()[0]  # Closes the pipe, too.
  assert alone.returncode == 0, text
  running = [process(data, parts, "--jobs=3", f"--job={job}") for job in range(3)]
  victim = random.Random(os.urandom(8)).choice([1, 2])
  while not os.path.isdir(f"{parts}/round_1/candidates"):
    time.sleep(0.01)
  time.sleep(random.Random(os.urandom(8)).uniform(0, 3))
  running[victim].send_signal(signal.SIGKILL)
  said = [each.communicate()[0] for each in running]
  assert [each.returncode for each in running if each is not running[victim]] == [0, 0], said
  assert f"waits for {parts}/round_1/teacher/DONE" in said[3 - victim]
  one, other = (json.loads((folder / report.FILE).read_text()) for folder in (whole, parts))
  assert test_run.without_times(one) == test_run.without_times(other)
  made = [path for stage in jobs.SHARED for path in (whole / "round_1" / stage).glob("train-*")]
  assert len(made) == 2 * 5
  for path in made:
    assert (parts / path.relative_to(whole)).read_bytes() == path.read_bytes()
