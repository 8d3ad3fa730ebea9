"""Initialises the model of a run with the weights of another run, all of them or those of one part.

Weights are found by their paths. A table with a row for each token of a vocabulary is taken only if both runs have the
same vocabulary of that language.
"""
import re
from typing import Any

from absl import logging

from tf_nar import pretrained
from tf_nar import runs
from tf_nar import settings
from tf_nar.data import vocab as vocab_lib
from tf_nar.layers import owners

# Sizes and layout, which a frozen run must have in common with the part of a model that it fills, but for `_FREE`: what
# does not change its function, and what is checked with its weights.
_FUNCTION = "net.", "latent."
_FREE = {f"net.{name}" for name in (
  "vocab", "source_vocab", "tie", "max_length", "dropout", "attention_dropout", "relu_dropout", "shards", "dtype")}


def start_from(run: runs.Run, workdir: str) -> None:
  """Initialises the model of a `runs.Run` with the weights of a finished run.

  From a run of another family, such as a student's teacher, it takes the weights that have the same path and shape in
  both: token embeddings, the encoder, and those blocks of the decoder that match; and those that `Traits.copies` names.
  If the nets differ in depth, each layer starts from the one at its relative depth: twelve from four, each of these
  three times. What `freeze` fills is left out.
  If only one of the source and target vocabularies is the same in both runs, the tables of the other language keep
  their initial values.

  Raises:
    ValueError: if that run is not trained yet, or has other vocabularies, another `net.tie` or other sizes.
  """
  workdir = pretrained.find(workdir)
  weights = runs.stored(workdir, run.model)
  theirs = runs.read(workdir)
  family = theirs.family
  weights = _of_depth(weights, theirs.model.net, run)
  other = _other_sides(run, workdir)
  if len(other) == 2:
    raise ValueError(f"{workdir} was trained with other vocabularies; start from a run with one that is the same, of "
                     "both languages or of one.")
  _check_tied(run, workdir, "start from")
  apart = {path for side in other for path in owners.tables(run.model, side)}
  left = apart | {variable.path for variable in _frozen(run)[1]}
  taken = [variable for variable in run.model.variables if variable.path not in left]
  if family != run.experiment.family:
    for own, copied in run.model.traits.copies.items():
      weights |= {own + path.removeprefix(copied): weights[path] for path in list(weights) if path.startswith(copied)}
    taken = [variable for variable in taken
             if variable.path.startswith(run.model.traits.shared) or runs.fits(variable, weights)]
  runs.assign(taken, weights, workdir)
  tables = ", ".join(sorted(apart))
  fresh = "".join(f" Its {side} vocabulary is another, so {tables} start at random." for side in other)
  logging.info("%d of %d variables start from %s, of family %s.%s", len(taken), len(run.model.variables), workdir,
               family, fresh)


def freeze(run: runs.Run, workdir: str) -> None:
  """Assigns the weights of a finished run, of the same sizes, to the part of a model that `Traits.frozen` names.

  Raises:
    ValueError: if the family has no such part, or if that run is not trained yet or has another vocabulary, `net.tie`
      or function.
  """
  part, variables = _frozen(run)
  if not part:
    raise ValueError(f"{run.experiment.family} takes no frozen part from another run; leave out frozen={workdir}.")
  workdir = pretrained.find(workdir)
  if _other_sides(run, workdir):
    raise ValueError(f"{workdir} was trained with another vocabulary; take a run with the same vocabulary.")
  _check_tied(run, workdir, "take")
  check_frozen(run.model.traits.frozen(run.model.config)[part], runs.read(workdir).model, workdir)
  weights = {f"{part}/{path}": value for path, value in runs.stored(workdir, run.model).items()}
  runs.assign(variables, weights, workdir)


def check_frozen(part: Any, trained: Any, name: str) -> None:
  """Raises ValueError unless a frozen part and the run called `name` that fills it have `Config`s of one function."""
  ours, theirs = ({each.name: each.value for each in settings.settings(config)} for config in (part, trained))
  free = _FREE - {"net.max_length"} if part.net.positions == "learned" else _FREE
  for setting, value in ours.items():
    if setting.startswith(_FUNCTION) and setting not in free and value != theirs.get(setting):
      raise ValueError(f"The frozen part has {setting}={value}, but {name}, whose weights it would get, has "
                       f"{setting}={theirs.get(setting)}; give both the same.")


def _frozen(run):
  """Returns the name of the part that `Traits.frozen` names, or "", and its variables."""
  part = "".join(run.model.traits.frozen(run.model.config))
  return part, [variable for variable in run.model.variables if part and variable.path.startswith(f"{part}/")]


def _of_depth(weights, theirs, run):
  """Returns weights {path: array} by the paths of a `runs.Run` whose net has other numbers of layers than `theirs`."""
  ours = run.experiment.model.net
  for part in ("encoder", "decoder"):
    if getattr(ours, f"{part}_layers") == getattr(theirs, f"{part}_layers"):
      continue
    block = re.compile(rf"(?:.*/)?{part}/block_(\d+)/")
    layers = [{int(found[1]) for found in map(block.match, paths) if found}
              for paths in (weights, [variable.path for variable in run.model.variables])]
    has, wanted = map(len, layers)
    logging.info("%s of %d layers: each starts from the one of %d at its relative depth.", part, wanted, has)
    found = {}
    for path, value in weights.items():
      if (own := block.match(path)) is None:
        found[path] = value
        continue
      for layer in range(wanted):
        if layer * has // wanted == int(own[1]):
          found[f"{path[:own.start(1)]}{layer}{path[own.end(1):]}"] = value
    weights = found
  return weights


def _other_sides(run, workdir):
  """Returns the languages, "source" and "target", whose vocabulary is not the same in a finished run."""
  ours, theirs = run.vocab, vocab_lib.load(workdir)
  pairs = {"source": (ours.source, theirs.source), "target": (ours, theirs)}
  return [side for side, (own, other) in pairs.items() if own.files() != other.files()]


def _check_tied(run, workdir, verb):
  """Raises ValueError if a finished run shares its token tables otherwise than a `runs.Run` does."""
  theirs, ours = runs.read(workdir).model.net.tied, run.experiment.model.net.tied
  if theirs != ours:
    raise ValueError(f"{workdir} was trained with net.tie={theirs}, but this model has net.tie={ours}; {verb} a run "
                     "with the same.")
