import json
import os

import pytest

from tf_nar.em import alternate

PLAN = [
    "study data -> 0/student", "measure -> 0/measures",
    "teach data -> 1/teacher", "propose 1/teacher -> 1/candidates", "distil 1/candidates -> 1/distilled",
    "study 1/distilled 1/teacher -> 1/student", "score 1/student 1/teacher 1/candidates -> 1/scores",
    "choose 1/candidates 1/scores -> 1/selected", "measure -> 1/measures",
    "teach 1/selected 1/teacher -> 2/teacher", "propose 2/teacher -> 2/candidates",
    "distil 2/candidates -> 2/distilled", "study 2/distilled 2/teacher 1/student -> 2/student",
    "score 2/student 1/teacher 2/candidates -> 2/scores", "choose 2/candidates 2/scores -> 2/selected",
    "measure -> 2/measures",
]


class Killed(BaseException):
  """An exception that nothing catches, like a signal."""


class Stages:
  """Stages that record their inputs and write them as their result; can be killed in the middle of one."""

  def __init__(self, workdir, kill_in=None):
    self.ran, self._workdir, self._kill_in = [], workdir, kill_in

  def __getattr__(self, name):
    if name not in ("teach", "propose", "distil", "study", "score", "choose", "measure"):
      raise AttributeError(name)

    def stage(*inputs):
      *given, out = inputs
      short = lambda path: os.path.relpath(path, self._workdir).removeprefix("round_")
      given = [short(path) for path in given if isinstance(path, str)]
      self.ran.append(" ".join([name, *given, "->", short(out)]))
      os.makedirs(out, exist_ok=True)
      for part in ("first", "second"):
        with open(os.path.join(out, part), "w") as file:
          file.write(self.ran[-1])
        if len(self.ran) == self._kill_in:
          raise Killed
    return stage


def run(stages, workdir, **options):
  return alternate.run(stages, str(workdir / "data"), str(workdir), **{"rounds": 2} | options)


def tree(folder):
  """Returns {path: text} of all files, without the times."""
  return {str(path.relative_to(folder)): "" if path.name == alternate.DONE else path.read_text()
          for path in folder.rglob("*") if path.is_file()}


def test_order_of_stages(tmp_path):
  stages = Stages(tmp_path)
  assert run(stages, tmp_path) == 2
  assert stages.ran == PLAN


def test_no_raw_student(tmp_path):
  stages = Stages(tmp_path)
  run(stages, tmp_path, rounds=1, raw_student=False)
  assert stages.ran == PLAN[2:9]


@pytest.mark.parametrize("kill_in", range(1, len(PLAN) + 1))
def test_goes_on_where_it_was_killed(tmp_path, kill_in):
  for name in ("whole", "parts"):
    (tmp_path / name).mkdir()
  run(Stages(tmp_path / "whole"), tmp_path / "whole")
  with pytest.raises(Killed):
    run(Stages(tmp_path / "parts", kill_in), tmp_path / "parts")
  stages = Stages(tmp_path / "parts")
  run(stages, tmp_path / "parts")
  assert stages.ran == PLAN[kill_in - 1:]
  assert tree(tmp_path / "parts") == tree(tmp_path / "whole")


def test_what_is_done_is_not_done_again(tmp_path):
  run(Stages(tmp_path), tmp_path)
  again = Stages(tmp_path)
  run(again, tmp_path)
  assert again.ran == []


def test_more_rounds_go_on_with_fewer(tmp_path):
  run(Stages(tmp_path), tmp_path, rounds=1)
  more = Stages(tmp_path)
  run(more, tmp_path, rounds=2)
  assert more.ran == PLAN[9:]


def test_stops_when_it_is_enough(tmp_path):
  stages = Stages(tmp_path)
  assert run(stages, tmp_path, rounds=5, enough=lambda number: number == 2) == 2
  assert stages.ran == PLAN


def test_tells_after_each_stage(tmp_path):
  told = []
  run(Stages(tmp_path), tmp_path, after=told.append)
  assert len(told) == len(PLAN) and told == sorted(told) and set(told) == {0, 1, 2}


def test_time_is_kept_with_the_stage(tmp_path):
  run(Stages(tmp_path), tmp_path)
  folder = alternate.at(str(tmp_path), 1)["teacher"]
  with open(os.path.join(folder, alternate.DONE)) as file:
    assert json.load(file)["seconds"] == alternate.seconds(folder) >= 0
  assert alternate.seconds(str(tmp_path / "round_9" / "teacher")) is None


def test_refuses_no_rounds(tmp_path):
  with pytest.raises(ValueError, match="rounds must be at least 1, .*; got 0"):
    run(Stages(tmp_path), tmp_path, rounds=0)
