"""A whole alternation: the stages, the report after each of them, and one configuration a workdir."""
import dataclasses
import json
import os

import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import runs
from tf_nar.data import atomic
from tf_nar.data import corpus as data_corpus
from tf_nar.data import lock
from tf_nar.data import toy
from tf_nar.em import alternate
from tf_nar.em import config
from tf_nar.em import report
from tf_nar.em import stages as stages_lib

CONFIG = "alternation.json"
# In a workdir that was begun: a longer run begins as a shorter one did, and the student of the true text stands alone.
MAY_CHANGE = ("rounds", "stop", "raw_student")


def run(alternation, data_dir, workdir, *, tell=print, stages=None):
  """Runs an alternation to its end, or goes on with it.

  Args:
    alternation: `config.Alternation`.
    data_dir: a data folder; empty makes `alternation.data`, the toy pair, in WORKDIR/data.
    workdir: where all of it is kept.
    tell: takes lines for a person.
    stages: what works; None: `stages.Stages`.

  Returns:
    What `report.collect` gives of it, also in em.json.

  Raises:
    ValueError: if there is no data, or the workdir has another configuration.
  """
  _check_data(alternation, data_dir)  # What is refused leaves no folder.
  tf.io.gfile.makedirs(workdir)
  with lock.held(workdir):
    data_dir, alternation = _data(alternation, data_dir, workdir)
    _same(alternation, data_dir, workdir)
    return _run(alternation, data_dir, workdir, tell, stages or stages_lib.Stages(alternation, data_dir))


def _run(alternation, data_dir, workdir, tell, stages):
  told = [0]

  def after():
    rows = report.collect(workdir, alternation.rounds)
    report.write(rows, workdir)
    last = rows[-1]
    stage, took = list(last["seconds"].items())[-1]
    tell(f"round {last['round']} of {alternation.rounds}: {stage} done in {took:.0f} s")
    if stage == "measures":
      report.scalars(last, workdir)
      report.plot(rows, workdir)
      tell(report.table(rows))
      told[0] = len(rows)

  last = alternate.run(
    stages, data_dir, workdir, rounds=alternation.rounds, raw_student=alternation.raw_student, after=after,
    enough=lambda number: report.no_better(report.collect(workdir, number), alternation.stop))
  rows = report.collect(workdir, last)
  report.write(rows, workdir)
  if told[0] != len(rows):
    tell(report.table(rows))  # All was done already.
  return rows


def _check_data(alternation, data_dir):
  """Refuses a folder that is none of data, and none where there is no toy pair instead."""
  if data_dir:
    data_corpus.read(data_dir)
  elif alternation.data is None:
    raise ValueError("This configuration has no data of its own; give --data_dir, a folder that "
                     "data_prep/prepare.py made.")


def _data(alternation, data_dir, workdir):
  """Returns the data folder, made if it is the toy's, and the alternation that goes with it."""
  if data_dir:
    return data_dir, dataclasses.replace(alternation, data=None)
  data_dir = os.path.join(workdir, "data")
  if not tf.io.gfile.exists(os.path.join(data_dir, data_corpus.MANIFEST)):
    toy.write(data_dir, alternation.data)
  return data_dir, alternation


def _same(alternation, data_dir, workdir):
  """Writes down what this workdir is, or holds it against what was written.

  Raises:
    ValueError: naming what differs.
  """
  manifest = data_corpus.read(data_dir)
  train = manifest.splits["train"]
  text = {"data_pairs": train.pairs, "data_vocabulary": manifest.vocabulary_sha256,
          "data_text": data_corpus.digests(data_dir)[0], "data_shards": len(train.shards)}
  values = dataclasses.asdict(alternation) | text
  path = os.path.join(workdir, CONFIG)
  if tf.io.gfile.exists(path):
    with tf.io.gfile.GFile(path) as file:
      old = json.load(file)
    then = {name: old.pop(name, value) for name, value in text.items()}  # Older versions wrote down less.
    then |= dataclasses.asdict(_read(old))
    changed = [name for name in values if name not in MAY_CHANGE and values[name] != then[name]]
    if changed:
      raise ValueError(f"{workdir} was begun with another {' and '.join(changed)}; choose another --workdir, "
                       "or give the same text and settings to go on.")
  atomic.write(path, json.dumps(values, indent=1).encode())


def _read(values):
  """Returns the `config.Alternation` that was written; fields that are newer have their defaults."""
  parts = {name: runs.experiment(values[name]) for name in ("teacher", "student")}
  if values["data"] is not None:
    parts["data"] = core_config.from_dict(toy.Config, values["data"])
  return core_config.from_dict(config.Alternation, values | parts)
