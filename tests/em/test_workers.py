"""The workers of a TF_CONFIG run an alternation together, whichever of them is killed, and wherever."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time

import pytest

from tests.em import minuscule
from tests.em import test_run
from tests.train import test_strategy
from tf_nar.cli import em
from tf_nar.data import toy
from tf_nar.em import report

MOMENTS = "teacher/config.json", "candidates", "distilled/DONE", "student/config.json", "scores", "selected/DONE"
TEXTS = "candidates", "distilled", "scores", "selected"


def config(ports, index):
  return json.dumps({"cluster": {"worker": [f"localhost:{port}" for port in ports]},
                     "task": {"type": "worker", "index": index}})


def call(*arguments):
  em.flags.values.unparse_flags()  # An earlier test may have left some values.
  em.main(em.flags.parse(["em", "--config=em_toy", *arguments]))


def test_a_training_is_for_a_new_process(tmp_path, monkeypatch):
  calls = []

  def replaced(*given):
    calls.append(given)
    sys.exit(0)

  monkeypatch.setenv("TF_CONFIG", config([1, 2], 0))
  monkeypatch.setattr(os, "execve", replaced)
  with pytest.raises(SystemExit, match="^0$"):
    call(f"--workdir={tmp_path}")
  (program, arguments, environment), = calls
  assert program == sys.executable and arguments[1:] == sys.orig_argv[1:]
  assert environment == {**os.environ, em.TOGETHER: "1"}
  assert not os.path.exists(tmp_path / "round_0" / "student")


@pytest.mark.parametrize("flag", ["--tpu=local", "--jobs=2"])
def test_workers_are_no_jobs_and_have_no_tpu(monkeypatch, flag):
  monkeypatch.setenv("TF_CONFIG", config([1, 2], 0))
  with pytest.raises(SystemExit, match="^em: Expected --jobs, --tpu or a TF_CONFIG of several workers; got two"):
    call("--workdir=unused", flag)


def command(data, workdir):
  return [sys.executable, "bin/em.py", f"--config={minuscule.__file__}", f"--data_dir={data}", f"--workdir={workdir}",
          "--set=rounds=1", "--set=raw_student=False"]


class Worker:
  """A worker of two, which is started again when it ends with an error."""

  def __init__(self, data, workdir, ports, index):
    self._command = command(data, workdir)
    self._environment, self._log = os.environ | {"TF_CONFIG": config(ports, index)}, f"{workdir}.{index}.log"
    self.starts = 0
    self._start()

  def _start(self):
    self.starts += 1
    with open(self._log, "a") as log:
      self.process = subprocess.Popen(
        self._command, cwd=test_run.ROOT, env=self._environment, stdout=log, stderr=subprocess.STDOUT)

  def printed(self):
    with open(self._log) as log:
      return log.read()

  def is_over(self):
    """Whether it ended well; else it runs, or is started again."""
    if self.process.poll():
      assert self.starts < 4, self.printed()
      self._start()
    return self.process.returncode == 0


def run(data, workdir, kill=None):
  """Runs two workers to their end; kills one with SIGKILL at some (moment, seconds after it, worker)."""
  ports = test_strategy.ports(2)
  workers = [Worker(data, workdir, ports, index) for index in (0, 1)]
  if kill:
    moment, later, victim = kill
    while not (workdir / "round_1" / moment).exists():
      assert all(worker.process.poll() is None for worker in workers), [worker.printed() for worker in workers]
      time.sleep(0.05)
    time.sleep(later)
    workers[victim].process.send_signal(signal.SIGKILL)
    workers[victim].process.wait()
  while not all([worker.is_over() for worker in workers]):
    time.sleep(0.2)
  return workers


def texts(workdir):
  """Returns {file: bytes} of the stages that make texts."""
  return {str(path.relative_to(workdir)): path.read_bytes() for stage in TEXTS
          for path in (workdir / "round_1" / stage).iterdir() if path.name.startswith("train-")}


@pytest.mark.slow
def test_two_workers_one_of_them_killed(tmp_path):
  data, whole, parts, alone = (tmp_path / name for name in ("data", "whole", "parts", "alone"))
  toy.write(str(data), minuscule.get_config().data, shards=5)
  workers = run(data, whole)
  assert [worker.starts for worker in workers] == [1, 1]
  printed = workers[1].printed()
  assert printed.count("worker 1 of 2 waits for all others, to train with them.") == 2
  assert f"worker 1 of 2 waits for {whole}/round_1/measures/DONE, which worker 0 will write." in printed
  chance = random.Random(os.urandom(8))
  kill = chance.choice(MOMENTS), chance.uniform(0, 2), chance.choice([0, 1])
  workers = run(data, parts, kill)
  assert workers[kill[2]].starts == 2, kill
  one, other = (json.loads((folder / report.FILE).read_text()) for folder in (whole, parts))
  assert test_run.without_times(one) == test_run.without_times(other), kill
  assert texts(parts) == texts(whole), kill
  for name in ("teacher", "student"):  # A single machine goes on with the same weights.
    shutil.copytree(whole / "round_1" / name, alone / "round_1" / name)
  done = subprocess.run(command(data, alone), cwd=test_run.ROOT, capture_output=True, text=True)
  assert done.returncode == 0, done.stderr
  assert texts(alone) == texts(whole)
