"""A process that holds one system and translates on request. It is run as a program and imports nothing of tf_nar.

It reads lines of JSON from standard input and answers each with one line:

  <- {"kind": "saved_model", "folder": ..., "threads": ...}, or "openvino", or "ct2", with "beam"
  -> {"dtype": ..., "versions": {package: version}}, and of a SavedModel "products in a row"
  <- {"task": name, "batches": [[text ...] ...]}, or with "told": true
  -> {"seconds": [of each batch], "cpu": seconds of all cores, "words": of all translations, "peak": MiB so far,
      "threads"}, and {"lines": [translation ...]} if it was to be told

Seconds are measured from strings to strings: segmentation into tokens and joining them is included.
"""
import functools
import importlib.metadata
import json
import os
import re
import resource
import runpy
import sys
import time
from typing import Any, Callable, Iterable

STATUS = "/proc/self/status"


def saved_model(question: dict) -> tuple[dict[int, Callable], dict]:
  """Returns ({threads: a function of a list of lines}, facts) for a folder of `bin/export.py`."""
  import tensorflow as tf
  import tensorflow_text  # noqa: F401  Registers the operators of SentencePiece models.
  with open(os.path.join(question["folder"], "assets.extra/metadata.json"), encoding="utf-8") as file:
    facts = json.load(file)
  # Shards divide the threads: operators that run at the same time should not wait for each other's threads.
  tf.config.threading.set_intra_op_parallelism_threads(max(1, question["threads"] // facts.get("shards", 1)))
  tf.config.threading.set_inter_op_parallelism_threads(question["threads"])
  model = tf.saved_model.load(question["folder"])

  def translate(lines):
    return [line.decode() for line in model.translate(tf.constant(lines))["translation"].numpy()]

  return {question["threads"]: translate}, {
    "dtype": facts["dtype"], "products in a row": facts.get("products_in_a_row"),  # None: of an older export.
    "versions": versions("tensorflow", "tensorflow-text")}


def ct2(question: dict) -> tuple[dict[int, Callable], dict]:
  """Returns the same as `saved_model` for a folder of `bin/export_ct2.py`, with all threads and with one.

  It uses the folder's own translate.py. CTranslate2's threads synchronise at every matrix product, which costs a small
  network more than they gain.
  """
  program = runpy.run_path(os.path.join(question["folder"], "translate.py"))
  translators = {threads: program["Translator"](question["folder"], intra_threads=threads)
                 for threads in {1, question["threads"]}}
  options = {"beam_size": question["beam"]} if question["beam"] else {}
  facts = {"dtype": translators[1].model.compute_type, "versions": versions("ctranslate2")}
  return {threads: functools.partial(each, **options) for threads, each in translators.items()}, facts


def openvino(question: dict) -> tuple[dict[int, Callable], dict]:
  """Returns the same as `ct2` for a folder of `bin/export_openvino.py`."""
  program = runpy.run_path(os.path.join(question["folder"], "translate.py"))
  ways = {threads: program["Translator"](question["folder"], threads) for threads in {1, question["threads"]}}
  return ways, {"dtype": ways[1].about["dtype"], "versions": versions("openvino")}


def versions(*packages: str) -> dict[str, str]:
  return {name: importlib.metadata.version(name) for name in packages}


class Fastest:
  """Answers requests: the first of each task with every number of threads, later ones with the fastest."""

  def __init__(self, ways):
    """Args: ways: {threads: a function of a list of lines}."""
    self._ways, self._of = ways, {}

  def __call__(self, task, batches, told=False):
    """Returns the answer to a request."""
    if told:  # Time does not count, so that one way is enough.
      self._of.setdefault(task, max(self._ways))
    ways = {self._of[task]: self._ways[self._of[task]]} if task in self._of else self._ways
    found = {threads: timed(way, batches, told) for threads, way in ways.items()}
    threads = self._of[task] = min(found, key=lambda each: sum(found[each]["seconds"]))
    return found[threads] | {"threads": threads}


def timed(translate: Callable[[list[str]], list[str]], batches: Iterable[list[str]], told: bool) -> dict[str, Any]:
  """Returns the answer to a request, without "threads"."""
  seconds, words, lines, cpu = [], 0, [], time.process_time()
  for batch in batches:
    began = time.perf_counter()
    translations = translate(batch)
    seconds.append(time.perf_counter() - began)
    words += sum(len(line.split()) for line in translations)
    lines += translations if told else []
  found = {"seconds": seconds, "cpu": time.process_time() - cpu, "words": words, "peak": peak()}
  return found | ({"lines": lines} if told else {})


def peak() -> float:
  """Returns the peak memory of this process so far, in MiB."""
  if os.path.exists(STATUS):  # On Linux ru_maxrss includes the parent's memory at the time of the fork.
    with open(STATUS) as file:
      return int(re.search(r"VmHWM:\s*(\d+) kB", file.read())[1]) / 2**10
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return most / 2**20 if sys.platform == "darwin" else most / 2**10


def main() -> None:
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # Keeps the output of libraries apart from the answers.
  answer = lambda value: print(json.dumps(value), file=answers, flush=True)
  question = json.loads(sys.stdin.readline())
  ways, facts = {"saved_model": saved_model, "ct2": ct2, "openvino": openvino}[question["kind"]](question)
  answer(facts)
  fastest = Fastest(ways)
  for line in sys.stdin:
    answer(fastest(**json.loads(line)))


if __name__ == "__main__":
  main()
