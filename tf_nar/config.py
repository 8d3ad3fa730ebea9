"""One experiment: what `configs/*.py` return, what `--set` changes and what a workdir records."""
import ast
import dataclasses
import difflib
import inspect
import re
import runpy
import typing
from typing import Any

from tf_nar import configfile

named = configfile.named


def check_choice(name, value, choices):
  """Refuses a `value` that is none of the `choices`, strings, for the field `name`."""
  if value not in choices:
    raise ValueError(f"{name} is one of {', '.join(choices)}; got {value!r}.")


def check_at_least(least, node, *names, group=""):
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
    check_choice("optimizer.schedule", self.schedule, ("inverse_sqrt", "nat_em"))
    check_at_least(0, self, "warmup", "cooldown", "weight_decay", "clip_norm", group="optimizer.")
    check_at_least(1, self, "accumulate", group="optimizer.")


@dataclasses.dataclass(frozen=True)
class Train:
  """How long, on how much at a time, and what is kept. Durations are in updates."""

  steps: int = 100_000  # Updates.
  minutes: float = 0.0  # Fewer updates where these would take longer, as is measured before the first; warm-up,
  # cooldown and schedules shrink alike, and validation comes on top. 0: no bound.
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
    check_choice("train.average_of", self.average_of, ("last", "best"))
    check_at_least(1, self, "steps", "tokens_per_batch", "max_length", "buckets", "log_every", "validate_every", "keep",
             "average", group="train.")
    check_at_least(0, self, "minutes", "validate_sentences", "patience", group="train.")
    if self.average > self.keep:
      raise ValueError(
        f"train.average ({self.average}) needs that many checkpoints, but train.keep is {self.keep}.")
    if not 0 <= self.ema < 1:
      raise ValueError(f"train.ema is a decay from 0 (none) to below 1, as 0.999; got {self.ema}.")


@dataclasses.dataclass(frozen=True)
class Phase:
  """One of several trainings that make an experiment; `recipe.py` runs them in their order."""

  name: str  # Its run folder is WORKDIR/phases/NAME.
  changes: tuple = ()  # Overrides of the experiment for this phase alone, as ("model.ngrams=2", "train.steps=300").
  text: str = "given"  # The folder of --data_dir; or "original": of --original_dir, in EM the true text.
  start: str = "before"  # Its first weights: those of the phase before; "warm_start": of the run that is given as such,
  # or random ones where none is; "scratch": random ones.
  frozen: str = ""  # An earlier phase, whose run fills the frozen part of this one's model.
  experiment: Any = None  # An `Experiment` of its own, as of another family, which `changes` then override.

  def __post_init__(self):
    if not re.fullmatch(r"\w[\w-]*", str(self.name)):
      raise ValueError(f"The name of a phase is that of a folder, of letters, digits, - and _; got {self.name!r}.")
    check_choice(f"phases.{self.name}.text", self.text, ("given", "original"))
    check_choice(f"phases.{self.name}.start", self.start, ("before", "scratch", "warm_start"))
    if self.experiment is not None and (not isinstance(self.experiment, Experiment) or self.experiment.phases):
      raise ValueError(f"phases.{self.name}.experiment is an Experiment without phases, or None; "
                       f"got {self.experiment!r}.")


@dataclasses.dataclass(frozen=True)
class Experiment:
  """A model, how to train it, and the search that validates it."""

  family: str  # A key of `models.FAMILIES`.
  model: Any  # That family's `Config`.
  search: Any  # That family's `Search`.
  train: Train = Train()
  phases: tuple[Phase, ...] = ()  # Trainings in order, of which the last is the result; none: one, of what is above.
  sweep: tuple = ()  # Options of the search and their values, as "search.beam=5,20", of which validation text chooses
  # when all is trained.

  def __post_init__(self):
    before = []
    for phase in self.phases:
      if not isinstance(phase, Phase):
        raise ValueError(f"phases are of config.Phase; got {phase!r}.")
      if phase.name in before:
        raise ValueError(f"Two phases have the name {phase.name!r}; each has a folder of its own.")
      if phase.start == "before" and not before:
        raise ValueError(f"Phase {phase.name} is the first, so there is none before it to start from; set "
                         "start=warm_start or start=scratch.")
      if phase.frozen and phase.frozen not in before:
        raise ValueError(f"Phase {phase.name} has frozen={phase.frozen}, which is no phase before it.")
      before.append(phase.name)
      self.in_phase(phase)

  def in_phase(self, phase):
    """Returns the experiment, without phases, that a phase trains.

    Raises:
      ValueError: naming the phase, for changes that do not fit.
    """
    own = dataclasses.replace(phase.experiment or self, phases=(), sweep=())
    try:
      return override(own, *phase.changes)
    except ValueError as problem:
      raise ValueError(f"Phase {phase.name}: {problem}") from None


def load(path, wanted, assignments=(), data_dir=None):
  """Runs a config file and returns what its get_config() gives, overridden.

  Args:
    path: the file, or the name of a config that comes with the package, as ar_multi30k.
    wanted: the class that it must give, as `Experiment`.
    assignments: for `override`.
    data_dir: the data folder, for a get_config(data_dir=None) that looks at it to choose sizes and budgets.

  Raises:
    ValueError: if the file is not there, is no program, gives something else, or an assignment does not fit.
  """
  path = configfile.found(path)
  try:
    made = runpy.run_path(path)
  except SyntaxError as error:
    raise ValueError(f"{path}, line {error.lineno}: {error.msg}; a config is a Python program.") from error
  if "get_config" not in made:
    raise ValueError(f"{path} defines no get_config(); a config does, as those in configs/ show.")
  takes = data_dir and "data_dir" in inspect.signature(made["get_config"]).parameters
  node = made["get_config"](**{"data_dir": data_dir} if takes else {})
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
  """Applies changes as "NAME.start=scratch", to a field of a phase, and "NAME.train.steps=5", to what it trains."""
  names, fields = [phase.name for phase in phases], [field.name for field in dataclasses.fields(Phase)]
  for path, _, assignment in changes:
    if len(path) < 2 or path[0] not in names:
      raise ValueError(f"--set {assignment}: wants a phase and its setting, as phases.{names[0]}.train.steps=500; the "
                       f"phases are {', '.join(names)}.")
  result = []
  for phase in phases:
    mine = [(path[1:], text, assignment) for path, text, assignment in changes if path[0] == phase.name]
    own = [each for each in mine if each[0][0] in fields]
    phase = _replace(phase, own) if own else phase
    more = [f"{'.'.join(path)}={text}" for path, text, _ in mine if path[0] not in fields]
    result.append(dataclasses.replace(phase, changes=(*phase.changes, *more)) if more else phase)
  return tuple(result)


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

  return cls(**{name: _rebuilt(hints[name], value) for name, value in values.items()})


def _rebuilt(kind, value):
  """Returns the value of a field of a type, of what JSON knows: dicts and lists."""
  if dataclasses.is_dataclass(kind) and isinstance(value, dict):
    return from_dict(kind, value)
  if isinstance(value, (list, tuple)) and tuple in (kind, typing.get_origin(kind)):
    inner = next(iter(typing.get_args(kind)), None)
    return tuple(_rebuilt(inner, each) for each in value)
  return value
