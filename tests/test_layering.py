"""Imports go down the layers of docs/design.md only, without cycles."""
import ast
import graphlib
import pathlib

import pytest

ORDER = [
    {"types", "quiet", "pretrained", "display", "overrides", "processor"},
    {"family", "configfile"},
    {"config", "ops", "settings"},
    {"losses", "data", "decode"},
    {"layers"},
    {"models"},
    {"runs"},
    {"train", "evaluate", "export", "serve", "prepare"},
    {"feasibility", "budget", "warm_starts"},
    {"fit", "latency"},
    {"recipe"},
    {"em"},
    {"translator"},
    {""},  # tf_nar/__init__.py, where `load` and `train` are found.
    {"program"},
    {"cli", "configs"},
    {"bin", "data_prep", "__main__"},
]
RANK = {part: rank for rank, parts in enumerate(ORDER) for part in parts}
# These get a model as an argument, so that they can be used with other models.
NEVER = {"train": {"models", "runs"}, "evaluate": {"models", "runs"}, "serve": set(RANK) - {"serve", "data"}}
ROOT = pathlib.Path(__file__).parent.parent
HOUSE = ("tf_nar", "bin", "configs", "data_prep")
FILES = sorted(path.relative_to(ROOT) for top in HOUSE for path in (ROOT / top).rglob("*.py"))


def module_of(path):
  """Returns the dotted name of a file: tf_nar/ops/masking.py -> tf_nar.ops.masking."""
  parts = path.with_suffix("").parts
  return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


MODULES = {module_of(path) for path in FILES}


def part_of(module):
  """Returns the layer of the package that a module is in; "" for `tf_nar` itself."""
  top, *rest = module.split(".")
  return top if top != "tf_nar" else rest[0] if rest else ""


def imports(text, modules=MODULES):
  """Returns the modules of the package that a program imports, at its top or later."""
  names = []
  for node in ast.walk(ast.parse(text)):
    if isinstance(node, ast.Import):
      names += [alias.name for alias in node.names]
    elif isinstance(node, ast.ImportFrom):
      assert node.level == 0, f"Line {node.lineno}: imports are absolute in this house."
      whole = [f"{node.module}.{alias.name}" for alias in node.names]
      names += [name if name in modules else node.module for name in whole]
  return {name for name in names if name.split(".")[0] in HOUSE}


def complaints(part, text, modules=MODULES):
  """Returns the errors in the imports of a program that is in `part`."""
  wrong = []
  for module in sorted(imports(text, modules)):
    other = part_of(module)
    if other in NEVER.get(part, ()) or (other != part and RANK.get(other, len(ORDER)) >= RANK.get(part, -1)):
      wrong.append(f"{part or 'tf_nar/__init__.py'} may not import {module}")
  return wrong


@pytest.mark.parametrize("path", FILES, ids=str)
def test_imports_go_down(path):
  part = part_of(module_of(path))
  assert part == "" or part in RANK, f"{path}: give {part!r} a place in ORDER and in docs/design.md."
  assert complaints(part, (ROOT / path).read_text()) == []


@pytest.mark.parametrize("folder", sorted({path.parent for path in FILES}), ids=str)
def test_no_circle_inside_a_folder(folder):
  inside = {module_of(path): path for path in FILES if path.parent == folder}
  graph = {name: imports((ROOT / path).read_text()) & set(inside) for name, path in inside.items()}
  graphlib.TopologicalSorter(graph).prepare()  # Raises CycleError, which names the cycle.


PLANTED = {f"tf_nar.{name}" for name in "types config ops ops.masking models models.ar runs".split()}


@pytest.mark.parametrize("part, text", [
    ("ops", "from tf_nar import models"),
    ("ops", "from tf_nar.models import ar"),
    ("ops", "import tf_nar.models.ar"),
    ("ops", "def late():\n  import tf_nar.models as m"),
    ("ops", "from tf_nar import config"),
    ("train", "from tf_nar import runs"),
    ("evaluate", "from tf_nar import models"),
    ("em", "from bin import train"),
    ("cli", "from bin import train"),
    ("bin", "from data_prep import prepare"),
    ("prepare", "from tf_nar.train import step"),
    ("", "import tf_nar.program"),
    ("translator", "import tf_nar"),
    ("bin", "import tf_nar.new.thing"),
])
def test_layering_sees(part, text):
  assert len(complaints(part, text, PLANTED)) == 1


@pytest.mark.parametrize("part, text", [
    ("ops", "from tf_nar import types"),
    ("ops", "from tf_nar.ops import masking"),
    ("ops", "from tf_nar.types import Batch"),
    ("train", "from tf_nar.data import records"),
    ("em", "from tf_nar import runs"),
    ("bin", "import tensorflow as tf"),
])
def test_layering_allows(part, text):
  assert complaints(part, text, PLANTED) == []


def test_layering_refuses_relative_imports():
  with pytest.raises(AssertionError, match="imports are absolute"):
    imports("from . import ops")
