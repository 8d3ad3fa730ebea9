"""Trains one experiment from a data folder into a run folder, with validation and checkpoints.

Called in the scope of a distribution strategy (train/strategy.py), it trains under that strategy.
"""
import contextlib
import dataclasses
import functools
import os
from typing import Iterator, Sequence

import numpy as np
import tensorflow as tf
from absl import logging

from tf_nar import budget
from tf_nar import config
from tf_nar import display
from tf_nar import feasibility
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar import warm_starts
from tf_nar.data import atomic
from tf_nar.data import corpus as data_corpus
from tf_nar.data import lock
from tf_nar.data import pipeline
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines
from tf_nar.evaluate import multimodality
from tf_nar.evaluate import testset
from tf_nar.ops import graphs
from tf_nar.train import checkpoint
from tf_nar.train import loop
from tf_nar.train import strategy

SAMPLES = 5  # Translations shown in TensorBoard at each validation.


def fit(experiment: config.Experiment, data_dir: str, workdir: str, *, warm_start: str | None = None,
        frozen: str | None = None, profile_steps: Sequence[int] = ()) -> runs.Run:
  """Trains to the end and returns the finished `runs.Run`.

  The same call resumes an interrupted training, and returns at once if the run is finished. With more `train.steps` a
  finished run is trained on, from its last checkpoint; until that ends, the folder remains the run that it was.

  Args:
    experiment: a `config.Experiment`.
    data_dir: a data folder.
    workdir: a run folder, made if missing.
    warm_start: a finished run whose weights to start from, see `warm_starts.start_from`; None: random weights.
    frozen: a finished run whose weights become the part of the model that is not trained, see `warm_starts.freeze`;
      None for families without such a part.
    profile_steps: see `loop.run`.

  Raises:
    ValueError: if the data folder or the run folder does not match the experiment.
    FloatingPointError: if the loss becomes NaN or infinite, see `config.Train.nonfinite`.
    OSError: if a checkpoint cannot be written.
    preemption.Preempted: if the process is told to stop; a checkpoint is saved before.
  """
  with alone(workdir):
    experiment = budget.recorded(experiment, workdir)
    text = _same_text(data_dir, workdir)
    run = _planned(experiment, data_dir, workdir)
    longer = runs.is_lengthened(experiment, workdir)
    if runs.is_finished(workdir) and not longer:
      _begin(run, text)
      runs.load_weights(run.model, workdir)
      return run
    validate = _ready(run, data_dir, warm_start, frozen)
    if not budget.decided(experiment, workdir):
      experiment = budget.measured(run.model, experiment, _stream(run, data_dir))
      run = _planned(experiment, data_dir, workdir)  # Again, as measuring changed weights and schedules.
      validate = _ready(run, data_dir, warm_start, frozen)
    if strategy.is_chief():
      tf.io.gfile.makedirs(workdir)  # Only after all checks, so that a command they reject leaves no folder behind.
    with alone(workdir):  # Locked before anything is written, as another process may have made the folder meanwhile.
      if not longer:
        _begin(run, text)
      _train(run, data_dir, validate, profile_steps)
      if longer:
        _begin(run, text)
      return run


def check(experiment: config.Experiment, data_dir: str, workdir: str) -> runs.Run:
  """Returns a run that begins much later, planned, or raises what `fit` would of its settings, sizes and text."""
  experiment = budget.recorded(experiment, workdir)
  _same_text(data_dir, workdir)
  run = _planned(experiment, data_dir, workdir)
  _checked(run, data_dir)
  return run


def _planned(experiment, data_dir, workdir):
  run = runs.plan(for_data(experiment, data_dir), vocab_lib.load(data_dir), workdir)
  if runs.is_lengthened(run.experiment, workdir) and not checkpoint.begun(workdir):
    raise ValueError(f"{workdir} is finished and has no checkpoints, so it cannot be trained for more train.steps; "
                     f"choose another --workdir, with --warm_start={workdir}.")
  return run


def _ready(run, data_dir, warm_start, frozen):
  """Assigns the weights that a run starts from, checks it against the data and returns its `Validation`."""
  if warm_start:
    warm_starts.start_from(run, warm_start)
  if frozen:
    warm_starts.freeze(run, frozen)
  elif parts := run.model.traits.frozen(run.model.config):
    raise ValueError(f"{run.experiment.family} trains with a frozen part, {', '.join(parts)}, whose weights are those "
                     "of a finished run; train in phases that set frozen, as configs/lanmt_score_multi30k.py.")
  return _checked(run, data_dir)


def _checked(run, data_dir):
  train = run.experiment.train
  _check_lengths(data_dir, train.max_length, run.model.config.net.max_length)
  pipeline.check(data_dir, train, aligned=_aligned(run))
  if "upsampling" in run.model.traits.offers:
    feasibility.check(run.model, data_dir, train.max_length)
  return Validation(run, data_dir)


def _aligned(run):
  return run.model.traits.batch(run.model.config) is types.Aligned


def _stream(run, data_dir):
  return functools.partial(pipeline.training, data_dir, run.experiment.train, aligned=_aligned(run))


def _train(run, data_dir, validate, profile_steps):
  """Trains a run whose folder exists, and writes its final weights."""
  train = run.experiment.train
  logging.info(
    "%s: %.2f M weights, a vocabulary of %s; %.1f %% of the positions of a batch are padding.", run.workdir,
    sum(v.shape.num_elements() for v in run.model.variables) / 1e6, run.vocab.size_text,
    100 * pipeline.padding_waste(data_dir, train))
  logging.info("Validation: %s", " ".join(display.LEGENDS.values()))
  with graphs.freed():
    weights = loop.run(
      run.model, run.experiment, _stream(run, data_dir), run.workdir, validate=validate, vocab=run.vocab,
      profile_steps=profile_steps)
  if strategy.is_chief():
    runs.save_weights(weights, run.workdir)
  strategy.any_replica(False)  # A barrier: all machines wait until the first has written.
  runs.load_weights(run.model, run.workdir)


@contextlib.contextmanager
def alone(workdir: str) -> Iterator[None]:
  """Locks an existing run folder against other processes; of several machines only the chief takes the lock."""
  if strategy.is_chief() and atomic.exists(workdir):
    with lock.held(workdir):
      yield
  else:
    yield


def for_data(experiment: config.Experiment, data_dir: str) -> config.Experiment:
  """Returns the experiment with `search.length_ratio` set by the training data, if the family has it and it is 0."""
  if "limit" not in models.traits(experiment.family).offers or experiment.search.length_ratio:
    return experiment
  ratio = data_corpus.read(data_dir).splits["train"].length_ratio
  return dataclasses.replace(experiment, search=dataclasses.replace(experiment.search, length_ratio=ratio))


def _begin(run, text):
  """Writes the files of a run folder that are known before training."""
  if strategy.is_chief():
    runs.write(run)
    atomic.write(os.path.join(run.workdir, runs.TEXT), text.encode())


def _same_text(data_dir, workdir):
  """Returns the hash of the training text; raises ValueError if the run folder was begun with another text."""
  digests = data_corpus.digests(data_dir)
  path = os.path.join(workdir, runs.TEXT)
  if atomic.exists(path):
    with atomic.open_read(path) as file:
      found = file.read().decode()
    if found not in digests:
      raise ValueError(f"{workdir} was begun with another text than {data_dir}; choose another --workdir.")
    return found
  return digests[0]


def _check_lengths(data_dir, kept, taken):
  """Raises ValueError if pairs of up to `kept` tokens, which are trained on, exceed the model's `taken` positions."""
  lengths = data_corpus.read(data_dir).splits["train"].lengths
  if (longest := max((n for n in lengths if n <= kept), default=0)) > taken:
    raise ValueError(
      f"{data_dir} has pairs of {longest} tokens, but the model takes model.net.max_length={taken}; "
      f"raise it, or set train.max_length={taken} to leave longer pairs out.")


class Validation:
  """Measures the current weights on the validation text; its graphs are traced once."""

  def __init__(self, run, data_dir):
    count = run.experiment.train.validate_sentences or None
    self._sources, self._references = (texts[:count] for texts in data_corpus.validation(data_dir))
    self._vocab, self._batch = run.vocab, run.experiment.train.tokens_per_batch
    self._positions = corpus.positions(run.model, run.experiment.search, self._batch)
    self._longest = run.model.config.net.max_length
    self._translate = corpus.searcher(run.model, run.experiment.search)
    self._score, self._ncm = corpus.scorer(run.model), multimodality.name(run.model)
    ids = lambda vocab, texts: [[*vocab.encode(text), types.EOS] for text in texts]
    sources, targets = ids(run.vocab.source, self._sources), ids(run.vocab, self._references)
    pairs = zip(sources, targets, strict=True)
    self._pairs = [pair for pair in pairs if max(map(len, pair)) <= self._longest]
    if not self._pairs:
      raise ValueError(
        f"No validation pair of {data_dir} fits in model.net.max_length={self._longest}; raise it.")
    self._ids = [lines.ended(source[:-1], self._longest) for source in sources]
    self._terms = None if _aligned(run) else corpus.terms(run.model)  # Validation text has no fertilities.

  def __call__(self):
    """Returns ({"bleu", "chrf", "repeats", "ncm", loss terms without dropout: value}, {"translations": text}).

    Of a score that is a bound NCM has another name, see `multimodality.name`.
    """
    options = dict(tokens_per_batch=self._batch, longest=self._longest)
    _, texts, numbers = testset.brief(
      self._translate, self._vocab, self._ids, self._references, **options | {"tokens_per_batch": self._positions})
    log_probs = corpus.score(self._score, self._pairs, **options)
    lengths = [len(target) for _, target in self._pairs]
    if (log_probs > -np.inf).any():  # Else NCM is undefined, which must not end a training.
      numbers[self._ncm] = multimodality.normalised_multimodality(log_probs, lengths)
    else:
      logging.warning("Every validation target has probability 0 under the model, so NCM is not defined.")
    if self._terms is not None:
      numbers |= corpus.mean_terms(self._terms, self._pairs, **options)
    rows = zip(self._sources[:SAMPLES], texts, self._references, strict=False)
    table = "\n".join(f"| {source} | {text} | {reference} |" for source, text, reference in rows)
    return numbers, {"translations": f"| source | translation | reference |\n|---|---|---|\n{table}"}
