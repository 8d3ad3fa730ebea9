"""`tf-nar` runs programs by their names."""
import os
import pathlib
import subprocess
import sys

import pytest

import tf_nar
from tf_nar.cli import command

ROOT = pathlib.Path(__file__).parent.parent


def called(*arguments, cwd=ROOT):
  """Runs `tf-nar`, which may be from another folder."""
  code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tf_nar.cli import command; command.main()"
  environment = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}  # As a user's is.
  return subprocess.run(
    [sys.executable, "-c", code, *arguments], cwd=cwd, env=environment, capture_output=True, text=True, check=False)


def test_every_program_is_a_command_and_a_binary():
  modules = {path.stem for path in (ROOT / "tf_nar/cli").glob("*.py")} - {"__init__", "command"}
  binaries = {path.stem for top in ("bin", "data_prep") for path in (ROOT / top).glob("*.py")}
  assert set(command.COMMANDS) == modules == binaries | {"configs"}


def test_it_lists_the_commands(capsys):
  for words in ([], ["--help"]):
    command.main(["tf-nar", *words])
    said = capsys.readouterr().out
    assert all(f"  {name} " in said and what in said for name, what in command.COMMANDS.items())


def test_version(capsys):
  command.main(["tf-nar", "--version"])
  assert capsys.readouterr().out == f"{tf_nar.__version__}\n"


@pytest.mark.parametrize("word, hint", [("trian", "Did you mean train?"), ("zzz", "Run `tf-nar` to list all.")])
def test_an_unknown_command(word, hint):
  with pytest.raises(SystemExit, match=f"^tf-nar: There is no command '{word}'. {hint}"):
    command.main(["tf-nar", word])


def test_help_shows_what_this_user_types():
  said = called("export-ct2", "--help")
  assert (said.returncode, said.stderr) == (0, "")
  assert "  tf-nar export_ct2 --workdir=runs/teacher" in said.stdout and "python bin" not in said.stdout
  assert "tf-nar train --config=ar_multi30k --data_dir" in called("train", "--help").stdout
  assert called("doctor", "--help").stdout.startswith("usage: tf-nar doctor")


def test_configs_by_name(tmp_path):
  listed = called("configs", cwd=tmp_path).stdout
  assert "\nem_toy " in listed and "built-in toy pair" in listed
  done = called("em", "--config=em_toy", "--print_config", "--set=student.train.steps=1e3", cwd=tmp_path)
  assert (done.returncode, done.stderr) == (0, "")
  lines = {line.split(" ")[0]: line for line in done.stdout.splitlines()}
  assert lines["student.train.steps=1000"].endswith("  # Updates.")
  assert "rounds=3" in lines and "data.first_share=0.58" in lines
