"""Measures all systems on the same sentences, in turns, so that a period of other load affects all of them.

In each round every system performs each task in turn; another system begins in each round. A task is either sentences
one by one, of the text or of one length, or one batch. Round 0 warms up and does not count.
"""
import os
import sys
import time
from typing import Any, Callable, Iterable, Iterator, NamedTuple, Sequence

from tf_nar.data import paths
from tf_nar.evaluate import quality
from tf_nar.latency import texts as texts_lib
from tf_nar.latency import worker
from tf_nar.train import baseline

# Of the workers, unless the caller sets them. Weights never change, so oneDNN may reorder them once.
ENVIRONMENT = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ONEDNN_ASSUME_FROZEN_WEIGHTS": "1"}
SETTLE = 0.25  # Seconds of pause before a turn: OpenMP threads spin after their work, for 0.2 s by Intel's default.

TOGETHER = 32  # Sentences a batch where time does not count.


class Task(NamedTuple):
  name: str  # "1", "8": the batch size; "20 words": sentences of one length.
  batches: list  # Lists of lines.


class Worker:
  """A process that runs one system."""

  def __init__(self, system, threads):
    """Starts the process.

    Args:
      system: a `systems.System`.
      threads: the number of threads that it may use.

    Raises:
      ValueError: if it does not start.
    """
    self.system = system
    # -P keeps the program's folder out of sys.path. How CTranslate2's threads wait, the caller's environment sets.
    command = [sys.executable, "-P", os.path.abspath(worker.__file__)]
    folder = os.path.abspath(paths.literal(system.folder))
    settings = {"kind": system.kind, "folder": folder, "beam": system.beam, "threads": threads}
    self._process = baseline.Process(command, settings, f"{system.name!r}", ENVIRONMENT)
    self.facts, self.close = self._process.facts, self._process.close

  def turn(self, task: Task) -> dict[str, Any]:
    """Returns the worker's answer for a `Task`; before sentences one by one, one is translated that does not count."""
    one_by_one = len(task.batches) > 1
    time.sleep(SETTLE)
    answer = self._process.ask({"task": task.name, "batches": task.batches[:1] * one_by_one + task.batches})
    return answer | {"seconds": answer["seconds"][one_by_one:], "all seconds": sum(answer["seconds"])}

  def translations(self, lines: Sequence[str]) -> list[str]:
    """Returns the translations of sentences, in batches of `TOGETHER`; their time is not measured."""
    batches = [lines[start:start + TOGETHER] for start in range(0, len(lines), TOGETHER)]
    return self._process.ask({"task": "all", "batches": batches, "told": True})["lines"]


def tasks(texts: texts_lib.Texts, number: int, *, sentences: int, batches: Iterable[int]) -> list[Task]:
  """Returns the `Task`s of round `number`.

  Args:
    texts: a `texts.Texts`.
    number: of the round; each round has other sentences, as long as there are enough.
    sentences: the number of sentences one by one.
    batches: sizes of batches; lines are repeated if there are too few.
  """
  pick = lambda start, count: [texts.lines[(start + i) % len(texts.lines)] for i in range(count)]
  found = [Task("1", [[line] for line in pick(number * sentences, sentences)])]
  found += [Task(f"{words} words", [[line] for line in lines]) for words, lines in texts.by_length.items()]
  return found + [Task(str(size), [pick(number * size, size)]) for size in batches]


def rounds(workers: Sequence[Worker], texts: texts_lib.Texts, count: int, *, beside: Callable[[], dict] = lambda: {},
           told: Callable[[str], Any] = lambda text: None, **settings: Any) -> tuple[list[dict], list[dict]]:
  """Runs round 0 and `count` rounds that count.

  Args:
    workers: a list of `Worker`.
    texts: a `texts.Texts`.
    count: the number of rounds that count.
    beside: called once a round, for other measurements.
    told: called with a line of progress.
    **settings: for `tasks`.

  Returns:
    A list of the results of `beside` in the rounds that count, and a list of {"round", "system", "task", and the answer
    of `Worker.turn`}, with those of round 0, which `summary` leaves out. Batches above a system's `most` are skipped.
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


def qualities(workers: Iterable[Worker], pairs: Sequence[tuple[str, str]], vocab: Any) -> Iterator[dict[str, float]]:
  """Yields {name of a row of a report: BLEU or chrF} for each system, by (source, reference) pairs."""
  sources, references = zip(*pairs, strict=True)
  against = quality.References(references, vocab=vocab)
  for each in workers:
    yield {row.name: row.value for row in against.similarity(each.translations(sources))}
