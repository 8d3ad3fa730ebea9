"""Public functions say what they take and return."""
import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(path.relative_to(ROOT) for path in (ROOT / "tf_nar").rglob("*.py"))


def public(body, scope=""):
  """Yields the name and the definition of each public function, and of each public method of a public class."""
  for node in body:
    if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_"):
      if isinstance(node, ast.FunctionDef):
        yield scope + node.name, node
      else:
        yield from public(node.body, f"{node.name}.")


def bare(text):
  """Returns what lacks a type hint in a program, as "function(argument)" or, for the result, "function()"."""
  wrong = []
  for name, function in public(ast.parse(text).body):
    given = function.args
    arguments = [*given.posonlyargs, *given.args, given.vararg, *given.kwonlyargs, given.kwarg]
    static = any(getattr(each, "id", "") == "staticmethod" for each in function.decorator_list)
    arguments = arguments[1:] if "." in name and not static else arguments  # Without `self` or `cls`.
    wrong += [f"{name}({each.arg})" for each in arguments if each and not each.annotation]
    wrong += [f"{name}()"] * (function.returns is None)
  return wrong


@pytest.mark.parametrize("path", FILES, ids=str)
def test_public_functions_have_hints(path):
  assert bare((ROOT / path).read_text()) == []


@pytest.mark.parametrize("text, seen", [
    ("def f(x, *, y: int): pass", ["f(x)", "f()"]),
    ("def f(*rest, **more) -> int: pass", ["f(rest)", "f(more)"]),
    ("class A:\n  def f(self, x): pass", ["A.f(x)", "A.f()"]),
    ("class A:\n  @staticmethod\n  def f(x) -> int: pass", ["A.f(x)"]),
    ("class A:\n  def f(self, x: int) -> int: pass\n  def _g(self, y): pass", []),
    ("def _f(x): pass\nclass _A:\n  def f(self): pass", []),
])
def test_missing_hints_are_seen(text, seen):
  assert bare(text) == seen
