"""Compares several logical devices of this machine's CPU with one device, in candidates and in scores.

  python bin/baselines/devices.py --workdir=multi30k_en_de/teacher --source=valid.en --devices=4

Both translate the same text, then score the translations, in turns: one round to warm up, then those that are counted.
Prints the sentences per second of each, and the ratios. The devices share the cores, so a ratio of 1 means that
dividing the work costs nothing. tests/evaluate/test_replicas.py checks that the results are equal to the bit.
"""
import os
import statistics
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))

from tf_nar import program

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "A run.", required=True)
SOURCE = flags.DEFINE_string("source", None, "Text to translate, one sentence per line.", required=True)
DEVICES = flags.DEFINE_integer("devices", 4, "Number of logical devices.", lower_bound=2)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds that are counted.", lower_bound=1)
TOKENS = flags.DEFINE_integer("tokens_per_batch", 2_048, "Padded source tokens per batch and device.", lower_bound=1)


def work(lines, strategy):
  """Returns a function that translates and scores the sources, and returns the seconds of each."""
  from tf_nar import runs
  from tf_nar import types
  from tf_nar.evaluate import corpus
  with strategy.scope():
    run = runs.load(WORKDIR.value)
    search, scorer = corpus.searcher(run.model, run.experiment.search), corpus.scorer(run.model)
  longest = run.experiment.model.net.max_length
  ids = [[*run.vocab.source.encode(line), types.EOS] for line in lines]

  def once():
    start = time.perf_counter()
    found = corpus.translate(search, ids, tokens_per_batch=TOKENS.value, longest=longest)
    middle = time.perf_counter()
    pairs = [(source, each[0].tokens) for source, each in zip(ids, found, strict=True)]
    corpus.score(scorer, pairs, tokens_per_batch=TOKENS.value, longest=longest)
    return middle - start, time.perf_counter() - middle

  return once


def compare():
  """Prints the table."""
  import tensorflow as tf

  from tf_nar import display
  from tf_nar.data import text
  cpu, = tf.config.list_physical_devices("CPU")
  tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * DEVICES.value)
  names = [device.name for device in tf.config.list_logical_devices("CPU")]
  lines = list(text.read(SOURCE.value))
  systems = [work(lines, each) for each in (tf.distribute.get_strategy(), tf.distribute.MirroredStrategy(names))]
  rounds = [[once() for once in systems] for _ in range(1 + ROUNDS.value)][1:]
  rows = []
  for number, what in enumerate(("candidates", "scores")):
    one, several = ([len(lines) / each[system][number] for each in rounds] for system in (0, 1))
    ratio = statistics.median(b / a for a, b in zip(one, several, strict=True))
    rows.append((what, f"{statistics.median(one):.1f}", f"{statistics.median(several):.1f}", f"{ratio:.2f}"))
  print(display.table(("sentences/s", "one device", f"{DEVICES.value} devices", "ratio"), rows))


def main(argv):
  program.run("devices", compare, argv)


if __name__ == "__main__":
  program.start(sys.modules[__name__])
