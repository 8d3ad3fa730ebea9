"""Adds fertilities to a data folder by word alignment, for models that predict them (nat_fertility).

  python data_prep/align.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de_aligned

The new folder holds the same pairs in the same order, each with its fertilities: the number of target tokens that
align to every source token. The aligner is that of Dyer, Chahuneau & Smith (NAACL 2013), fast_align; every target token
aligns to a source token, and EOS to EOS. If a model is trained on a teacher's translations, align the folder of those,
as --data_dir=runs/em/round_1/distilled.
"""
from tf_nar import program

flags = program.Flags()

DATA_DIR = flags.DEFINE_string("data_dir", None, "A data folder, as data_prep/prepare.py makes it.", required=True)
OUT = flags.DEFINE_string("out", None, "The data folder to make.", required=True)
ITERATIONS = flags.DEFINE_integer("iterations", 5, "Iterations of EM that estimate the alignment model.")
LEARN_PAIRS = flags.DEFINE_integer(
    "learn_pairs", 500_000, "Pairs that the alignment model is estimated from, evenly spread over the text; they are "
    "held in memory. 0: all.")


def align() -> None:
  """Aligns the folder given by the flags."""
  from tf_nar.prepare import aligned
  report = aligned.align(DATA_DIR.value, OUT.value, ITERATIONS.value, LEARN_PAIRS.value)
  print(program.typed(aligned.summary(report, OUT.value)))


def main(argv: list[str]) -> None:
  program.run("align", align, argv)
