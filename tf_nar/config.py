"""The dataclasses of an experiment: `configs/*.py` return them, `--set` changes them, a workdir records them."""
import dataclasses
import re
from typing import Any, Collection, Iterable, Sequence

from tf_nar import configfile
from tf_nar import overrides

named, override, from_dict = configfile.named, overrides.override, overrides.from_dict
UNTIL = re.compile(r"(\w+)([<>])(\d+\.?\d*)")  # `Train.until`.


def check_choice(name: str, value: str, choices: Collection[str]) -> None:
  """Raises ValueError unless `value` is one of `choices`, which are strings; `name` is the field's full name."""
  if value not in choices:
    raise ValueError(f"{name} is one of {', '.join(choices)}; got {value!r}.")


def check_at_least(least: float, node: Any, *names: str, group: str = "") -> None:
  """Raises ValueError if a field `names` of the dataclass `node` is below `least`; messages prefix it with `group`."""
  for name in names:
    if getattr(node, name) < least:
      raise ValueError(f"{group}{name} is at least {least}; got {getattr(node, name)}.")


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
  # measurement before the first update; cooldown and schedules shrink alike, see `budget.scaled`. Validation is extra.
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
  frozen: str = ""  # An earlier phase, or "warm_start", the run given by --warm_start, whose weights become the frozen
  # part of this phase's model.
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
      if phase.frozen and phase.frozen not in (*before, "warm_start"):
        raise ValueError(f"Phase {phase.name} has frozen={phase.frozen}; give warm_start or an earlier phase: "
                         f"{', '.join(before) or 'none'}.")
      before.append(phase.name)
      self.in_phase(phase)

  def in_phase(self, phase: Phase) -> "Experiment":
    """Returns the experiment that a phase trains: one without phases or sweep.

    Raises:
      ValueError: if the changes of the phase do not fit; the message names the phase.
    """
    own = dataclasses.replace(phase.experiment or self, phases=(), sweep=())
    try:
      return override(own, *phase.changes)
    except ValueError as problem:
      raise ValueError(f"Phase {phase.name}: {problem}") from None


def load(path: str | Sequence[str], wanted: type, assignments: Iterable[str] = (), data_dir: str | None = None) -> Any:
  """Runs a config file and returns the result of its get_config(), with overrides applied.

  Args:
    path: the file, or the name of a config that comes with the package, such as ar_multi30k. Or a list, whose others
      are files of settings; see `configfile.assignments`.
    wanted: the class that get_config() must return, such as `Experiment`.
    assignments: overrides, passed to `override` after those of the files, so that they count.
    data_dir: the data folder, passed to a get_config(data_dir=None) that chooses sizes and budgets by it.

  Raises:
    ValueError: if the file does not exist, is not a Python program or has no get_config(), if get_config() returns
      something else, or if an assignment does not fit.
  """
  path, *more = [path] if isinstance(path, str) else path
  node = configfile.made(path, data_dir)
  if not isinstance(node, wanted):
    raise ValueError(
      f"{path} must return {wanted.__name__}; got {type(node).__name__}. Give an Experiment to bin/train.py and an "
      "Alternation to bin/em.py.")
  return override(node, *(each for file in more for each in configfile.assignments(file)), *assignments)
