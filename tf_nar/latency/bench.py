"""Asks all systems for the same translations, in turns, so that a machine that is busy for a while is so for all.

A round: for each task, every system in a row, and each round another one begins. A task is sentences one by one, of
the text or of one length, or one batch. The round before the first does not count.
"""
import os
import sys
import time
from typing import NamedTuple

from tf_nar.data import paths
from tf_nar.latency import worker
from tf_nar.train import baseline

# Of the workers, where the caller's has none. oneDNN may bring weights into its order once: none will change.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}
SETTLE = 0.25  # Seconds before a turn: threads of OpenMP spin for a while after theirs, by Intel's default 0.2.


class Task(NamedTuple):
  name: str  # "1", "8": the batch size; "20 words": of one length.
  batches: list  # Lists of lines.


class Worker:
  """A system in a process of its own."""

  def __init__(self, system, threads):
    """Raises: ValueError: if it does not start."""
    self.system = system
    # -P: its own folder is not where it imports from. CTranslate2 waits as it likes, unless the caller says how.
    command = [sys.executable, "-P", os.path.abspath(worker.__file__)]
    folder = os.path.abspath(paths.literal(system.folder))
    settings = {"kind": system.kind, "folder": folder, "beam": system.beam, "threads": threads}
    self._process = baseline.Process(command, settings, f"{system.name!r}", ENVIRONMENT)
    self.facts, self.close = self._process.facts, self._process.close

  def turn(self, task):
    """Returns the worker's answer for a `Task`; sentences one by one are begun with one that does not count."""
    one_by_one = len(task.batches) > 1
    time.sleep(SETTLE)
    answer = self._process.ask({"task": task.name, "batches": task.batches[:1] * one_by_one + task.batches})
    return answer | {"seconds": answer["seconds"][one_by_one:], "all seconds": sum(answer["seconds"])}


def tasks(texts, number, *, sentences, batches):
  """Returns the `Task`s of round `number`.

  Args:
    texts: a `texts.Texts`.
    number: of the round; each has other sentences one by one, if there are so many.
    sentences: how many one by one.
    batches: sizes of batches; lines come again where there are fewer.
  """
  pick = lambda start, count: [texts.lines[(start + i) % len(texts.lines)] for i in range(count)]
  found = [Task("1", [[line] for line in pick(number * sentences, sentences)])]
  found += [Task(f"{words} words", [[line] for line in lines]) for words, lines in texts.by_length.items()]
  return found + [Task(str(size), [pick(number * size, size)]) for size in batches]


def rounds(workers, texts, count, *, beside=lambda: {}, told=lambda text: None, **settings):
  """Measures.

  Args:
    workers: a list of `Worker`.
    texts: a `texts.Texts`.
    count: rounds that count.
    beside: called once a round; what it returns is kept.
    told: called with a line of progress.
    **settings: for `tasks`.

  Returns:
    A list of what `beside` gave in rounds that count, and a list of {"round", "system", "task", and the answer of
    `Worker.turn`}, those of round 0 too: `summary` leaves them out. Batches above a system's `most` are not asked for.
  """
  besides, answers = [], []
  for number in range(count + 1):
    told(f"round {number} of {count}" + " (does not count)" * (number == 0))
    besides.append(beside())
    for task in tasks(texts, number, **settings):
      first = number % len(workers)
      for each in workers[first:] + workers[:first]:
        if each.system.most and len(task.batches[0]) > each.system.most:
          continue
        answers.append({"round": number, "system": each.system.name, "task": task.name, **each.turn(task)})
  return besides[1:], answers
