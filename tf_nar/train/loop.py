"""The training loop of all families: update, log, validate, save, stop."""
import contextlib
from typing import Any, Callable, Iterable, Sequence

import numpy as np
from absl import logging

from tf_nar import config
from tf_nar.data import pipeline
from tf_nar.train import checkpoint
from tf_nar.train import ema
from tf_nar.train import monitor as monitor_lib
from tf_nar.train import nonfinite
from tf_nar.train import optimizer
from tf_nar.train import preemption
from tf_nar.train import profiler
from tf_nar.train import step as step_lib
from tf_nar.train import strategy
from tf_nar.train import window as window_lib


def run(model: Any, experiment: config.Experiment, batches: Callable[[pipeline.Position], Iterable], workdir: str, *,
        validate: Callable, vocab: Any = None, profile_steps: Sequence[int] = ()) -> dict[str, np.ndarray]:
  """Trains to the end, from the newest checkpoint of `workdir` if it has one; in the scope of the model's strategy.

  Args:
    model: a family's model, with its weights built; workdir: a run folder.
    experiment: the `config.Experiment`, whose `train` sets how to train.
    batches: maps a `pipeline.Position` to an endless iterable of (epoch, index of the batch in it, `Batch`).
    validate: () -> ({name: number}, {name: text}); measures the current weights. Its "bleu" decides early
      stopping and which checkpoints are kept and averaged.
    vocab: decodes the sentence pairs of a loss that is not finite; None: only their ids are written.
    profile_steps: (first, last), the updates that TensorBoard's profiler records, without the last.

  Returns:
    {path of a weight: array}, the final weights of the run, averaged according to `train.average`.

  Raises:
    FloatingPointError: if the loss or a gradient becomes NaN or infinite; with `train.nonfinite` of "skip", many times.
    ValueError: if the training ends before `train.until` holds; checkpoints remain, so that it can go on.
    OSError: if a checkpoint cannot be written.
    preemption.Preempted: if the process is told to stop; a checkpoint is saved before.
  """
  train, chief = experiment.train, strategy.is_chief()
  _initialise(model, train, batches, workdir)
  adam = optimizer.Adam.of(train.optimizer, model, train.steps)
  averages = ema.Ema(train.ema, model.trainable_variables) if train.ema else None
  saved = checkpoint.Checkpoints(model, adam, workdir, ema=averages, writes=chief)
  step, position = saved.restore()
  watch = nonfinite.Watch(train.nonfinite, saved, workdir, vocab, chief)
  update = step_lib.Update(model, adam, train, averages)
  stream = iter(batches(position))
  with (monitor_lib.Monitor(workdir, step, train.steps, chief) as monitor, preemption.Notice() as notice,
        profiler.Profiler(workdir, profile_steps if chief else ()) as profile):
    if not step:
      monitor.settings(experiment)
    window = window_lib.Window(step)
    while step < train.steps and not _is_over(step, monitor.rows, train):
      profile.before(step)
      drawn = [window.wait_for(stream) for _ in range(train.optimizer.accumulate)]
      position = pipeline.Position(int(drawn[-1][0]), int(drawn[-1][1]) + 1)
      window.add(update([batch for *_, batch in drawn], step), [batch for *_, batch in drawn])
      step += 1
      monitor.advance()
      validating = step % train.validate_every == 0 or step == train.steps
      logging_now = validating or step % train.log_every == 0
      told = strategy.any_replica(notice.given, ask=logging_now or step % ASK_EVERY == 0)
      if logging_now or told:
        monitor.write(step, epoch=position.epoch, **window.close(watch))
      if validating:
        with averages.swapped_in() if averages else contextlib.nullcontext():
          numbers, texts = validate()
        monitor.write(step, texts, **{f"valid_{name}": value for name, value in numbers.items()})
      if validating or told:
        saved.save(step, position, _kept(monitor.rows, train, train.keep))
        strategy.any_replica(False)  # A barrier: all machines wait until the first has written.
        window = window_lib.Window(step)
      if told and step < train.steps:
        raise preemption.Preempted(f"Told to stop: saved after step {step}. Run the same command to resume.")
    _check_reached(workdir, step, monitor.rows, train.until)
    return saved.mean(_averaged(monitor.rows, train, saved.steps()))


def _initialise(model, train, batches, workdir):
  """Initialises by the first batch, for families that offer it, before moving averages start; not in a resumed run."""
  if "initialise" in model.traits.offers and not checkpoint.begun(workdir):
    *_, first = next(iter(batches(pipeline.Position())))
    model.initialise(first, seed=[train.seed, INITIALISE])


ASK_EVERY = 10  # Updates between two checks of several machines whether one was told to stop; it has 30 seconds then.
INITIALISE = 2  # Random stream of the initialisation by the first batch; 1 is that of updates.


def _scores(rows):
  """Returns [(step, validation BLEU)], oldest first."""
  return [(row["step"], row["valid_bleu"]) for row in rows if "valid_bleu" in row]


def _patience_is_over(rows, train):
  """Whether, after the warm-up, the last validations were no better than an earlier one; if so, logs that."""
  scores = [score for step, score in _scores(rows) if step > train.optimizer.warmup]
  over = bool(train.patience and scores and len(scores) - 1 - int(np.argmax(scores)) >= train.patience)
  if over:
    logging.info("step %d: stopped early, after %d validations without a better BLEU (train.patience).",
                 rows[-1]["step"], train.patience)
  return over


def _is_over(step, rows, train):
  """Whether a training ends before its last update, which is logged."""
  if _patience_is_over(rows, train):
    return True
  if _is_reached(rows, train.until):
    logging.info("step %d: %s, so the training is over (train.until).", step, train.until)
    return True
  return False


def _check_reached(workdir, step, rows, until):
  """Raises ValueError if a training has ended before `until` holds; its checkpoints remain."""
  if until and not _is_reached(rows, until):
    raise ValueError(f"{workdir} did not reach train.until={until} in {step} updates; raise train.steps, or "
                     "train.patience if it was stopped early, and run the same command to go on.")


def _is_reached(rows, until):
  """Whether the last validation is within a bound such as "errors<0.02"; False for "".

  Raises:
    ValueError: if validation does not measure that number.
  """
  found = [row for row in rows if any(name.startswith("valid_") for name in row)]
  if not until or not found:
    return False
  name, sign, bound = config.UNTIL.fullmatch(until).groups()
  if (value := found[-1].get(f"valid_{name}")) is None:
    known = sorted(each.removeprefix("valid_") for each in found[-1] if each.startswith("valid_"))
    raise ValueError(f"train.until={until}: validation has no number {name!r}; it has {', '.join(known)}.")
  return value < float(bound) if sign == "<" else value > float(bound)


def _kept(rows, train, count):
  """Returns the set of `count` steps, the last or the best by the validation score."""
  scores = _scores(rows)
  if train.average_of == "best":
    scores = sorted(scores, key=lambda pair: pair[1])
  return {step for step, _ in scores[-count:]}


def _averaged(rows, train, steps):
  """Returns those of `steps`, the steps of existing checkpoints, that are averaged into the final weights.

  Checkpoints of the warm-up, in which weights change fast, are left out if there are others.
  """
  ripe = {step for step in steps if step > train.optimizer.warmup} or set(steps)
  return _kept([row for row in rows if row["step"] in ripe], train, train.average)
