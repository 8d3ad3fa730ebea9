"""Aligns the training pairs of a data folder word by word, for the models that learn fertilities.

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned

The new folder holds the same pairs in the same order, and with each how many target tokens every source token stands
for. Words are aligned after Dyer, Chahuneau & Smith (NAACL 2013); every target word has a source word, and EOS has EOS.
Where a model learns from a teacher's translations, align the folder of those: data_dir=runs/em/round_1/distilled.
"""
from tf_nar import program

flags = program.Flags()

DATA_DIR = flags.DEFINE_string("data_dir", None, "A data folder, as data_prep/prepare.py makes it.", required=True)
OUT = flags.DEFINE_string("out", None, "The data folder to make.", required=True)
ITERATIONS = flags.DEFINE_integer("iterations", 5, "Of EM.")
LEARN_PAIRS = flags.DEFINE_integer(
    "learn_pairs", 500_000, "Pairs to learn from, evenly spread over the text; they are held in memory. 0: all.")


def align():
  """Aligns the flags' folder."""
  from tf_nar.prepare import aligned
  report = aligned.align(DATA_DIR.value, OUT.value, ITERATIONS.value, LEARN_PAIRS.value)
  print(program.typed(aligned.summary(report, OUT.value)))


def main(argv):
  program.run("align", align, argv)
