"""Initialises the model of a run with the weights of another run, all of them or those of one part.

Weights are found by their paths. A table with a row for each token of a vocabulary is taken only if both runs have the
same vocabulary of that language.
"""
import collections
import re
from typing import Any

from absl import logging

from tf_nar import models
from tf_nar import pretrained
from tf_nar import runs
from tf_nar import settings
from tf_nar.data import vocab as vocab_lib
from tf_nar.layers import owners

FROZEN = "The frozen part"  # As `check_function` calls it.
# Sizes and layout, which a frozen run must have in common with the part of a model that it fills, but for `_FREE`: what
# does not change its function, and what is checked with its weights.
_FUNCTION = "net.", "latent."
_FREE = {f"net.{name}" for name in (
  "vocab", "source_vocab", "tie", "max_length", "dropout", "attention_dropout", "relu_dropout", "shards", "dtype")}


def start_from(run: runs.Run, workdir: str) -> None:
  """Initialises the model of a `runs.Run` with the weights of a finished run.

  From a run of another family, such as a student's teacher, it takes the weights that have the same path and shape in
  both: token embeddings, the encoder, and those blocks of the decoder that match; and those that `Traits.copies` names.
  A part of that run that `Traits.frozen` names is a whole model, whose weights are taken as those of a run of its own.
  If the nets differ in depth, each layer starts from the one at its relative depth: twelve from four, each of these
  three times. What `freeze` fills is left out.
  If only one of the source and target vocabularies is the same in both runs, the tables of the other language keep
  their initial values.

  Raises:
    ValueError: if that run is not trained yet, or has other vocabularies, another `net.tie` or other sizes.
  """
  workdir = pretrained.find(workdir)
  weights, theirs = runs.stored(workdir, run.model), runs.read(workdir)
  other = _other_sides(run, workdir)
  if len(other) == 2:
    raise ValueError(f"{workdir} was trained with other vocabularies; start from a run with one that is the same, of "
                     "both languages or of one.")
  apart = {path for side in other for path in owners.tables(run.model, side)}
  taken = _start(run, weights, theirs, workdir, apart)
  tables = ", ".join(sorted(apart))
  fresh = "".join(f" Its {side} vocabulary is another, so {tables} start at random." for side in other)
  logging.info("%d of %d variables start from %s, of family %s.%s", len(taken), len(run.model.variables), workdir,
               theirs.family, fresh)


def freeze(run: runs.Run, workdir: str) -> None:
  """Assigns the weights of a finished run, of the same sizes, to the part of a model that `Traits.frozen` names.

  Raises:
    ValueError: if the family has no such part, or if that run is not trained yet or has another vocabulary, `net.tie`
      or function.
  """
  if not _frozen(run)[0]:
    raise ValueError(f"{run.experiment.family} takes no frozen part from another run; leave out frozen={workdir}.")
  workdir = pretrained.find(workdir)
  if _other_sides(run, workdir):
    raise ValueError(f"{workdir} was trained with another vocabulary; take a run with the same vocabulary.")
  _freeze(run, runs.stored(workdir, run.model), runs.read(workdir), workdir)


def check(run: runs.Run, before: runs.Run | None, frozen: runs.Run | None) -> None:
  """Raises what `start_from` and `freeze` would raise of a run that is planned, like those that it will be given.

  Args:
    run: a `runs.Run`, whose weights are changed.
    before: that which it starts from, of the same vocabulary; or None.
    frozen: that which fills its frozen part, of the same vocabulary; or None.
  """
  name = lambda planned: f"The run of {planned.workdir}"
  weights = lambda planned: {variable.path: variable.numpy() for variable in planned.model.variables}
  if before:
    _start(run, weights(before), before.experiment, name(before))
  if frozen:
    _freeze(run, weights(frozen), frozen.experiment, name(frozen))


def _start(run, weights, theirs, name, apart=()):
  """Assigns weights {path: array} of the `config.Experiment` `theirs`, in the run `name`, as `start_from` does.

  Returns the variables that it assigned. Those of the paths `apart` keep their values.
  """
  _check_tied(run, theirs, name, "start from")
  same = theirs.family == run.experiment.family
  if not same:
    for part in models.traits(theirs.family).frozen(theirs.model):
      weights = weights | _renamed(weights, f"{part}/", "")
    for own, copied in run.model.traits.copies.items():
      weights = _renamed(weights, copied, own) | weights  # What has the path already is nearer.
  weights = _of_depth(weights, run)
  left = {*apart, *(variable.path for variable in _frozen(run)[1])}
  wanted = lambda variable: same or variable.path.startswith(run.model.traits.shared) or runs.fits(variable, weights)
  taken = [variable for variable in run.model.variables if variable.path not in left and wanted(variable)]
  runs.assign(taken, weights, name)
  return taken


def _freeze(run, weights, theirs, name):
  """Assigns weights {path: array} of the `config.Experiment` `theirs`, in the run `name`, as `freeze` does."""
  part, variables = _frozen(run)
  _check_tied(run, theirs, name, "take")
  check_function(run.model.traits.frozen(run.model.config)[part], theirs.model, FROZEN, name)
  runs.assign(variables, _renamed(weights, "", f"{part}/"), name)


def _renamed(weights, old, new):
  """Returns those of the weights {path: array} whose path begins with `old`, which becomes `new`."""
  return {new + path.removeprefix(old): value for path, value in weights.items() if path.startswith(old)}


def check_function(config: Any, trained: Any, what: str, name: str) -> None:
  """Raises ValueError unless the `Config` of `what` is of the same function as that of the run `name` that fills it."""
  ours, theirs = ({each.name: each.value for each in settings.settings(one)} for one in (config, trained))
  free = _FREE - {"net.max_length"} if config.net.positions == "learned" else _FREE
  for setting, value in ours.items():
    if setting.startswith(_FUNCTION) and setting not in free and value != theirs.get(setting):
      raise ValueError(f"{what} has {setting}={value}, but {name}, whose weights it would get, has "
                       f"{setting}={theirs.get(setting)}; give both the same.")


def _frozen(run):
  """Returns the name of the part that `Traits.frozen` names, or "", and its variables."""
  part = "".join(run.model.traits.frozen(run.model.config))
  return part, [variable for variable in run.model.variables if part and variable.path.startswith(f"{part}/")]


def _of_depth(weights, run):
  """Returns weights {path: array} with as many blocks in each stack as the model of a `runs.Run` has."""
  block = re.compile(r"((?:.*/)?block_)(\d+)/")

  def depths(paths):
    found = collections.defaultdict(set)
    for each in filter(None, map(block.match, paths)):
      found[each[1]].add(each[2])
    return {stack: len(numbers) for stack, numbers in found.items()}

  has, wanted = depths(weights), depths(variable.path for variable in run.model.variables)
  found = {}
  for path, value in weights.items():
    own = block.match(path)
    stack = own[1] if own else ""
    layers, old = wanted.get(stack, 0), has.get(stack, 0)
    if layers in (0, old):
      found[path] = value
      continue
    for layer in range(layers):
      if layer * old // layers == int(own[2]):
        found[f"{stack}{layer}/{path[own.end():]}"] = value
  for stack in has.keys() & wanted.keys():
    if has[stack] != wanted[stack]:
      logging.info("%s of %d layers: each starts from the one of %d at its relative depth.", stack.rpartition("/")[0],
                   wanted[stack], has[stack])
  return found


def _other_sides(run, workdir):
  """Returns the languages, "source" and "target", whose vocabulary is not the same in a finished run."""
  ours, theirs = run.vocab, vocab_lib.load(workdir)
  pairs = {"source": (ours.source, theirs.source), "target": (ours, theirs)}
  return [side for side, (own, other) in pairs.items() if own.files() != other.files()]


def _check_tied(run, theirs, name, verb):
  """Raises ValueError if the `config.Experiment` of the run `name` shares token tables otherwise than a `runs.Run`."""
  theirs, ours = theirs.model.net.tied, run.experiment.model.net.tied
  if theirs != ours:
    raise ValueError(f"{name} was trained with net.tie={theirs}, but this model has net.tie={ours}; {verb} a run "
                     "with the same.")
