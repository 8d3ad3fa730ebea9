"""Measures how fast one core prepares text, and which step takes the time.

  python bin/bench_prepare.py --data_dir=data/mine --source=train.en --target=train.de

Takes the vocabulary of a data folder, and text as it is given to data_prep/prepare.py. Each round goes through the text
step by step and then as `prepare` does, into a temporary folder. The median over the rounds is printed, in processor
time, so that other programs on the machine matter little:

  read               reading lines, checking UTF-8; unpacking, if the text is compressed
  tokens             turning both sides into ids
  normalization      finding the lines that normalization changes
  records            serializing
  counts, writing    the rest: statistics, hashes, and distributing over the shards

Learning a vocabulary is not included.
"""
from tf_nar import program

flags = program.Flags()

DATA_DIR = flags.DEFINE_string("data_dir", None, "A data or run folder with a vocabulary.", required=True)
SOURCE = flags.DEFINE_list("source", None, "Text to translate from, one sentence per line.", required=True)
TARGET = flags.DEFINE_list("target", None, "Its translation.", required=True)
LINES = flags.DEFINE_integer("lines", 100_000, "Pairs that are used, the first ones.", lower_bound=1)
ROUNDS = flags.DEFINE_integer("rounds", 3, "Rounds that are measured.", lower_bound=1)


def measure() -> None:
  """Prints the table."""
  from tf_nar import display
  from tf_nar.data import vocab as vocab_lib
  from tf_nar.prepare import speed
  vocab = vocab_lib.load(DATA_DIR.value)
  pairs, tokens, seconds = speed.measure(vocab, SOURCE.value, TARGET.value, LINES.value, ROUNDS.value)
  total = sum(seconds.values())
  rows = [(step, f"{1e6 * each / pairs:.1f}", f"{100 * each / total:.0f} %") for step, each in seconds.items()]
  print(display.table(("step", "µs a pair", "share"), rows))
  print(f"{vocab.tokenization}: {pairs / total:,.0f} pairs per second of one core, {tokens / pairs:.0f} tokens a pair "
        f"on both sides together ({pairs} pairs, median of {ROUNDS.value}).")


def main(argv: list[str]) -> None:
  program.run("bench_prepare", measure, argv)
