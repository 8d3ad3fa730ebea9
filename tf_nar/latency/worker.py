"""Holds one system and translates when asked; run as a program, it is a process of its own and imports nothing of ours.

A line of JSON comes in, one goes out:

  <- {"kind": "saved_model", "folder": ..., "threads": ...}, or "ct2", with "beam"
  -> {"dtype": ..., "versions": {package: version}}
  <- {"task": name, "batches": [[text ...] ...]}
  -> {"seconds": [of each batch], "cpu": seconds of all cores, "words": of all translations, "peak": MiB so far,
      "threads"}

Seconds go from strings to strings: cutting into tokens and joining them counts.
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

STATUS = "/proc/self/status"


def saved_model(question):
  """Returns ({threads: a function of a list of lines}, facts) for a folder of `bin/export.py`."""
  import tensorflow as tf
  import tensorflow_text  # noqa: F401  Its operations cut into pieces.
  with open(os.path.join(question["folder"], "assets.extra/metadata.json"), encoding="utf-8") as file:
    facts = json.load(file)
  # Shards share the threads; what runs beside each other should not wait for each other's.
  tf.config.threading.set_intra_op_parallelism_threads(max(1, question["threads"] // facts.get("shards", 1)))
  tf.config.threading.set_inter_op_parallelism_threads(question["threads"])
  model = tf.saved_model.load(question["folder"])

  def translate(lines):
    return [line.decode() for line in model.translate(tf.constant(lines))["translation"].numpy()]

  return {question["threads"]: translate}, {
    "dtype": facts["dtype"], "versions": versions("tensorflow", "tensorflow-text")}


def ct2(question):
  """The same for a folder of `bin/export_ct2.py`, by the program that lies in it: with all threads, and with one.

  Its threads meet at every product, which for a small net costs more than they gain.
  """
  program = runpy.run_path(os.path.join(question["folder"], "translate.py"))
  translators = {threads: program["Translator"](question["folder"], intra_threads=threads)
                 for threads in {1, question["threads"]}}
  options = {"beam_size": question["beam"]} if question["beam"] else {}
  facts = {"dtype": translators[1].model.compute_type, "versions": versions("ctranslate2")}
  return {threads: functools.partial(each, **options) for threads, each in translators.items()}, facts


def versions(*packages):
  return {name: importlib.metadata.version(name) for name in packages}


class Fastest:
  """Answers questions, each task's first by every way to translate, the others by that which was fastest."""

  def __init__(self, ways):
    """Takes {threads: a function of a list of lines}."""
    self._ways, self._of = ways, {}

  def __call__(self, task, batches):
    """Returns the answer to a question."""
    ways = {self._of[task]: self._ways[self._of[task]]} if task in self._of else self._ways
    found = {threads: timed(way, batches) for threads, way in ways.items()}
    threads = self._of[task] = min(found, key=lambda each: sum(found[each]["seconds"]))
    return found[threads] | {"threads": threads}


def timed(translate, batches):
  """Returns the answer to a question, without the threads."""
  seconds, words, cpu = [], 0, time.process_time()
  for batch in batches:
    began = time.perf_counter()
    said = translate(batch)
    seconds.append(time.perf_counter() - began)
    words += sum(len(line.split()) for line in said)
  return {"seconds": seconds, "cpu": time.process_time() - cpu, "words": words, "peak": peak()}


def peak():
  """Returns the MiB that this process had at most so far."""
  if os.path.exists(STATUS):  # Linux counts into ru_maxrss what the parent had when it started this one.
    with open(STATUS) as file:
      return int(re.search(r"VmHWM:\s*(\d+) kB", file.read())[1]) / 2**10
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return most / 2**20 if sys.platform == "darwin" else most / 2**10


def main():
  answers = os.fdopen(os.dup(1), "w")
  os.dup2(2, 1)  # What a library prints is no answer.
  answer = lambda value: print(json.dumps(value), file=answers, flush=True)
  question = json.loads(sys.stdin.readline())
  ways, facts = {"saved_model": saved_model, "ct2": ct2}[question["kind"]](question)
  answer(facts)
  fastest = Fastest(ways)
  for line in sys.stdin:
    answer(fastest(**json.loads(line)))


if __name__ == "__main__":
  main()
