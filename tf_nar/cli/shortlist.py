"""Makes a shortlist of the vocabulary: for each sentence the few words that its translation may need.

  python data_prep/shortlist.py --data_dir=data/multi30k_en_de --out=data/multi30k_en_de/shortlist.npz
  python bin/translate.py --workdir=runs/nat --shortlist=data/multi30k_en_de/shortlist.npz --input=test.en

The words are the most frequent ones of the target and, for each token of the source, its likeliest translations by the
aligner of data_prep/align.py. The output layer, which with a large vocabulary and a small model is most of the work,
then computes only those. Prints which share of the target tokens is on the shortlists of their own sentences.
"""
from tf_nar import program

flags = program.Flags()

DATA_DIR = flags.DEFINE_string("data_dir", None, "A data folder, as data_prep/prepare.py makes it.", required=True)
OUT = flags.DEFINE_string("out", None, "The file to write, of numpy, as shortlist.npz.", required=True)
EACH = flags.DEFINE_integer("each", 20, "Translations of each source token.")
FREQUENT = flags.DEFINE_integer("frequent", 500, "Most frequent tokens, which every sentence gets.")
ITERATIONS = flags.DEFINE_integer("iterations", 5, "Iterations of EM that estimate the alignment model.")
LEARN_PAIRS = flags.DEFINE_integer(
    "learn_pairs", 500_000, "Pairs that the alignment model is estimated from, evenly spread over the text; they are "
    "held in memory. 0: all.")


def shortlist() -> None:
  """Writes the shortlist given by the flags."""
  from tf_nar.prepare import shortlist as shortlist_lib
  share = shortlist_lib.make(DATA_DIR.value, OUT.value, each=EACH.value, frequent=FREQUENT.value,
                             iterations=ITERATIONS.value, learn_pairs=LEARN_PAIRS.value)
  print(f"{OUT.value}: {100 * share:.2f} % of the target tokens are on the shortlists of their sentences.")


def main(argv: list[str]) -> None:
  program.run("shortlist", shortlist, argv)
