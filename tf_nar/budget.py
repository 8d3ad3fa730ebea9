"""Derives the number of updates of a training from a limit in minutes (`train.minutes`).

The number is derived once, before the first update, and recorded in the run folder as its `train.steps`, so that a
training that is interrupted and resumed makes as many updates as an uninterrupted one.
"""
import dataclasses
import os
from typing import Any, Callable, Iterable

import tensorflow as tf
from absl import logging

from tf_nar import config
from tf_nar import runs
from tf_nar.data import atomic
from tf_nar.data import pipeline
from tf_nar.ops import schedule
from tf_nar.train import speed

WARM_UP = 5  # Consecutive updates without a new batch shape before timing starts.
UPDATES = 50  # Updates that are timed, or fewer
SHARE = 0.05  # if they take more than this share of the minutes.


def recorded(experiment: config.Experiment, workdir: str) -> config.Experiment:
  """Returns the experiment scaled to the updates that its run folder records for these minutes, if it does."""
  if _has(experiment, workdir):
    return scaled(experiment, runs.read(workdir).train.steps)
  return experiment


def decided(experiment: config.Experiment, workdir: str) -> bool:
  """Whether the number of updates is known: minutes are not limited, or the run folder records the number."""
  return not experiment.train.minutes or _has(experiment, workdir)


def _has(experiment, workdir):
  minutes = experiment.train.minutes
  there = minutes and atomic.exists(os.path.join(workdir, runs.CONFIG))
  return bool(there) and runs.read(workdir).train.minutes == minutes


def measured(model: Any, experiment: config.Experiment,
             batches: Callable[[pipeline.Position], Iterable[tuple]]) -> config.Experiment:
  """Times some updates and returns the experiment scaled to as many as fit `train.minutes`, `train.steps` at most.

  Args:
    model: its weights are changed by these updates, so it must not be used afterwards.
    experiment: a `config.Experiment`.
    batches: maps a `pipeline.Position` to an endless iterable of (epoch, index of the batch in it, batch).

  Raises:
    ValueError: if several machines train, as each would measure another number.
  """
  if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
    raise ValueError("train.minutes needs a single machine, as several would measure different numbers of updates; set "
                     "train.steps instead.")
  train = experiment.train
  training = speed.Training(model, train, (batch for *_, batch in batches(pipeline.Position())))
  training.warm_up(WARM_UP)
  took, updates = 0.0, 0
  while updates < UPDATES and took <= SHARE * 60 * train.minutes:
    took += training.turn(1).seconds
    updates += 1
  steps = max(1, min(train.steps, int(60 * train.minutes * updates / took)))
  logging.info("An update takes %.3f s, so %d of %d updates fit into train.minutes=%g.", took / updates, steps,
               train.steps, train.minutes)
  return scaled(experiment, steps)


def scaled(experiment: config.Experiment, steps: int) -> config.Experiment:
  """Returns the experiment with `steps` updates, and every other duration in updates scaled in proportion.

  But the warm-up keeps its length up to half of all updates, and if it must be shorter, the peak of the learning rate
  is lower: a model whose learning rate rises faster may never learn to attend to the source.
  """
  train = experiment.train
  share = lambda updates: updates and max(1, updates * steps // train.steps)
  whole = train.optimizer.warmup
  warmup = min(whole, max(share(whole), steps // 2))
  rate = dataclasses.replace(
    train.optimizer, warmup=warmup, cooldown=share(train.optimizer.cooldown),
    learning_rate=train.optimizer.learning_rate * (warmup / whole if whole else 1))
  return dataclasses.replace(
    experiment, model=schedule.scaled(experiment.model, steps, train.steps),
    train=dataclasses.replace(train, steps=steps, validate_every=share(train.validate_every), optimizer=rate))
