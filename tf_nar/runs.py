"""The run folder: a model with all that it takes to translate, and nothing outside it.

  config.json   the effective experiment, `model.net.vocab` filled in
  vocab.*, bpe.codes
  weights.npz   every weight under its path; what `load` reads
"""
import dataclasses
import io
import json
import os
import re
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import vocab as vocab_lib
from tf_nar.layers import shards

CONFIG, WEIGHTS = "config.json", "weights.npz"
FREE = "search.", "model.net.dtype=", "model.net.shards="  # What may be other than in training.


# Of variables in run folders of earlier versions; patterns.
RENAMED_PATHS = {r"\bwords/embeddings$": "tokens/embeddings", r"\bembed/places$": "embed/positions",
                 r"/widen/": "/ffn_in/", r"/narrow/": "/ffn_out/", r"/attend_self/": "/self_attend/",
                 r"/attend_memory/": "/cross_attend/"}


class Run(NamedTuple):
  """A model that can translate, and how it came about."""

  experiment: config.Experiment
  model: keras.Model
  vocab: Any  # A vocabulary of data/vocab.py.
  workdir: str


def create(experiment, vocab, workdir):
  """Makes a run folder around a new, untrained model; or opens the same one again. See `plan` for what it refuses."""
  run = plan(experiment, vocab, workdir)
  write(run)
  return run


def plan(experiment, vocab, workdir):
  """Returns the `Run` of a new, untrained model and writes nothing yet, for one that may still be refused.

  Raises:
    ValueError: if another model or vocabulary already lives in the folder, or a finished run that was
      trained otherwise; of an unfinished one the settings of training may change. Or if model or search are of another
      family, the vocabulary has no `<mask>` and the family needs one, or weights were to be bfloat16.
  """
  models.check(experiment)
  if experiment.model.net.dtype == "bfloat16":
    raise ValueError("net.dtype=bfloat16 has weights in which small updates are lost; train with mixed_bfloat16 or "
                     "float32, and export with --weights=bfloat16.")
  if experiment.model.net.shards != 1:
    raise ValueError(f"net.shards={experiment.model.net.shards} is to translate, a net is trained whole; train with 1 "
                     "and export with --shards.")
  keras.utils.set_random_seed(experiment.train.seed)  # Weights; all other noise has seeds of its own.
  model = models.build(experiment.family, experiment.model, len(vocab), vocab.within_words())
  if model.traits.needs_mask and not vocab.has_mask:
    raise ValueError(f"{experiment.family} needs {types.SPECIALS[types.MASK]} as word {types.MASK} of the vocabulary, "
                     "which has another; make the data folder with data_prep/prepare.py.")
  experiment = dataclasses.replace(experiment, model=model.config)
  if tf.io.gfile.exists(os.path.join(workdir, CONFIG)):
    old = read(workdir)
    _same_model(old, experiment, workdir)
    # What is on disk must stay true: nothing will train these weights again.
    if tf.io.gfile.exists(os.path.join(workdir, WEIGHTS)) and old.train != experiment.train:
      raise ValueError(
        f"{workdir} is finished, and was trained with other settings than those asked for; give the same "
        f"ones, or another --workdir, perhaps with --warm_start={workdir}.")
    if vocab_lib.load(workdir).sha256 != vocab.sha256:
      raise ValueError(f"{workdir} was trained with another vocabulary; choose another --workdir.")
  return Run(experiment, model, vocab, workdir)


def write(run):
  """Makes the run folder of a `Run`, without weights."""
  tf.io.gfile.makedirs(run.workdir)
  run.vocab.save(run.workdir)
  values = json.dumps(dataclasses.asdict(run.experiment), indent=2)
  atomic.write(os.path.join(run.workdir, CONFIG), values.encode())


def load(workdir, overrides=()):
  """Opens a finished run.

  Args:
    workdir: a run folder.
    overrides: assignments as "search.beam=1".

  Raises:
    ValueError: if there is no run, it has not been trained yet, or an override would change what was trained.
  """
  if fixed := [each for each in overrides if not each.startswith(FREE)]:
    raise ValueError(f"{workdir} is trained; --set changes its search, as search.alpha=1.0, and not {fixed[0]}.")
  experiment = config.override(read(workdir), *overrides)
  vocab = vocab_lib.load(workdir)
  model = models.build(experiment.family, experiment.model, len(vocab), vocab.within_words())
  load_weights(model, workdir)
  return Run(experiment, model, vocab, workdir)


def save_weights(weights, workdir):
  """Writes weights.npz: `weights` maps the path of a variable to its array."""
  data = io.BytesIO()
  np.savez(data, **weights)
  atomic.write(os.path.join(workdir, WEIGHTS), data.getvalue())


def load_weights(model, workdir):
  """Fills a model with the weights of a run.

  Raises:
    ValueError: if the run is not trained yet, or naming a variable that it does not have in this shape.
  """
  _take(model.variables, _weights(workdir, model), workdir)


def start_from(run, workdir):
  """Fills the model of a `Run` with the weights of a finished run, as to go on from them.

  From a run of another family it takes what both have under one name and in one shape: words, encoder, and the
  blocks of the decoder that are alike: so a student starts from its teacher.

  Raises:
    ValueError: if that run is not trained yet, has another vocabulary, or a net of other sizes.
  """
  weights = _weights(workdir, run.model)
  family = read(workdir).family
  if vocab_lib.load(workdir).sha256 != run.vocab.sha256:
    raise ValueError(f"{workdir} was trained with another vocabulary; start from a run on text prepared alike.")
  if family == run.experiment.family:
    taken = run.model.variables
  else:
    taken = [variable for variable in run.model.variables
             if variable.path.startswith(run.model.traits.shared) or _fits(variable, weights)]
  _take(taken, weights, workdir)
  logging.info("%d of %d weights are those of %s, of family %s.", len(taken), len(run.model.variables), workdir, family)


def freeze(run, workdir):
  """Fills the part of a model that `Traits.frozen` names with the weights of a finished run, which has the same net.

  Raises:
    ValueError: if the family has no such part, or that run is not trained yet, has another vocabulary or other sizes.
  """
  part = run.model.traits.frozen
  if not part:
    raise ValueError(f"{run.experiment.family} has no part that another run fills; leave out frozen={workdir}.")
  if vocab_lib.load(workdir).sha256 != run.vocab.sha256:
    raise ValueError(f"{workdir} was trained with another vocabulary; take a run on text prepared alike.")
  weights = {f"{part}/{path}": value for path, value in _weights(workdir, run.model).items()}
  _take([variable for variable in run.model.variables if variable.path.startswith(f"{part}/")], weights, workdir)


def _weights(workdir, model):
  """Returns {path: array} of a finished run, in as many shards as the model is."""
  if not tf.io.gfile.exists(os.path.join(workdir, WEIGHTS)):
    raise ValueError(
      f"{workdir} has no {WEIGHTS}: its training has not saved a model yet; wait, or start it again.")
  with tf.io.gfile.GFile(os.path.join(workdir, WEIGHTS), "rb") as file:
    weights = dict(np.load(io.BytesIO(file.read())))  # Each array once; the archive would read it at every look.
  weights = {_todays_path(path): value for path, value in weights.items()}
  return shards.cut(weights, model.config.net.shards)


def _todays_path(path):
  """Returns the path that a variable of an older version has in this one."""
  for old, new in RENAMED_PATHS.items():
    path = re.sub(old, new, path)
  return path


def _fits(variable, weights):
  return variable.path in weights and weights[variable.path].shape == tuple(variable.shape)


def _take(variables, weights, workdir):
  for variable in variables:
    if not _fits(variable, weights):
      raise ValueError(
        f"{workdir} has no weight {variable.path} of shape {tuple(variable.shape)}; "
        "its model has another family or other sizes.")
    variable.assign(weights[variable.path])


def read(workdir):
  """Returns the `config.Experiment` of a run folder.

  Raises:
    ValueError: if there is no run.
  """
  path = os.path.join(workdir, CONFIG)
  if not tf.io.gfile.exists(path):
    raise ValueError(
      f"No run at {workdir} (no {CONFIG}); give the --workdir of a bin/train.py, or a model of bin/em.py.")
  with tf.io.gfile.GFile(path) as file:
    return experiment(json.load(file))


def experiment(values):
  """Returns the `config.Experiment` that `dataclasses.asdict` gave; fields that are newer have their defaults."""
  family = models.family(values["family"])
  parts = {name: config.from_dict(kind, values[name])
           for name, kind in (("model", family.Config), ("search", family.Search))}
  own = lambda phase: phase | {"experiment": phase["experiment"] and experiment(phase["experiment"])}
  return config.from_dict(config.Experiment, values | parts | {"phases": list(map(own, values.get("phases", ())))})


def _same_model(old, new, workdir):
  for part in ("family", "model"):
    if getattr(old, part) != getattr(new, part):
      raise ValueError(
        f"{workdir} holds a run with another {part}: {getattr(old, part)}; asked for was "
        f"{getattr(new, part)}. Choose another --workdir.")
