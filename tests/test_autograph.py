"""Graphs are traced as they are written: AutoGraph would read and rewrite hundreds of functions at every start, and
in tests too, where it took more than half of the time of tracing an update.

Loops and conditions on tensors are written out, as `tf.while_loop`, `tf.cond` or `tf.where`.
"""
import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted(path.relative_to(ROOT) for folder in ("tf_nar", "tests") for path in (ROOT / folder).rglob("*.py"))


def converted(text):
  """Returns the lines of a program that make a tf.function without autograph=False."""
  plain = {"autograph": False}
  nodes = list(ast.walk(ast.parse(text)))
  traced = {id(node.func) for node in nodes if isinstance(node, ast.Call) and plain == {
    each.arg: getattr(each.value, "value", None) for each in node.keywords if each.arg == "autograph"}}
  return [node.lineno for node in nodes
          if isinstance(node, ast.Attribute) and ast.unparse(node) == "tf.function" and id(node) not in traced]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_every_graph_is_traced_as_it_is_written(path):
  assert converted((ROOT / path).read_text()) == []


@pytest.mark.parametrize("text, seen", [
    ("tf.function(f)", [1]), ("@tf.function\ndef f(): pass", [1]), ("tf.function(f, autograph=False)", []),
    ("@tf.function(jit_compile=True)\ndef f(): pass", [1]), ("@tf.function(autograph=False)\ndef f(): pass", []),
    ("x = 1\ntf.function(f, autograph=True)", [2]), ("a: tf.Tensor = function(f)", []),
])
def test_others_are_seen(text, seen):
  assert converted(text) == seen
