"""Copies a finished run into a small folder to publish, as those in pretrained/: weights in bfloat16, no checkpoints.

  python bin/pack.py --workdir=runs/best/round_1/student --out=pretrained/multi30k_en_de
  python bin/pack.py --workdir=runs/best/round_1/teacher --out=pretrained/multi30k_en_de/teacher \\
      --data_dir=runs/best/round_1/distilled --lines=29000

The folder is a run folder: all programs take it as --workdir. Its matrices are rounded to bfloat16, which halves their
size. A model in mixed_bfloat16 rounds them in every computation anyway, so that its translations stay the same; measure
a packed float32 model with bin/evaluate.py before you publish it.
"""
import gzip
import os

from tf_nar import program
from tf_nar.data import atomic

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The finished run to copy.", required=True)
OUT = flags.DEFINE_string("out", None, "The folder to make.", required=True)
DATA_DIR = flags.DEFINE_string(
  "data_dir", "", "A data folder, such as a distilled one, whose training targets are written too, as targets.txt.gz: "
  "line by line those of the corpus, blank where a pair was left out.")
LINES = flags.DEFINE_integer("lines", 0, "Lines of the corpus, for --data_dir; 0: up to its last pair.", lower_bound=0)


def pack() -> None:
  """Packs the run given by the flags."""
  from tf_nar import runs
  run = runs.load(WORKDIR.value)
  texts = targets(DATA_DIR.value) if DATA_DIR.value else []  # First, as it refuses an unsuitable folder.
  with atomic.folder(OUT.value) as folder:
    size = runs.pack(run, folder)
    if texts:
      whole = "".join(f"{text}\n" for text in texts)
      atomic.write(os.path.join(folder, "targets.txt.gz"), gzip.compress(whole.encode(), mtime=0))
  print(program.typed(f"{size / 1e6:.1f} MB in {OUT.value}. Try it:\n"
                      f"  python bin/translate.py --workdir={OUT.value}"))


def targets(folder: str) -> list[str]:
  """Returns the training targets of a data folder as text, in the order of the corpus; "" for pairs that it lacks."""
  from tf_nar.data import corpus
  from tf_nar.data import records
  from tf_nar.data import vocab
  words = vocab.load(folder)
  found = {pair.index: words.decode(pair.tgt) for path in corpus.shards(folder) for pair in records.read(path)}
  if LINES.value and max(found) >= LINES.value:
    raise ValueError(f"--lines={LINES.value} is too few: {folder} has a pair of line {max(found) + 1}; give the number "
                     "of lines of its corpus.")
  return [found.get(index, "") for index in range(LINES.value or max(found) + 1)]


def main(argv: list[str]) -> None:
  program.run("pack", pack, argv)
