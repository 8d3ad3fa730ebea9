"""Aligns the training pairs of a data folder word by word, for the models that learn fertilities.

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned

The new folder holds the same pairs in the same order, and with each how many target tokens every source token stands
for. Words are aligned after Dyer, Chahuneau & Smith (NAACL 2013); every target word has a source word, and EOS has EOS.
Where a model learns from a teacher's translations, align the folder of those: data_dir=runs/em/round_1/distilled.
"""
import os
import sys

from absl import app
from absl import flags

# Run as a program, Python looks beside this file; what it needs is beside its folder.
sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from data_prep import aligned
from tf_nar import program

DATA_DIR = flags.DEFINE_string("data_dir", None, "A data folder, as data_prep/prepare.py makes it.", required=True)
OUT = flags.DEFINE_string("out", None, "The data folder to make.", required=True)
ITERATIONS = flags.DEFINE_integer("iterations", 5, "Of EM.")
LEARN_PAIRS = flags.DEFINE_integer(
    "learn_pairs", 500_000, "Pairs to learn from, evenly spread over the text; they are held in memory. 0: all.")


def align():
  """Aligns the flags' folder."""
  report = aligned.align(DATA_DIR.value, OUT.value, ITERATIONS.value, LEARN_PAIRS.value)
  print(aligned.summary(report, OUT.value))


def main(argv):
  program.run("align", align, argv)


if __name__ == "__main__":
  app.run(main)
