"""The frame of programs: content and cost of --help, and the messages for wrong flags."""
import importlib
import pathlib
import resource
import runpy
import subprocess
import sys

import pytest

from tf_nar import program

ROOT = pathlib.Path(__file__).parent.parent
BINARIES = [*sorted((ROOT / "bin").glob("*.py")), *sorted((ROOT / "data_prep").glob("*.py"))]
FRAMED = [path.stem for path in BINARIES if path.stem != "doctor"]  # It uses the standard library only.
HEAVY = "tensorflow", "keras", "keras_nlp", "sacrebleu", "matplotlib", "sentencepiece", "uvicorn", "tqdm"
IMPORT_ALL = f"""
import importlib, sys
for name in {FRAMED}:
  importlib.import_module("tf_nar.cli." + name)
print([name for name in {HEAVY} if name in sys.modules])
"""


def called(*command):
  return subprocess.run([sys.executable, *command], cwd=ROOT, capture_output=True, text=True, check=False)


def test_no_program_imports_what_is_heavy_before_it_works():
  done = called("-c", IMPORT_ALL)
  assert done.stdout == "[]\n", done.stderr


@pytest.mark.parametrize("name", FRAMED)
def test_help_teaches(name, capsys):
  module = importlib.import_module(f"tf_nar.cli.{name}")
  with pytest.raises(SystemExit) as exit:
    program._parse(module, [name, "--help"])
  said = capsys.readouterr().out
  assert exit.value.code == 0 and said.startswith(module.__doc__)
  flags = said.partition("\nFlags:\n")[2]
  assert all(f"--{'[no]' * module.flags.values[flag].boolean}{flag}" in flags for flag in module.flags.values)
  assert "--verbosity" not in flags and "repeat this option" not in flags


@pytest.mark.parametrize("path", [path for path in BINARIES if path.stem in FRAMED], ids=lambda path: path.stem)
def test_a_binary_starts_its_program(path, monkeypatch):
  started = []
  monkeypatch.setattr(program, "start", started.append)
  monkeypatch.setattr(sys, "path", sys.path[:])
  runpy.run_path(str(path), run_name="__main__")
  assert started == [importlib.import_module(f"tf_nar.cli.{path.stem}")]


@pytest.mark.parametrize("path", ["bin/train.py", "bin/em.py", "data_prep/prepare.py", "bin/doctor.py"])
def test_binaries_help_within_a_second(path):
  took = lambda: sum(resource.getrusage(resource.RUSAGE_CHILDREN)[:2])  # CPU time, as the machine may be busy.
  before = took()
  done = called(path, "--help")
  seconds = took() - before
  print(f"{path} --help took {seconds:.2f} s")  # pytest -s shows it.
  assert (done.returncode, done.stderr) == (0, "") and seconds < 1
  assert f"python {path}" in done.stdout


@pytest.mark.parametrize("arguments, message", [
  (["--source=a", "--source=b"], "evaluate: --source takes one value; got 'a' and 'b'."),
  (["--sourc=a"], "evaluate: Unknown command line flag 'sourc'. Did you mean: source ?"),
  (["--source=a", "--workdir=w"], "evaluate: Missing --reference; see --help."),
  (["--source=", "--reference=b", "--workdir="], "evaluate: Empty --workdir and --source; see --help."),
  (["--tokens_per_batch=0"], "evaluate: flag --tokens_per_batch=0: 0 is not a positive integer"),
  (["--source=a", "--reference=b", "--workdir=w", "stray"],
   "evaluate: Arguments that are not flags: stray; see --help."),
])
def test_a_wrong_flag_is_one_line(arguments, message):
  done = called("bin/evaluate.py", *arguments)
  assert (done.returncode, done.stderr, done.stdout) == (1, f"{message}\n", "")


def test_flags_of_programs_are_apart():
  one, other = program.Flags(), program.Flags()
  first, second = (flags.DEFINE_multi_string("set", [], "Overrides.") for flags in (one, other))
  switch = one.DEFINE_bool("show", False, "Shows.")
  assert one.parse(["one", "--set=a", "--set=b", "--show", "rest"]) == ["one", "rest"]
  other.parse(["other"])
  assert (first.value, second.value, switch.value) == (["a", "b"], [], True)


def test_a_list_given_again_goes_on():
  def parsed(*arguments):
    flags = program.Flags()
    found = flags.DEFINE_list("source", ["x"], "Text.")
    flags.parse(["prepare", *arguments])
    return found.value

  assert parsed() == ["x"] and parsed("--source=a,b", "--source=c") == ["a", "b", "c"]


def test_a_flag_may_spare_others():
  flags = program.Flags()
  flags.DEFINE_string("workdir", None, "Where.", required=True)
  flags.DEFINE_bool("print", False, "Prints.", spares=("workdir",))
  flags.parse(["x", "--print"])
  flags.values.unparse_flags()
  with pytest.raises(ValueError, match="^Missing --workdir; see --help.$"):
    flags.parse(["x"])


@pytest.mark.parametrize("given", ["--text=", "--text=a,,b", "--text=a,"])
def test_a_needed_list_has_no_empty_name(given):
  flags = program.Flags()
  flags.DEFINE_list("text", None, "Texts.", required=True)
  with pytest.raises(ValueError, match="^Empty --text; see --help.$"):
    flags.parse(["x", given])


@pytest.mark.parametrize("arguments, left, options", [
  (["--runner=X", "--", "--direct_num_workers=2", "--a=b"], [], ("--direct_num_workers=2", "--a=b")),
  (["--runner=X"], [], ()),
  (["--", "--direct_num_workers=2"], ["--direct_num_workers=2"], ()),
  (["--runner=X", "--", "--labels", "a=b"], ["--labels", "a=b"], ()),
])
def test_what_follows_is_for_the_runner(arguments, left, options):
  flags = program.Flags()
  runner = flags.DEFINE_string("runner", "", "Which.")
  assert program.for_runner(flags.parse(["x", *arguments]), runner) == (["x", *left], options)
