"""Runs a whole alternation in a workdir: checks its configuration, runs the stages, and reports after each."""
import contextlib
import dataclasses
import json
import os
from typing import Any, Callable

import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import display
from tf_nar import pretrained
from tf_nar import runs
from tf_nar import warm_starts
from tf_nar.data import atomic
from tf_nar.data import corpus as data_corpus
from tf_nar.data import json_file
from tf_nar.data import lock
from tf_nar.data import toy
from tf_nar.data import vocab as vocab_lib
from tf_nar.em import alternate
from tf_nar.em import config
from tf_nar.em import jobs as jobs_lib
from tf_nar.em import report
from tf_nar.em import stages as stages_lib

CONFIG = "alternation.json"
# Settings that may change in a workdir that was begun: rounds can be added, and round 0 is independent of the others.
MAY_CHANGE = ("rounds", "stop", "raw_student")


def run(alternation: config.Alternation, data_dir: str, workdir: str, *, tell: Callable[[str], None] = print,
        stages: Any = None, jobs: jobs_lib.Jobs | None = None) -> list[dict]:
  """Runs an alternation to its end, resuming one that was interrupted.

  Args:
    alternation: `config.Alternation`.
    data_dir: a data folder; if empty, `alternation.data`, the toy pair, is written to WORKDIR/data.
    workdir: the folder to write.
    tell: called with lines of progress to print.
    stages: the object that does the work; None: `stages.Stages`.
    jobs: the `jobs.Jobs` that share the workdir; None: there is only this process.

  Returns:
    The result of `report.collect`, which is also in em.json.

  Raises:
    ValueError: if there is no data, if the workdir was begun with another configuration, or if `first_teacher` is no
      finished run of the same family, sizes and vocabulary.
  """
  _check_data(alternation, data_dir)  # Before the workdir is made, so that an error leaves no folder.
  if alternate.seconds(alternate.at(workdir, 1)["teacher"]) is None:
    _check_first_teacher(alternation, data_dir)
  jobs = jobs or jobs_lib.Jobs()
  if jobs.owner:
    tf.io.gfile.makedirs(workdir)
  else:
    jobs.wait(os.path.join(workdir, CONFIG))
  with lock.held(workdir) if jobs.owner else contextlib.nullcontext():
    data_dir, alternation = _data(alternation, data_dir, workdir)
    values = _same(alternation, data_dir, workdir)
    if jobs.owner:
      atomic.write(os.path.join(workdir, CONFIG), json.dumps(values, indent=1).encode())
    return _run(alternation, data_dir, workdir, tell, stages or stages_lib.Stages(alternation, data_dir, jobs), jobs)


def _run(alternation, data_dir, workdir, tell, stages, jobs):
  told = [0]

  def after(number):
    rows = report.collect(workdir, alternation.rounds)
    report.write(rows, workdir)
    last = next(row for row in rows if row["round"] == number)
    stage, took = list(last["seconds"].items())[-1]
    seconds, known = report.remaining(rows, alternation)
    left = f"; {'about' if known else 'at least'} {display.duration(seconds)} to go" if seconds >= 1 else ""
    tell(f"round {last['round']} of {alternation.rounds}: {stage} done in {took:.0f} s{left}")
    if stage == "measures":
      report.scalars(last, workdir)
      report.plot(rows, workdir)
      tell(report.table(rows))
      told[0] = len(rows)

  last = alternate.run(
    stages, data_dir, workdir, rounds=alternation.rounds, raw_student=alternation.raw_student, after=after,
    do_once=jobs.once, enough=lambda number: report.no_better(report.collect(workdir, number), alternation.stop))
  rows = report.collect(workdir, last)
  if not jobs.owner:
    return rows
  report.write(rows, workdir)
  if told[0] != len(rows):
    tell(report.table(rows))  # If all stages were done already, it has not been printed.
  return rows


def _check_data(alternation, data_dir):
  """Checks that `data_dir` is a data folder, or that it is empty and the configuration has a toy pair."""
  if data_dir:
    data_corpus.read(data_dir)
  elif alternation.data is None:
    raise ValueError("This configuration has no toy language pair; give --data_dir, a folder that "
                     "data_prep/prepare.py made.")


def _check_first_teacher(alternation, data_dir):
  """Raises ValueError unless `first_teacher`, if given, can be the teacher of this text and start those after it."""
  name, wanted = f"first_teacher={alternation.first_teacher}", alternation.teacher
  if not alternation.first_teacher:
    return
  if not data_dir:
    raise ValueError(f"{name} needs the text that it can read; give --data_dir.")
  folder = pretrained.find(alternation.first_teacher)
  given = runs.read(folder)
  if not runs.is_finished(folder):
    raise ValueError(f"{name} is not trained yet; give a finished run.")
  if given.family != wanted.family:
    raise ValueError(f"{name} is of the family {given.family}; give a run of {wanted.family}, as the teacher is.")
  if vocab_lib.load(folder).sha256 != vocab_lib.load(data_dir).sha256:
    raise ValueError(f"{name} has another vocabulary than the text; prepare the text with data_prep/prepare.py "
                     f"--reuse_vocab={folder}.")
  ours, theirs = ((model.net.tied, model.net.max_length) for model in (wanted.model, given.model))
  if ours != theirs:
    raise ValueError(f"{name} has model.net.tie={theirs[0]} and model.net.max_length={theirs[1]}, the teacher "
                     f"{ours[0]} and {ours[1]}; set teacher.model.net.tie and teacher.model.net.max_length.")
  warm_starts.check_function(wanted.model, given.model, "The teacher", name)


def _data(alternation, data_dir, workdir):
  """Returns the data folder, writing that of the toy pair if needed, and the alternation with `data` set to match."""
  if data_dir:
    return data_dir, dataclasses.replace(alternation, data=None)
  data_dir = os.path.join(workdir, "data")
  if not tf.io.gfile.exists(os.path.join(data_dir, data_corpus.MANIFEST)):
    toy.write(data_dir, alternation.data)
  return data_dir, alternation


def _same(alternation, data_dir, workdir):
  """Returns the configuration of this workdir as a dict, after comparing it with the one that it was begun with.

  Raises:
    ValueError: if they differ; the message names the settings.
  """
  manifest = data_corpus.read(data_dir)
  train = manifest.splits["train"]
  text = {"data_pairs": train.pairs, "data_vocabulary": manifest.vocabulary_sha256,
          "data_text": data_corpus.digests(data_dir)[0], "data_shards": len(train.shards)}
  values = dataclasses.asdict(alternation) | text
  path = os.path.join(workdir, CONFIG)
  if tf.io.gfile.exists(path):
    old = json_file.read(path)
    then = {name: old.pop(name, value) for name, value in text.items()}  # Older versions lack some of these.
    then |= dataclasses.asdict(_read(old))
    changed = [name for name in values if name not in MAY_CHANGE and values[name] != then[name]]
    if changed:
      raise ValueError(f"{workdir} was begun with another {' and '.join(changed)}; choose another --workdir, "
                       "or give the same text and settings to go on.")
  return values


def _read(values):
  """Rebuilds the `config.Alternation` from its JSON; fields added since then get their defaults."""
  parts = {name: runs.experiment(values[name]) for name in ("teacher", "student")}
  for name in list(parts):  # Earlier versions had numbers of updates alone.
    if steps := values.pop(f"later_{name}_steps", 0):
      parts[f"later_{name}"] = (f"train.steps={steps}",)
  if values["data"] is not None:
    parts["data"] = core_config.from_dict(toy.Config, values["data"])
  return core_config.from_dict(config.Alternation, values | parts)
