"""Every setting of a tree of dataclasses, as `--set` takes it, with what its field's comment says of it.

The comments in the source are the documentation of the settings, written once: --print_config shows them.
"""
import ast
import dataclasses
import functools
import inspect
import io
import textwrap
import tokenize
from typing import NamedTuple

WIDEST = 60  # Of a table's first column; what is longer stands out, and moves no other line.


class Setting(NamedTuple):
  """One leaf of the tree."""

  name: str  # Its path, as train.optimizer.warmup.
  value: object
  about: str  # One line; "" where the source says nothing.


def settings(node, prefix=""):
  """Yields the `Setting`s of a dataclass, those of the dataclasses in it too, in the order of the fields."""
  about = comments(type(node))
  for field in dataclasses.fields(node):
    value, name = getattr(node, field.name), f"{prefix}{field.name}"
    if dataclasses.is_dataclass(value):
      yield from settings(value, f"{name}.")
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):  # Each goes by its name.
      for each in value:
        yield from settings(each, f"{name}.{each.name}.")
    else:
      yield Setting(name, value, about.get(field.name, ""))


def table(node):
  """Returns a line a setting, `name=value  # about`, for a person; a line without its comment is what --set takes."""
  said = [(f"{name}={value}", about) for name, value, about in settings(node)]
  width = max((len(assignment) for assignment, _ in said if len(assignment) <= WIDEST), default=0)
  return "\n".join(f"{assignment:{width}}  # {about}" if about else assignment for assignment, about in said)


@functools.cache
def comments(kind):
  """Returns {field: what the comment behind it says} of a dataclass, of those that it extends too.

  A comment goes on in lines of comment alone below it.
  """
  found = {}
  for each in reversed(kind.__mro__):
    if dataclasses.is_dataclass(each):
      found |= _comments(each)
  return found


def _comments(kind):
  try:
    source = textwrap.dedent(inspect.getsource(kind))
  except (OSError, TypeError):
    return {}  # Made without a file, as on a prompt.
  tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
  said = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
  alone = {row for row, token in said.items() if not token.line[:token.start[1]].strip()}
  found = {}
  for node in ast.parse(source).body[0].body:
    if isinstance(node, ast.AnnAssign) and node.end_lineno in said:
      rows = [node.end_lineno]
      while rows[-1] + 1 in alone:
        rows.append(rows[-1] + 1)
      found[node.target.id] = " ".join(said[row].string.lstrip("# ") for row in rows)
  return found
