"""Lists every setting of a tree of dataclasses in the form of `--set`, with the comment of its field.

The comments in the source are the documentation of the settings; --print_config prints them.
"""
import ast
import dataclasses
import functools
import inspect
import io
import textwrap
import tokenize
from typing import Any, Iterator, NamedTuple

WIDEST = 60  # Largest width of a table's first column; a longer entry does not move the other lines.


class Setting(NamedTuple):
  """One leaf of the tree of dataclasses."""

  name: str  # Its path, such as train.optimizer.warmup.
  value: object
  about: str  # The comment of its field, as one line; "" if there is none.


def settings(node: Any, prefix: str = "") -> Iterator[Setting]:
  """Yields the `Setting`s of a dataclass and of the dataclasses nested in it, in the order of the fields."""
  about = comments(type(node))
  for field in dataclasses.fields(node):
    value, name = getattr(node, field.name), f"{prefix}{field.name}"
    if dataclasses.is_dataclass(value):
      yield from settings(value, f"{name}.")
    elif isinstance(value, tuple) and value and dataclasses.is_dataclass(value[0]):  # Phases, addressed by name.
      for each in value:
        yield from settings(each, f"{name}.{each.name}.")
    else:
      yield Setting(name, value, about.get(field.name, ""))


def named(node: Any, prefix: str = "") -> Iterator[tuple[str, dict]]:
  """Yields (path, values by name) of the nested dataclasses that have any; see `overrides.override`."""
  for field in dataclasses.fields(node):
    value, name = getattr(node, field.name), f"{prefix}{field.name}"
    if dataclasses.is_dataclass(value):
      if choices := getattr(value, "NAMED", {}):
        yield name, choices
      yield from named(value, f"{name}.")


def table(node: Any) -> str:
  """Returns one line per setting, `name=value  # about`; the part before the comment can be passed to --set.

  Lines for values by name follow.
  """
  assigned = [(f"{name}={value}", about) for name, value, about in settings(node)]
  width = max((len(assignment) for assignment, _ in assigned if len(assignment) <= WIDEST), default=0)
  lines = [f"{assignment:{width}}  # {about}" if about else assignment for assignment, about in assigned]
  lines += [f"# {path}={', '.join(choices)}: sets {', '.join(next(iter(choices.values())))}."
            for path, choices in named(node)]
  return "\n".join(lines)


@functools.cache
def comments(kind: type) -> dict[str, str]:
  """Returns {field: the comment behind it} of a dataclass and of those that it extends.

  A comment continues in the lines below it that hold nothing but a comment.
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
    return {}  # There is no source file, as for a class typed at a prompt.
  tokens = list(tokenize.generate_tokens(io.StringIO(source).readline))
  comments = {token.start[0]: token for token in tokens if token.type == tokenize.COMMENT}
  alone = {row for row, token in comments.items() if not token.line[:token.start[1]].strip()}
  found = {}
  for node in ast.parse(source).body[0].body:
    if isinstance(node, ast.AnnAssign) and node.end_lineno in comments:
      rows = [node.end_lineno]
      while rows[-1] + 1 in alone:
        rows.append(rows[-1] + 1)
      found[node.target.id] = " ".join(comments[row].string.lstrip("# ") for row in rows)
  return found
