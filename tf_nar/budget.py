"""How many updates a training has where minutes bound it (`train.minutes`).

The updates are counted once, before the first of them, and the run folder records them as its `train.steps`, so that a
training that is stopped and goes on makes as many as an undisturbed one.
"""
import dataclasses
import os

import tensorflow as tf
from absl import logging

from tf_nar import runs
from tf_nar.data import atomic
from tf_nar.data import pipeline
from tf_nar.ops import schedule
from tf_nar.train import speed

WARM_UP = 5  # Updates without a new shape of batch, before time is taken.
UPDATES = 50  # Whose time is taken, or fewer,
SHARE = 0.05  # if they take more than this share of the minutes.


def recorded(experiment, workdir):
  """Returns the experiment with the updates that its run folder has for these minutes; as it is where it has none."""
  if _has(experiment, workdir):
    return scaled(experiment, runs.read(workdir).train.steps)
  return experiment


def decided(experiment, workdir):
  """Whether the updates of a training are known: nothing bounds its minutes, or its folder records what they allow."""
  return not experiment.train.minutes or _has(experiment, workdir)


def _has(experiment, workdir):
  minutes = experiment.train.minutes
  there = minutes and atomic.exists(os.path.join(workdir, runs.CONFIG))
  return bool(there) and runs.read(workdir).train.minutes == minutes


def measured(model, experiment, batches):
  """Makes some updates and returns the experiment with as many as `train.minutes` allows, `train.steps` at most.

  Args:
    model: whose weights move; it is not to be used any more.
    experiment: a `config.Experiment`.
    batches: maps a `pipeline.Position` to an endless iterable of (epoch, batch in it, batch).

  Raises:
    ValueError: where several machines train, which would count differently.
  """
  if isinstance(tf.distribute.get_strategy(), tf.distribute.MultiWorkerMirroredStrategy):
    raise ValueError("train.minutes is measured, and several machines would measure differently; set train.steps.")
  train = experiment.train
  training = speed.Training(model, train, (batch for *_, batch in batches(pipeline.Position())))
  training.warm_up(WARM_UP)
  took, updates = 0.0, 0
  while updates < UPDATES and took <= SHARE * 60 * train.minutes:
    took += training.turn(1).seconds
    updates += 1
  steps = max(1, min(train.steps, int(60 * train.minutes * updates / took)))
  logging.info("An update takes %.3f s, so %d of %d updates are made in train.minutes=%g.", took / updates, steps,
               train.steps, train.minutes)
  return scaled(experiment, steps)


def scaled(experiment, steps):
  """Returns an experiment of `steps` updates, of which all that is counted in updates takes the share it had."""
  train = experiment.train
  share = lambda updates: updates and max(1, updates * steps // train.steps)
  rate = dataclasses.replace(
    train.optimizer, warmup=share(train.optimizer.warmup), cooldown=share(train.optimizer.cooldown))
  return dataclasses.replace(
    experiment, model=schedule.scaled(experiment.model, steps, train.steps),
    train=dataclasses.replace(train, steps=steps, validate_every=share(train.validate_every), optimizer=rate))
