"""The dataclasses of an experiment: `configs/*.py` return them, `--set` changes them, a workdir records them."""
import ast
import dataclasses
import difflib
import re
import typing
from typing import Any

from tf_nar import configfile

named = configfile.named
UNTIL = re.compile(r"(\w+)([<>])(\d+\.?\d*)")  # `Train.until`.


def check_choice(name, value, choices):
  """Raises ValueError unless `value` is one of `choices`, which are strings; `name` is the field's full name."""
  if value not in choices:
    raise ValueError(f"{name} is one of {', '.join(choices)}; got {value!r}.")


def check_at_least(least, node, *names, group=""):
  """Raises ValueError if a field `names` of the dataclass `node` is below `least`; messages prefix it with `group`."""
  for name in names:
    if getattr(node, name) < least:
      raise ValueError(f"{group}{name} is at least {least}; got {getattr(node, name)}.")


# {dataclass: {a field's earlier name: its name today}}, so that old run folders and old --set options still work.
RENAMED = {"Search": dict.fromkeys(("lengths", "samples", "nbest"), "candidates") | {
  "least": "min_masked", "rewrite": "repredict_all",
  "odd_within_words": "odd_everywhere"}}


@dataclasses.dataclass(frozen=True)
class Optimizer:
  """Adam and its learning rate schedule; the equations are in `train/optimizer.py`."""

  learning_rate: float = 5e-4  # Peak learning rate; with schedule="nat_em" the multiplier lr0.
  warmup: int = 4_000  # Updates in which the learning rate rises to its peak.
  cooldown: int = 0  # Last updates, in which the learning rate falls to 0. Ship the last weights then: average=1.
  schedule: str = "inverse_sqrt"  # Decay after the warm-up: "inverse_sqrt"; "cosine", to 0 at the last update; or
  # "nat_em", the original program's.
  beta_1: float = 0.9  # Decay of the moving average of the gradients.
  beta_2: float = 0.98  # Decay of the moving average of the squared gradients.
  epsilon: float = 1e-9  # Added to the root of the second moment.
  bias_correction: bool = True  # Whether Adam's moments are corrected for bias; the original program does not.
  weight_decay: float = 0.0  # Decoupled weight decay; layer norms and output biases are exempt.
  clip_norm: float = 1.0  # Largest global norm of the gradient; 0 clips nothing.
  accumulate: int = 1  # Micro-batches per update.

  def __post_init__(self):
    check_choice("optimizer.schedule", self.schedule, ("inverse_sqrt", "cosine", "nat_em"))
    check_at_least(0, self, "warmup", "cooldown", "weight_decay", "clip_norm", group="optimizer.")
    check_at_least(1, self, "accumulate", group="optimizer.")


@dataclasses.dataclass(frozen=True)
class Train:
  """Length of training, batches, validation and checkpoints. Durations are in updates."""

  steps: int = 100_000  # Updates.
  minutes: float = 0.0  # Makes fewer than `steps` updates if these would take longer than this many minutes, by a
  # measurement before the first update; warm-up, cooldown and schedules shrink alike. Validation is extra. 0: no limit.
  tokens_per_batch: int = 8_192  # Padded target tokens per batch.
  max_length: int = 256  # Tokens with EOS; longer pairs are left out and counted.
  buckets: int = 6  # Number of padded lengths; with `jit` each is compiled once.
  seed: int = 0  # Seed of the initial weights, the order of the training pairs, dropout and every other random draw.
  optimizer: Optimizer = Optimizer()
  log_every: int = 100  # Updates between two lines of the log.
  validate_every: int = 1_000  # Updates between two validations; each also writes a checkpoint and checks patience.
  validate_sentences: int = 0  # Validation pairs used, from the first on; 0: all.
  patience: int = 0  # Validations without a better BLEU before the run stops; 0: never.
  until: str = ""  # Ends the run at the first validation where this holds, such as errors<0.02; it must within `steps`.
  keep: int = 10  # Checkpoints kept on disk.
  average: int = 1  # Checkpoints averaged into the shipped weights, of those after the warm-up.
  average_of: str = "last"  # Which checkpoints are averaged: the "last", or the "best" by validation BLEU.
  ema: float = 0.0  # Decay of a moving average of the weights, which is validated and shipped instead; 0: none.
  nonfinite: str = "stop"  # If a loss or gradient is NaN or infinite: "stop" the run, or "skip" the update. Either
  # writes its sentence pairs to nonfinite.jsonl in the run folder.
  jit: bool = False  # Whether XLA compiles the whole training step.

  def __post_init__(self):
    check_choice("train.nonfinite", self.nonfinite, ("stop", "skip"))
    check_choice("train.average_of", self.average_of, ("last", "best"))
    check_at_least(1, self, "steps", "tokens_per_batch", "max_length", "buckets", "log_every", "validate_every", "keep",
             "average", group="train.")
    check_at_least(0, self, "minutes", "validate_sentences", "patience", group="train.")
    if self.average > self.keep:
      raise ValueError(
        f"train.average={self.average} needs that many checkpoints, but train.keep={self.keep}; raise train.keep.")
    if self.until and not UNTIL.fullmatch(self.until):
      raise ValueError(f"train.until bounds a number of the validation, such as errors<0.02; got {self.until!r}.")
    if not 0 <= self.ema < 1:
      raise ValueError(f"train.ema must be a decay from 0 (none) to below 1, such as 0.999; got {self.ema}.")


@dataclasses.dataclass(frozen=True)
class Phase:
  """One of several trainings that make up an experiment; `recipe.py` runs them in order."""

  name: str  # Name of the phase; its run folder is WORKDIR/phases/NAME.
  changes: tuple = ()  # Overrides for this phase alone, such as ("model.ngrams=2", "train.steps=300").
  text: str = "given"  # Training text: "given", that of --data_dir; or "original", that of --original_dir, which in EM
  # is the original parallel text.
  start: str = "before"  # Initial weights: "before", those of the previous phase; "warm_start", those of the run given
  # by --warm_start, or random ones without it; "scratch", random ones.
  frozen: str = ""  # An earlier phase, whose weights become the frozen part of this phase's model.
  experiment: Any = None  # An `Experiment` that this phase trains instead, e.g. of another family, before `changes`.

  def __post_init__(self):
    if not re.fullmatch(r"\w[\w-]*", str(self.name)):
      raise ValueError("The name of a phase is also a folder name, so it must be made of letters, digits, - and _; "
                       f"got {self.name!r}.")
    check_choice(f"phases.{self.name}.text", self.text, ("given", "original"))
    check_choice(f"phases.{self.name}.start", self.start, ("before", "scratch", "warm_start"))
    if self.experiment is not None and (not isinstance(self.experiment, Experiment) or self.experiment.phases):
      raise ValueError(f"phases.{self.name}.experiment must be an Experiment without phases, or None; "
                       f"got {self.experiment!r}.")


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A model, how to train it, and the search that translates with it in validation."""

  family: str  # Model family, a key of `models.FAMILIES`.
  model: Any  # The family's `Config`.
  search: Any  # The family's `Search`.
  train: Train = Train()
  phases: tuple[Phase, ...] = ()  # Trainings in order, of which the last is the result; empty: a single training.
  sweep: tuple = ()  # Search options and the values to try, such as "search.beam=5,20"; after training, the combination
  # with the best BLEU on the validation text is chosen.

  def __post_init__(self):
    before = []
    for phase in self.phases:
      if not isinstance(phase, Phase):
        raise ValueError(f"phases must hold config.Phase objects; got {phase!r}.")
      if phase.name in before:
        raise ValueError(f"Two phases have the name {phase.name!r}; names must differ, as each names a folder.")
      if phase.start == "before" and not before:
        raise ValueError(f"Phase {phase.name} is the first, so there is no earlier phase to start from; set "
                         "start=warm_start or start=scratch.")
      if phase.frozen and phase.frozen not in before:
        raise ValueError(f"Phase {phase.name} has frozen={phase.frozen}, which is not the name of an earlier phase.")
      before.append(phase.name)
      self.in_phase(phase)

  def in_phase(self, phase):
    """Returns the experiment that a phase trains: one without phases or sweep.

    Raises:
      ValueError: if the changes of the phase do not fit; the message names the phase.
    """
    own = dataclasses.replace(phase.experiment or self, phases=(), sweep=())
    try:
      return override(own, *phase.changes)
    except ValueError as problem:
      raise ValueError(f"Phase {phase.name}: {problem}") from None


def load(path, wanted, assignments=(), data_dir=None):
  """Runs a config file and returns the result of its get_config(), with overrides applied.

  Args:
    path: the file, or the name of a config that comes with the package, such as ar_multi30k.
    wanted: the class that get_config() must return, such as `Experiment`.
    assignments: overrides, passed to `override`.
    data_dir: the data folder, passed to a get_config(data_dir=None) that chooses sizes and budgets by it.

  Raises:
    ValueError: if the file does not exist, is not a Python program or has no get_config(), if get_config() returns
      something else, or if an assignment does not fit.
  """
  node = configfile.made(path, data_dir)
  if not isinstance(node, wanted):
    raise ValueError(
      f"{path} must return {wanted.__name__}; got {type(node).__name__}. Give an Experiment to bin/train.py and an "
      "Alternation to bin/em.py.")
  return override(node, *assignments)


def override(node, *assignments):
  """Returns `node`, a tree of frozen dataclasses, with assignments such as "train.steps=500" applied.

  All are applied at once, so that their order does not matter to checks that compare two fields. If two assign the
  same field, the last counts.

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
  if changes[0][0] and isinstance(node, tuple) and node and isinstance(node[0], Phase):
    return _replace_phases(node, changes)
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


def _replace_phases(phases, changes):
  """Applies changes to a field of a phase ("NAME.start=scratch") and to its experiment ("NAME.train.steps=5")."""
  names, fields = [phase.name for phase in phases], [field.name for field in dataclasses.fields(Phase)]
  for path, _, assignment in changes:
    if len(path) < 2 or path[0] not in names:
      raise ValueError(f"--set {assignment}: expected a phase and its setting, as phases.{names[0]}.train.steps=500; "
                       f"the phases are {', '.join(names)}.")
  result = []
  for phase in phases:
    mine = [(path[1:], text, assignment) for path, text, assignment in changes if path[0] == phase.name]
    own = [each for each in mine if each[0][0] in fields]
    phase = _replace(phase, own) if own else phase
    more = [f"{'.'.join(path)}={text}" for path, text, _ in mine if path[0] not in fields]
    result.append(dataclasses.replace(phase, changes=(*phase.changes, *more)) if more else phase)
  return tuple(result)


def _today(node, name):
  """Returns the name that a field of a dataclass has in this version."""
  kind = node if isinstance(node, type) else type(node)
  if not dataclasses.is_dataclass(kind) or name in (field.name for field in dataclasses.fields(kind)):
    return name
  return RENAMED.get(kind.__name__, {}).get(name, name)


def _check_field(node, name, assignment):
  if not dataclasses.is_dataclass(node):
    raise ValueError(f"--set {assignment}: {node!r} has no fields, so {name!r} cannot be set.")
  names = [field.name for field in dataclasses.fields(node)]
  if name not in names:
    near = difflib.get_close_matches(name, names, 1)
    hint = f"Did you mean {near[0]!r}?" if near else f"The fields are: {', '.join(names)}."
    raise ValueError(f"--set {assignment}: no field {name!r}. {hint}")


def _parse(text, old, assignment):
  if dataclasses.is_dataclass(old):
    raise ValueError(f"--set {assignment}: this is a group of fields; set one of them: {', '.join(vars(old))}.")
  try:
    new = text if isinstance(old, str) else ast.literal_eval(text)
  except (ValueError, SyntaxError):
    new = text
  if isinstance(old, float) and type(new) is int:
    new = float(new)
  if type(old) is int and isinstance(new, float) and new.is_integer():
    new = int(new)  # So that 1e3 can be typed for a number of updates.
  if type(new) is not type(old):
    raise ValueError(f"--set {assignment}: expected {type(old).__name__}, such as {old!r}; got {new!r}.")
  return new


def from_dict(cls, values):
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
