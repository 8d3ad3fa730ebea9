"""Aligns the training pairs of a data folder word by word, for the models that learn fertilities.

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned

The new folder holds the same pairs in the same order, and with each how many target tokens every source token stands
for. Words are aligned after Dyer, Chahuneau & Smith (NAACL 2013); every target word has a source word, and EOS has EOS.
Where a model learns from a teacher's translations, align the folder of those: data_dir=runs/em/round_1/distilled.
"""
import os
import sys

import tensorflow as tf
from absl import app
from absl import flags

# Run as a program, Python looks beside this file; what it needs is beside its folder.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from data_prep import aligned

DATA_DIR = flags.DEFINE_string("data_dir", None, "A data folder, as data_prep/prepare.py makes it.", required=True)
OUT = flags.DEFINE_string("out", None, "The data folder to make.", required=True)
ITERATIONS = flags.DEFINE_integer("iterations", 5, "Of EM.")
LEARN_PAIRS = flags.DEFINE_integer(
    "learn_pairs", 500_000, "Pairs to learn from, evenly spread over the text; they are held in memory. 0: all.")


def main(argv):
  if len(argv) > 1:
    raise app.UsageError(f"Arguments that no flag takes: {argv[1:]}.")
  try:
    report = aligned.align(DATA_DIR.value, OUT.value, ITERATIONS.value, LEARN_PAIRS.value)
  except (OSError, ValueError, tf.errors.OpError) as error:
    sys.exit(f"align: {error}")
  print(aligned.summary(report, OUT.value))


if __name__ == "__main__":
  app.run(main)
