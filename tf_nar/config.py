"""One experiment: what `configs/*.py` return, what `--set` changes and what a workdir records."""
import ast
import dataclasses
import difflib
import glob
import os
import runpy
import typing
from typing import Any

# Beside this package, in a checkout and where it is installed: they import each other as `configs`.
CONFIGS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "configs")


def choice(name, value, choices):
  """Refuses a `value` that is none of the `choices`, strings, for the field `name`."""
  if value not in choices:
    raise ValueError(f"{name} is one of {', '.join(choices)}; got {value!r}.")


def at_least(least, node, *names, group=""):
  """Refuses a dataclass `node` with a number below `least` in a field of `names`, which are said to be of a `group`."""
  for name in names:
    if getattr(node, name) < least:
      raise ValueError(f"{group}{name} is at least {least}; got {getattr(node, name)}.")


# Names that fields had in earlier versions, by the name of their dataclass: what was written or is typed still counts.
RENAMED = {"Search": dict.fromkeys(("lengths", "samples", "nbest"), "candidates") | {
  "least": "min_masked", "rewrite": "repredict_all"}}


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """Adam and its schedule; `train/optimizer.py` says the equations."""

  learning_rate: float = 5e-4  # The peak, or the multiplier lr0 of `nat_em`.
  warmup: int = 4_000  # Updates in which the rate rises to the peak.
  cooldown: int = 0  # The last updates, in which the rate falls to 0. Ship the last weights then: average=1.
  schedule: str = "inverse_sqrt"  # How the rate falls after that: "inverse_sqrt", or "nat_em", the original program's.
  beta_1: float = 0.9  # Decay of the mean of the gradients.
  beta_2: float = 0.98  # Decay of the mean of their squares.
  epsilon: float = 1e-9  # Added to the root of the latter.
  bias_correction: bool = True  # Of Adam's means; the original program has none.
  weight_decay: float = 0.0  # Decoupled; norms and output biases are spared.
  clip_norm: float = 1.0  # Global norm; 0 clips nothing.
  accumulate: int = 1  # Micro-batches an update.

  def __post_init__(self):
    choice("optimizer.schedule", self.schedule, ("inverse_sqrt", "nat_em"))
    at_least(0, self, "warmup", "cooldown", "weight_decay", "clip_norm", group="optimizer.")
    at_least(1, self, "accumulate", group="optimizer.")


@dataclasses.dataclass(frozen=True)
class Train:
  """How long, on how much at a time, and what is kept. Durations are in updates."""

  steps: int = 100_000  # Updates.
  tokens_per_batch: int = 8_192  # Padded target places a batch.
  max_length: int = 256  # Tokens with EOS; longer pairs are left out and counted.
  buckets: int = 6  # Padded lengths; each is one compiled program when `jit`.
  seed: int = 0  # Of the weights, of the order of the text and of all noise.
  optimizer: Optimizer = Optimizer()
  log_every: int = 100  # Updates between two lines of the log.
  validate_every: int = 1_000  # Validation, checkpoint and patience go together.
  validate_sentences: int = 0  # 0: all of the validation set.
  patience: int = 0  # Validations without a better BLEU before the run stops; 0: never.
  keep: int = 10  # Checkpoints that stay on disk.
  average: int = 1  # Checkpoints averaged into the shipped weights, of those after the warm-up.
  average_of: str = "last"  # Which of them: "last", or "best" by validation BLEU.
  ema: float = 0.0  # Decay of the moving average of the weights, validated and shipped in their place; 0: none.
  jit: bool = False  # XLA for the whole step.

  def __post_init__(self):
    choice("train.average_of", self.average_of, ("last", "best"))
    at_least(1, self, "steps", "tokens_per_batch", "max_length", "buckets", "log_every", "validate_every", "keep",
             "average", group="train.")
    at_least(0, self, "validate_sentences", "patience", group="train.")
    if self.average > self.keep:
      raise ValueError(
        f"train.average ({self.average}) needs that many checkpoints, but train.keep is {self.keep}.")
    if not 0 <= self.ema < 1:
      raise ValueError(f"train.ema is a decay from 0 (none) to below 1, as 0.999; got {self.ema}.")


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A model, how to train it, and the search that validates it."""

  family: str  # A key of `models.FAMILIES`.
  model: Any  # That family's `Config`.
  search: Any  # That family's `Search`.
  train: Train = Train()


def named():
  """Returns {name: the first line of its docstring} of the configs that come with the package, which imports none."""
  found = {}
  for file in sorted(glob.glob("*.py", root_dir=CONFIGS)):
    if file != "__init__.py":
      with open(os.path.join(CONFIGS, file), encoding="utf-8") as source:
        about = ast.get_docstring(ast.parse(source.read())) or ""
      found[file.removesuffix(".py")] = about.split("\n")[0]
  return found


def _found(path):
  """Returns the file of a config, given as a path or as the name of one that comes with the package.

  Raises:
    ValueError: if there is none.
  """
  if os.path.isfile(path):
    return path
  folder, name = os.path.split(path)
  if not folder and not name.endswith(".py"):
    own = os.path.join(CONFIGS, f"{name}.py")
    if os.path.isfile(own):
      return own
    near = difflib.get_close_matches(name, named(), 1)
    hint = f"Did you mean {near[0]}?" if near else f"There are {', '.join(named())}; or give a file, as mine.py."
    raise ValueError(f"No config is called {name!r}. {hint}")
  near = difflib.get_close_matches(name, glob.glob("*.py", root_dir=folder or None), 1)
  if near:
    hint = f"Did you mean {os.path.join(folder, near[0])}?"
  elif name.removesuffix(".py") in named():
    hint = f"The one that comes with the package is --config={name.removesuffix('.py')}."
  else:
    hint = "There are some in configs/, of which the name will do."
  raise ValueError(f"No config {path}. {hint}")


def load(path, wanted, assignments=()):
  """Runs a config file and returns what its get_config() gives, overridden.

  Args:
    path: the file, or the name of a config that comes with the package, as ar_multi30k.
    wanted: the class that it must give, as `Experiment`.
    assignments: for `override`.

  Raises:
    ValueError: if the file is not there, is no program, gives something else, or an assignment does not fit.
  """
  path = _found(path)
  try:
    made = runpy.run_path(path)
  except SyntaxError as error:
    raise ValueError(f"{path}, line {error.lineno}: {error.msg}; a config is a Python program.") from error
  if "get_config" not in made:
    raise ValueError(f"{path} defines no get_config(); a config does, as those in configs/ show.")
  node = made["get_config"]()
  if not isinstance(node, wanted):
    raise ValueError(
      f"{path} gives {type(node).__name__}, wanted is {wanted.__name__}; an Experiment is for bin/train.py, "
      "an Alternation for bin/em.py.")
  return override(node, *assignments)


def override(node, *assignments):
  """Returns `node`, a tree of frozen dataclasses, with assignments as "train.steps=500", all at once.

  So their order does not matter where a field is checked beside another; of two for one field the last counts.

  Raises:
    ValueError: for an unknown name (the nearest right one is told) or a value of another type.
  """
  changes = []
  for assignment in assignments:
    path, equals, text = assignment.partition("=")
    if not equals:
      raise ValueError(f"--set wants name=value, as train.steps=500; got {assignment!r}.")
    changes.append((path.split("."), text, assignment))
  return _replace(node, changes) if changes else node


def _replace(node, changes):
  """Applies (path below `node`, text, assignment)s: to a leaf, whose path is [], or to the fields of a dataclass."""
  below = {}
  for path, text, assignment in changes:
    if path:
      name = _today(node, path[0])
      _check_field(node, name, assignment)
      below.setdefault(name, []).append((path[1:], text, assignment))
    else:
      leaf = _parse(text, node, assignment)
  if not below:
    return leaf
  return dataclasses.replace(node, **{name: _replace(getattr(node, name), inner) for name, inner in below.items()})


def _today(node, name):
  """Returns what a field of a dataclass is called in this version."""
  kind = node if isinstance(node, type) else type(node)
  if not dataclasses.is_dataclass(kind) or name in (field.name for field in dataclasses.fields(kind)):
    return name
  return RENAMED.get(kind.__name__, {}).get(name, name)


def _check_field(node, name, assignment):
  if not dataclasses.is_dataclass(node):
    raise ValueError(f"--set {assignment}: {name!r} names a part of {node!r}, which has none.")
  names = [field.name for field in dataclasses.fields(node)]
  if name not in names:
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"There are: {', '.join(names)}."
    raise ValueError(f"--set {assignment}: no field {name!r}. {hint}")


def _parse(text, old, assignment):
  if dataclasses.is_dataclass(old):
    raise ValueError(f"--set {assignment}: names a group; set one of its fields: {', '.join(vars(old))}.")
  try:
    new = text if isinstance(old, str) else ast.literal_eval(text)
  except (ValueError, SyntaxError):
    new = text
  if isinstance(old, float) and type(new) is int:
    new = float(new)
  if type(old) is int and isinstance(new, float) and new.is_integer():
    new = int(new)  # 1e3 is a number of updates.
  if type(new) is not type(old):
    raise ValueError(f"--set {assignment}: wants {type(old).__name__}, as {old!r}; got {new!r}.")
  return new


def from_dict(cls, values):
  """Rebuilds a frozen dataclass, nested ones too, from what `dataclasses.asdict` gave.

  Raises:
    ValueError: for a field that this version does not have.
  """
  hints = typing.get_type_hints(cls)
  values = {_today(cls, name): value for name, value in values.items()}
  unknown = sorted(set(values) - set(hints))
  if unknown:
    raise ValueError(
      f"{cls.__module__}.{cls.__name__} has no field {unknown[0]!r}; it was written by another version.")

  def nested(name, value):
    inner = dataclasses.is_dataclass(hints[name]) and isinstance(value, dict)
    return from_dict(hints[name], value) if inner else value

  return cls(**{name: nested(name, value) for name, value in values.items()})
