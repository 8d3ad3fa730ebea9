"""The run folder, which holds a model and everything needed to translate with it.

  config.json         the experiment as trained, with overrides applied and `model.net.vocab` filled in
  vocab.*, bpe.codes  the vocabulary
  weights.npz         every weight under its variable's path; `load` reads it
  text.sha256         the hash of the training text, from the manifest of its data folder; `fit` writes it
"""
import dataclasses
import json
import os
import re
from typing import Any, Callable, Iterable, NamedTuple

import keras
import ml_dtypes
import numpy as np
import tensorflow as tf

from tf_nar import config
from tf_nar import models
from tf_nar import pretrained
from tf_nar import types
from tf_nar.data import arrays
from tf_nar.data import atomic
from tf_nar.data import json_file
from tf_nar.data import vocab as vocab_lib
from tf_nar.layers import shards

CONFIG, WEIGHTS, TEXT = "config.json", "weights.npz", "text.sha256"
# Settings that may differ from those of training.
FREE = "search.", "model.net.dtype=", "model.net.shards=", "model.scores="


# {pattern of a variable's path in run folders of earlier versions: its replacement}.
RENAMED_PATHS = {r"\bwords/embeddings$": "tokens/embeddings", r"/places$": "/positions",
                 r"/widen/": "/ffn_in/", r"/narrow/": "/ffn_out/", r"/attend_self/": "/self_attend/",
                 r"/attend_memory/": "/cross_attend/"}


class Run(NamedTuple):
  """A model with the experiment that it was trained by and its vocabulary."""

  experiment: config.Experiment
  model: keras.Model
  vocab: Any  # A vocabulary of data/vocab.py.
  workdir: str
  drafted_by: str = ""  # The family that drafts for the model, see evaluate/drafting.py; "": none.
  shortlist: str = ""  # The file of its model's shortlist, see evaluate/shortlisting.py; "": none.


def create(experiment: config.Experiment, vocab: Any, workdir: str) -> Run:
  """Writes the run folder of a new, untrained model, or opens an existing one of the same model; raises as `plan`."""
  run = plan(experiment, vocab, workdir)
  write(run)
  return run


def check(experiment: config.Experiment) -> None:
  """Checks that an experiment can be trained.

  Raises:
    ValueError: if model or search are of another family, or for bfloat16 weights or shards, which are for export only.
  """
  models.check(experiment)
  if experiment.model.net.dtype == "bfloat16":
    raise ValueError("net.dtype=bfloat16 rounds the weights, so small updates would be lost; train with mixed_bfloat16 "
                     "or float32, and export with --weights=bfloat16.")
  if experiment.model.net.shards != 1:
    raise ValueError(f"net.shards={experiment.model.net.shards} is for translation only; train with 1 and export with "
                     "--shards.")


def plan(experiment: config.Experiment, vocab: Any, workdir: str) -> Run:
  """Returns the `Run` of a new, untrained model, after checking it against the folder; writes nothing.

  Raises:
    ValueError: if the folder already holds another model or vocabulary, or a finished run that was trained with other
      settings, apart from fewer `train.steps` (all those of an unfinished run may change). Also if the family needs
      `<mask>` and the vocabulary has none, or as `check`.
  """
  check(experiment)
  keras.utils.set_random_seed(experiment.train.seed)  # Of the initial weights; other draws have their own.
  model = _built(experiment, vocab)
  if model.traits.needs_mask and not vocab.has_mask:
    raise ValueError(f"{experiment.family} needs {types.SPECIALS[types.MASK]} as token {types.MASK} of the vocabulary, "
                     "which has another token there; make the data folder with data_prep/prepare.py.")
  experiment = dataclasses.replace(experiment, model=model.config)
  if tf.io.gfile.exists(os.path.join(workdir, CONFIG)):
    old = read(workdir)
    _same_model(old, experiment, workdir)
    # Finished weights are not trained again, so config.json must keep the settings that they were trained with.
    if is_finished(workdir) and not _goes_on(old.train, experiment.train):
      raise ValueError(
        f"{workdir} is finished, and was trained with other settings than those requested; give the same "
        f"ones, more train.steps, or another --workdir, perhaps with --warm_start={workdir}.")
    if vocab_lib.load(workdir).sha256 != vocab.sha256:
      raise ValueError(f"{workdir} was trained with another vocabulary; choose another --workdir.")
  return Run(experiment, model, vocab, workdir)


def _built(experiment, vocab):
  return models.build(experiment.family, experiment.model, len(vocab), vocab.repeatable(), vocab.source_size)


def is_finished(workdir: str) -> bool:
  """Whether a run folder has the weights that its training ends with."""
  return tf.io.gfile.exists(os.path.join(workdir, WEIGHTS))


def is_lengthened(experiment: config.Experiment, workdir: str) -> bool:
  """Whether an experiment has more updates than those that the finished run of a folder was trained for."""
  return is_finished(workdir) and read(workdir).train.steps < experiment.train.steps


def write(run: Run) -> None:
  """Writes the run folder of a `Run`, without weights."""
  tf.io.gfile.makedirs(run.workdir)
  run.vocab.save(run.workdir)
  values = json.dumps(dataclasses.asdict(run.experiment), indent=2)
  atomic.write(os.path.join(run.workdir, CONFIG), values.encode())


def load(workdir: str, overrides: Iterable[str] = ()) -> Run:
  """Opens a finished run.

  Args:
    workdir: a run folder, or the name of one of `pretrained`.
    overrides: assignments such as "search.beam=1"; see `FREE` for the settings that can be changed.

  Raises:
    ValueError: if there is no run, if it is not trained yet, or if an override would change the trained model or is
      nothing that it can do.
  """
  if fixed := [each for each in overrides if not each.startswith(FREE)]:
    raise ValueError(f"{workdir} is trained, so --set can only change its search, as search.alpha=1.0; got {fixed[0]}.")
  workdir = pretrained.find(workdir)
  experiment = config.override(read(workdir), *overrides)
  models.check(experiment)
  vocab = vocab_lib.load(workdir)
  model = _built(experiment, vocab)
  load_weights(model, workdir)
  return Run(experiment, model, vocab, workdir)


def save_weights(weights: dict[str, np.ndarray], workdir: str) -> None:
  """Writes weights.npz: `weights` maps the path of a variable to its array.

  Arrays of bfloat16, a type that the format lacks, are stored as uint16, which no variable has.
  """
  packed = lambda array: array.view(np.uint16) if array.dtype == ml_dtypes.bfloat16 else array
  arrays.write(os.path.join(workdir, WEIGHTS), {path: packed(array) for path, array in weights.items()})


def save(run: Run, convert: Callable[[np.ndarray], np.ndarray] = lambda array: array) -> None:
  """Writes the run folder of a `Run` with the weights of its model, each as `convert` returns its array."""
  write(run)
  save_weights({variable.path: convert(variable.numpy()) for variable in run.model.variables}, run.workdir)


def pack(run: Run, out: str) -> int:
  """Writes a finished run to the folder `out` with its float32 matrices rounded to bfloat16; returns their bytes."""
  rounded = lambda array: array.astype(ml_dtypes.bfloat16) if array.dtype == np.float32 and array.ndim > 1 else array
  save(run._replace(workdir=out), rounded)
  return os.path.getsize(os.path.join(out, WEIGHTS))


def load_weights(model: keras.Model, workdir: str) -> None:
  """Assigns the weights of a run to a model.

  Raises:
    ValueError: if the run is not trained yet, or has no weight of the path and shape of a variable, which is named.
  """
  assign(model.variables, stored(workdir, model), workdir)


def stored(workdir: str, model: keras.Model) -> dict[str, np.ndarray]:
  """Returns {path: array} of the weights of a finished run, cut into as many shards as the model has.

  Raises:
    ValueError: if the run is not trained yet, or its file of weights is broken.
  """
  if not is_finished(workdir):
    raise ValueError(
      f"{workdir} has no {WEIGHTS}: its training has not saved a model yet; wait, or start it again.")
  weights = arrays.read(os.path.join(workdir, WEIGHTS))
  weights = {_todays_path(path): _unrounded(array) for path, array in weights.items()}
  return shards.cut(weights, model)


def _unrounded(array):
  """Returns the float32 weights that `save_weights` stored as bfloat16; others unchanged."""
  return array.view(ml_dtypes.bfloat16).astype(np.float32) if array.dtype == np.uint16 else array


def _todays_path(path):
  """Returns today's path of a variable that may have been saved by an earlier version."""
  for old, new in RENAMED_PATHS.items():
    path = re.sub(old, new, path)
  return path


def fits(variable: keras.Variable, weights: dict[str, np.ndarray]) -> bool:
  """Whether `weights` has an array of the path and shape of a variable."""
  return variable.path in weights and weights[variable.path].shape == tuple(variable.shape)


def assign(variables: Iterable[keras.Variable], weights: dict[str, np.ndarray], workdir: str) -> None:
  """Assigns the weights of the run in `workdir` to variables.

  Raises:
    ValueError: if it has no weight of the path and shape of a variable, which is named.
  """
  for variable in variables:
    if not fits(variable, weights):
      raise ValueError(
        f"{workdir} has no weight {variable.path} of shape {tuple(variable.shape)}; "
        "its model is of another family or of other sizes; give a run whose model matches.")
    variable.assign(weights[variable.path])


def read(workdir: str) -> config.Experiment:
  """Returns the `config.Experiment` of a run folder.

  Raises:
    ValueError: if there is no run, or if its `CONFIG` is broken.
  """
  path = os.path.join(workdir, CONFIG)
  if not tf.io.gfile.exists(path):
    raise ValueError(
      f"No run at {workdir} (no {CONFIG}); give the --workdir of a bin/train.py, a model folder of bin/em.py, or one "
      f"of {', '.join(pretrained.names())}.")
  return json_file.read(path, experiment)


def experiment(values: dict[str, Any]) -> config.Experiment:
  """Rebuilds a `config.Experiment` from its `dataclasses.asdict`; fields added since then get their defaults."""
  family = models.family(values["family"])
  parts = {name: config.from_dict(kind, values[name])
           for name, kind in (("model", family.Config), ("search", family.Search))}
  own = lambda phase: phase | {"experiment": phase["experiment"] and experiment(phase["experiment"])}
  return config.from_dict(config.Experiment, values | parts | {"phases": list(map(own, values.get("phases", ())))})


def _goes_on(old, new):
  """Whether a `config.Train` is an old one, or the same with more updates."""
  return new.steps >= old.steps and dataclasses.replace(new, steps=old.steps) == old


def _same_model(old, new, workdir):
  for part in ("family", "model"):
    if getattr(old, part) != getattr(new, part):
      raise ValueError(
        f"{workdir} holds a run with another {part}: {getattr(old, part)}; requested was "
        f"{getattr(new, part)}. Choose another --workdir.")
