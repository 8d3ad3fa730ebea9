"""Every command in a page, a docstring or a message of a program is valid.

Flags are parsed from the source of the programs, so that nothing heavy is imported.
"""
import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
PROGRAMS = [*sorted((ROOT / "bin").glob("*.py")), *sorted((ROOT / "data_prep").glob("*.py"))]
SOURCES = sorted(path for top in ("bin", "configs", "data_prep", "tf_nar") for path in (ROOT / top).rglob("*.py"))
# A command ends with its line, a backquote, a comment, or a gap before an explanation.
PYTHON = re.compile(r"\bpython ((?:bin|data_prep)/(?:[^`\n# ]| (?![ #]))*)")
COMMAND = re.compile(r"\btf-nar ([a-z][a-z0-9_-]*)((?: --?[^`\n# ]+)*)")
MAKE = re.compile(r"(?:^|`)make ((?:[A-Z]+=\S+ )*)([a-z-]+)", re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]+)")
ALWAYS = {"help", "helpfull"}  # Flags of absl.


def strings(path):
  """Returns the text of a page, or all strings of a program, with X for the expressions of f-strings."""
  text = path.read_text()
  if path.suffix == ".md":
    return text
  nodes = list(ast.walk(ast.parse(text)))
  filled = [node.values for node in nodes if isinstance(node, ast.JoinedStr)]
  parts = {id(part) for values in filled for part in values}
  whole = [node.value for node in nodes if isinstance(node, ast.Constant) and id(node) not in parts]
  said = lambda values: "".join(part.value if isinstance(part, ast.Constant) else "X" for part in values)
  return "\n".join([each for each in whole if isinstance(each, str)] + list(map(said, filled)))


def module(program):
  """Returns the module with the flags of a program: bin/train.py -> tf_nar/cli/train.py."""
  return pathlib.Path("tf_nar/cli") / pathlib.Path(program).name


def commands(text):
  """Returns the words of each `python bin/...` and `tf-nar ...` in a text, the program's path first.

  Continued lines are joined.
  """
  joined = re.sub(r"\\\n\s*", "", text)
  named = [[str(module(name.replace("-", "_") + ".py")), *rest.split()] for name, rest in COMMAND.findall(joined)]
  return [found.split() for found in PYTHON.findall(joined)] + named


def flags(text):
  """Returns the names of all flags that a program defines, of the required ones, and {flag: those that it spares}.

  It finds absl's `flags.DEFINE_...("name", ..., required=True)` and argparse's `add_argument("--name")`.
  """
  known, needed, spares = set(ALWAYS), set(), {}
  for node in ast.walk(ast.parse(text)):
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
      continue
    if node.func.attr.startswith("DEFINE_") or node.func.attr == "add_argument":
      name = node.args[0].value.lstrip("-")
      known |= {name, f"no{name}"} if node.func.attr == "DEFINE_bool" else {name}
      required = [word.value.value for word in node.keywords if word.arg == "required"]
      needed |= {name} if required == [True] else set()
      spares[name] = {each.value for word in node.keywords if word.arg == "spares" for each in word.value.elts}
  return known, needed, spares


def complaints(command, root=ROOT):
  """Returns the errors in a command, a list of words that begins with the program's path."""
  program, *words = command
  words = words[:words.index("--")] + words[-1:] * words[-1].endswith("...") if "--" in words else words  # Of a runner.
  if not (root / program).is_file():
    return [f"there is no {program}"]
  own = root / module(program)
  known, needed, spares = flags((own if own.is_file() else root / program).read_text())
  given = {word[2:].split("=")[0] for word in words if word.startswith("--")}
  wrong = [f"{program} has no --{name}" for name in sorted(given - known)]
  configs = [word.partition("=")[2] for word in words if word.startswith("--config=configs/")]
  configs += [f"configs/{name}.py" for name in re.findall(r"--config=(\w+)(?: |$)", " ".join(words))]
  wrong += [f"there is no {path}" for path in configs if "..." not in path and not (root / path).is_file()]
  # A command that ends in "..." or has no flags is incomplete on purpose.
  if given - ALWAYS and not words[-1].endswith("..."):
    spared = set().union(*(spares.get(name, ()) for name in given))
    wrong += [f"{program} needs --{name}" for name in sorted(needed - given - spared)]
  return wrong


@pytest.mark.parametrize("path", PAGES + SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_commands_can_be_typed(path):
  wrong = [(" ".join(command), complaint) for command in commands(strings(path)) for complaint in complaints(command)]
  assert wrong == []


@pytest.mark.parametrize("path", PROGRAMS, ids=lambda path: path.name)
def test_help_begins_with_a_command(path):
  """--help prints the docstring."""
  shown = commands(ast.get_docstring(ast.parse((ROOT / module(path)).read_text())))
  assert shown and all(command[0] == str(path.relative_to(ROOT)) for command in shown[:1])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_targets_and_links_are_there(path):
  text = path.read_text()
  targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
  assert {target for _, target in MAKE.findall(text)} <= targets
  assert [link for link in LINK.findall(text) if not (path.parent / link).exists()] == []


def test_readme_names_every_program():
  text = (ROOT / "README.md").read_text()
  assert [str(path.relative_to(ROOT)) for path in PROGRAMS if f"`{path.relative_to(ROOT)}`" not in text] == []


PLANTED = """
x = flags.DEFINE_string("workdir", None, "Where.", required=True)
y = flags.DEFINE_bool("scores", False, "Whether.")
"""


@pytest.mark.parametrize("text, message", [
  ("python bin/p.py --workdir=a --noscores", []),
  ("`python bin/p.py`, `python bin/p.py --help`.", []),
  ("python bin/p.py --scores ...", []),
  ("python bin/p.py --workdir=a \\\n    --score  # --nothing", ["bin/p.py has no --score"]),
  ("python bin/p.py --scores", ["bin/p.py needs --workdir"]),
  ("python bin/q.py --workdir=a", ["there is no bin/q.py"]),
  ("python bin/p.py --workdir=a --config=configs/c.py",
   ["bin/p.py has no --config", "there is no configs/c.py"]),
  ("tf-nar p --workdir=a --config=c", ["tf_nar/cli/p.py has no --config", "there is no configs/c.py"]),
  ("`tf-nar` and `tf-nar q`", ["there is no tf_nar/cli/q.py"]),
])
def test_wrong_commands_are_seen(tmp_path, text, message):
  for folder in ("bin", "tf_nar/cli"):
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "p.py").write_text(PLANTED if folder != "bin" else "")
  assert [each for command in commands(text) for each in complaints(command, tmp_path)] == message
