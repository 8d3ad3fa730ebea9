"""Changes trees of frozen dataclasses by assignments such as "train.steps=500", and reads them from JSON."""
import ast
import dataclasses
import difflib
import typing
from typing import Any

# {dataclass: {a field's earlier name: its name today}}, so that old run folders and old --set options still work.
RENAMED = {"Search": dict.fromkeys(("lengths", "samples", "nbest"), "candidates") | {
  "least": "min_masked", "rewrite": "repredict_all", "odd_within_words": "odd_everywhere",
  "draft_places": "draft_positions"}}


# Groups of an experiment whose assignments are also for the phases that train an experiment of their own: what every
# experiment has, and what networks that fill each other's parts have in common.
COMMON = ["train"], ["model", "net"]


def assignments() -> Any:
  """Returns a field of a dataclass, a tuple of assignments, to which --set=FIELD.train.steps=500 adds train.steps=500.
  """
  return dataclasses.field(default=(), metadata={"assignments": True})


class Assignment(str):
  """An assignment of another origin than --set, which messages begin with, such as mine.txt:3."""

  origin: str

  def __new__(cls, text: str, origin: str = ""):
    made = super().__new__(cls, text)
    made.origin = origin
    return made


def override(node: Any, *assignments: str) -> Any:
  """Returns `node`, a tree of frozen dataclasses, with assignments such as "train.steps=500" applied.

  All are applied at once, so that their order does not matter to checks that compare two fields. If two assign the
  same field, the last counts. Those of `train` and `model.net` are for the phases of an experiment too, whatever they
  train. A class may have values by name, `NAMED`, {name: {field: value}}: "model.net=base"
  assigns those fields. To a field of `assignments` an assignment below it is added.

  Raises:
    ValueError: for an unknown name (the message suggests the nearest known one) or a value of another type.
  """
  changes = []
  for assignment in assignments:
    path, equals, text = assignment.partition("=")
    if not equals:
      raise ValueError(f"--set expects name=value, such as train.steps=500; got {assignment!r}.")
    changes.append((path.split("."), text, assignment))
  return _replace(node, changes) if changes else node


def _replace(node, changes):
  """Applies changes to a leaf or to the fields of a dataclass.

  Each change is (path below `node`, text of the value, the whole assignment for messages); a leaf has the path [].
  """
  if changes[0][0] and isinstance(node, tuple) and node and dataclasses.is_dataclass(node[0]):
    return _replace_phases(node, changes)
  below = {}
  for path, text, assignment in _spelt_out(node, changes):
    if path:
      name = _today(node, path[0])
      _check_field(node, name, assignment)
      below.setdefault(name, []).append((path[1:], text, assignment))
    else:
      leaf = _parse(text, node, assignment)
  if not below:
    return leaf
  if common := _for_phases(node, changes):
    below["phases"] = common + below.get("phases", [])  # Those that name a phase come later, and count.
  held = {field.name for field in dataclasses.fields(node) if field.metadata.get("assignments")}
  given = {name: (_extended if name in held else _replace)(getattr(node, name), below[name]) for name in below}
  return dataclasses.replace(node, **given)


def _extended(found, changes):
  """Applies changes to a field of `assignments`, in turn: one without a path replaces all before, others are added."""
  for path, text, whole in changes:
    if path:
      found = *found, _same_origin(f"{'.'.join(path)}={text}", whole)
      continue
    found = _literal(text)
    if not isinstance(found, tuple) or not all(isinstance(each, str) for each in found):
      raise ValueError(f"{_shown(whole)}: expected one assignment, as {whole.partition('=')[0]}.train.steps=500, or a "
                       f"tuple of such, as ('train.steps=500',); got {text}.")
  return found


def _for_phases(node, changes):
  """Returns the changes of `COMMON` groups of an experiment as changes of the experiments that its phases train."""
  common = [each for each in changes if any(each[0][:len(group)] == group for group in COMMON)]
  return [([phase.name, "experiment", *path], text, assignment)
          for phase in getattr(node, "phases", ()) if phase.experiment for path, text, assignment in common]


def _shown(assignment):
  return f"{assignment.origin}: {assignment}" if isinstance(assignment, Assignment) else f"--set {assignment}"


def _spelt_out(node, changes):
  """Yields changes, with one change for each field in place of a value by name; see `override`."""
  named = getattr(node, "NAMED", {})
  for path, text, assignment in changes:
    if path or not named:
      yield path, text, assignment
    elif text in named:
      yield from (([name], str(value), assignment) for name, value in named[text].items())
    else:
      raise ValueError(f"{_shown(assignment)}: expected {', '.join(named)}, or one of its fields, as "
                       f"{assignment.partition('=')[0]}.{dataclasses.fields(node)[0].name}=...; got {text!r}.")


def _replace_phases(phases, changes):
  """Applies changes to a field of a phase ("NAME.start=scratch") and to its experiment ("NAME.train.steps=5")."""
  names, fields = [phase.name for phase in phases], [field.name for field in dataclasses.fields(phases[0])]
  for path, _, assignment in changes:
    if len(path) < 2 or path[0] not in names:
      raise ValueError(f"{_shown(assignment)}: expected a phase and its setting, as phases.{names[0]}.train.steps=500; "
                       f"the phases are {', '.join(names)}.")
  result = []
  for phase in phases:
    mine = [(path[1:], text, assignment) for path, text, assignment in changes if path[0] == phase.name]
    own = [each for each in mine if each[0][0] in fields]
    phase = _replace(phase, own) if own else phase
    more = [_same_origin(f"{'.'.join(path)}={text}", assignment) for path, text, assignment in mine
            if path[0] not in fields]
    result.append(dataclasses.replace(phase, changes=(*phase.changes, *more)) if more else phase)
  return tuple(result)


def _same_origin(text, assignment):
  return Assignment(text, assignment.origin) if isinstance(assignment, Assignment) else text


def _today(node, name):
  """Returns the name that a field of a dataclass has in this version."""
  kind = node if isinstance(node, type) else type(node)
  if not dataclasses.is_dataclass(kind) or name in (field.name for field in dataclasses.fields(kind)):
    return name
  return RENAMED.get(kind.__name__, {}).get(name, name)


def _check_field(node, name, assignment):
  if not dataclasses.is_dataclass(node):
    raise ValueError(f"{_shown(assignment)}: {node!r} has no fields, so {name!r} cannot be set.")
  names = [field.name for field in dataclasses.fields(node)]
  if name not in names:
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"The fields are: {', '.join(names)}."
    raise ValueError(f"{_shown(assignment)}: no field {name!r}. {hint}")


def _literal(text):
  """Returns the value of a Python literal; what is none stays text."""
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text


def _parse(text, old, assignment):
  if dataclasses.is_dataclass(old):
    raise ValueError(f"{_shown(assignment)}: this is a group of fields; set one of them: {', '.join(vars(old))}.")
  new = text if isinstance(old, str) else _literal(text)
  if isinstance(old, float) and type(new) is int:
    new = float(new)
  if type(old) is int and isinstance(new, float) and new.is_integer():
    new = int(new)  # So that 1e3 can be typed for a number of updates.
  if type(new) is not type(old):
    raise ValueError(f"{_shown(assignment)}: expected {type(old).__name__}, such as {old!r}; got {new!r}.")
  return new


def from_dict(cls: type, values: dict[str, Any]) -> Any:
  """Rebuilds a frozen dataclass, nested ones too, from the dict that `dataclasses.asdict` returned.

  Raises:
    ValueError: for a field that this version does not have.
  """
  hints = typing.get_type_hints(cls)
  values = {_today(cls, name): value for name, value in values.items()}
  unknown = sorted(set(values) - set(hints))
  if unknown:
    raise ValueError(
      f"{cls.__module__}.{cls.__name__} has no field {unknown[0]!r}; it was written by another version.")

  return cls(**{name: _rebuilt(hints[name], value) for name, value in values.items()})


def _rebuilt(kind, value):
  """Returns a field's value of type `kind`, made of JSON's dicts and lists."""
  if dataclasses.is_dataclass(kind) and isinstance(value, dict):
    return from_dict(kind, value)
  if isinstance(value, (list, tuple)) and tuple in (kind, typing.get_origin(kind)):
    inner = next(iter(typing.get_args(kind)), None)
    return tuple(_rebuilt(inner, each) for each in value)
  return value
