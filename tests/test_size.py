"""Small files, small functions, plain names. Raise a limit only in a commit of its own."""
import ast
import pathlib
import re
import subprocess

import pytest

FILE, TEST_FILE, FUNCTION, ARGUMENTS = 300, 400, 60, 8
VAGUE = {"utils", "util", "common", "helpers", "helper", "misc", "core"}
# An absolute path on one machine: not ../work, not runs/work, not https://host/home.
MACHINE_PATH = re.compile(r"(?<![\w.~/-])/(?:work|root|home|farm)/\w")
ROOT = pathlib.Path(__file__).parent.parent


def programs(*tops):
  return sorted(path.relative_to(ROOT) for top in tops for path in (ROOT / top).rglob("*.py"))


CODE, TESTS = programs("tf_nar", "bin", "configs", "data_prep"), programs("tests")
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def too_large(text):
  """Returns the functions of a program that exceed a limit."""
  wrong = []
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, FUNCTIONS):
      arguments = [a.arg for a in node.args.posonlyargs + node.args.args + node.args.kwonlyargs]
      count = len(arguments) - (arguments[:1] in (["self"], ["cls"]))
      lines = node.end_lineno - node.lineno + 1
      wrong += [f"{node.name} has {lines} lines, over {FUNCTION}"] * (lines > FUNCTION)
      wrong += [f"{node.name} takes {count} arguments, over {ARGUMENTS}"] * (count > ARGUMENTS)
  return wrong


def returned_errors(text):
  """Returns the lines in which an exception is returned instead of raised, which nobody would notice."""
  calls = [node.value for node in ast.walk(ast.parse(text))
           if isinstance(node, ast.Return) and isinstance(node.value, ast.Call)]
  return [call.lineno for call in calls if re.search(r"(Error|Exception)$", ast.unparse(call.func))]


def tracked():
  """Returns the files that git tracks or would add; without git, the programs."""
  command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
  listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
  paths = map(pathlib.Path, listed.stdout.splitlines()) if listed.returncode == 0 else CODE + TESTS
  return [path for path in paths if (ROOT / path).is_file()]


@pytest.mark.parametrize("path", CODE, ids=str)
def test_functions_are_small(path):
  assert too_large((ROOT / path).read_text()) == []


@pytest.mark.parametrize("path", CODE + TESTS, ids=str)
def test_files_are_small_and_plainly_named(path):
  limit = TEST_FILE if path.parts[0] == "tests" else FILE
  lines = len((ROOT / path).read_text().splitlines())
  assert lines <= limit, f"{path} has {lines} lines, over {limit}: split it by idea."
  assert not VAGUE & set(path.with_suffix("").parts), f"{path}: name it for what it holds."


@pytest.mark.parametrize("path", CODE + TESTS, ids=str)
def test_errors_are_raised(path):
  assert returned_errors((ROOT / path).read_text()) == []


def test_git_ignores_no_program():
  # A bare `data/` in .gitignore would keep tf_nar/data out of every clone.
  assert sorted(set(CODE + TESTS) - set(tracked())) == []


def test_no_path_of_one_machine():
  found = []
  for path in tracked():
    try:
      lines = (ROOT / path).read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
      continue  # Not text.
    found += [f"{path}:{number}" for number, line in enumerate(lines, 1) if MACHINE_PATH.search(line)]
  assert found == []


def test_limits_are_seen():
  long = "def f():\n" + "  x = 1\n" * FUNCTION
  wide = "class A:\n  def g(self, " + ", ".join(f"a{n}" for n in range(ARGUMENTS)) + ", *, more): pass"
  assert too_large(long) == [f"f has {FUNCTION + 1} lines, over {FUNCTION}"]
  assert too_large(wide) == [f"g takes {ARGUMENTS + 1} arguments, over {ARGUMENTS}"]
  assert too_large(wide.replace(", *, more", "")) == []
  assert returned_errors("def f():\n  return ValueError('x')\n  raise tf.errors.DataLossError") == [2]


@pytest.mark.parametrize("text, seen", [
    ("cd /{}/main", True), ("'/{}/main'", True), ("=/{}/x", True), ("../{}/main", False),
    ("runs/{}/x", False), ("https://host/{}/x", False), ("~/{}/x", False),
])
def test_machine_path_is_seen(text, seen):
  assert bool(MACHINE_PATH.search(text.format("work"))) == seen
