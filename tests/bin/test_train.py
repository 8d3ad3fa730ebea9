"""bin/train.py from flags to `fit.fit`."""
import pathlib
import subprocess
import sys

import pytest
from absl import app

from tf_nar import fit as fit_lib
from tf_nar.train import preemption

PROGRAM = pathlib.Path(__file__).parents[2] / "bin" / "train.py"
CONFIG = """
from tf_nar import config
from tf_nar.models import ar


def get_config():
  return config.Experiment("ar", ar.Config(), ar.Search())
"""


@pytest.fixture
def call(monkeypatch, tmp_path, load):
  """Returns a function that runs the program and returns the call of `fit.fit`, which does not train."""
  calls = []
  (tmp_path / "config.py").write_text(CONFIG)

  def run(*arguments, fit=lambda *args, **kw: calls.append((args, kw))):
    monkeypatch.setattr(fit_lib, "fit", fit)
    load("train")[1](f"--config={tmp_path}/config.py", "--data_dir=data", "--workdir=runs/x", *arguments)
    return calls[-1]

  return run


def test_flags_reach_the_fit(call, capsys):
  (experiment, data_dir, workdir), options = call(
    "--set=train.steps=500", "--set=model.net.dropout=0.2", "--warm_start=runs/old")
  assert (experiment.train.steps, experiment.model.net.dropout) == (500, 0.2)
  assert (data_dir, workdir, options) == ("data", "runs/x", {"warm_start": "runs/old", "profile_steps": ()})
  assert "bin/translate.py --workdir=runs/x" in capsys.readouterr().out


def test_starts_cold_unless_told(call):
  assert call()[1]["warm_start"] is None


def test_profile_steps_are_two_numbers(call):
  assert call("--profile_steps=200,210")[1]["profile_steps"] == (200, 210)
  for wrong in ("200", "210,200", "a,b", "1,2,3"):
    with pytest.raises(SystemExit, match=f"^train: --profile_steps expects two updates, .* got {wrong}"):
      call(f"--profile_steps={wrong}")


def test_told_to_stop_it_exits_with_a_code_of_its_own(call, capsys):
  def fit(*_, **__):
    raise preemption.Preempted("Told to stop: saved after step 7.")

  with pytest.raises(SystemExit) as exit:
    call(fit=fit)
  assert exit.value.code == preemption.EXIT == 75
  assert capsys.readouterr().err == "train: Told to stop: saved after step 7.\n"


@pytest.mark.parametrize("flag, message", [
  ("--set=train.setps=5", r"train: --set train.setps=5: no field 'setps'\. Did you mean 'steps'\?"),
  ("--set=train.steps", "train: --set expects name=value"),
  ("--set=train.steps=many", "expected int, such as 100000; got 'many'"),
])
def test_a_wrong_setting_is_one_line_and_not_a_traceback(call, flag, message):
  with pytest.raises(SystemExit, match=message) as exit:
    call(flag)
  assert isinstance(exit.value.code, str)  # Python prints it to stderr and exits with 1.


@pytest.mark.parametrize("problem", [ValueError("no such run"), FloatingPointError("It is nan")])
def test_what_fit_refuses_is_one_line(call, problem):
  def fit(*_, **__):
    raise problem

  with pytest.raises(SystemExit, match=f"^train: {problem}$"):
    call(fit=fit)


def test_arguments_that_no_flag_takes(call):
  with pytest.raises(app.UsageError, match="Arguments that are not flags: train.steps=5"):
    call("train.steps=5")


def test_help_teaches():
  told = subprocess.run([sys.executable, PROGRAM, "--help"], capture_output=True, text=True).stdout
  for text in ("python bin/train.py --config=", "--set=train.steps=500", "tensorboard", "--warm_start"):
    assert text in told
