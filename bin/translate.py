"""Translates text, one sentence a line, in the order it came.

  python bin/translate.py --workdir=runs/de_en --input=test.de --output=test.hyp
  python bin/translate.py --workdir=runs/de_en < test.de > test.hyp
  python bin/translate.py --workdir=runs/de_en                            # Asks, on a terminal.
  python bin/translate.py --workdir=runs/ar --set=search.beam=20 --nbest=20 --input=test.de
  python bin/translate.py --workdir=runs/nat --set=search.lengths=9 --rescore_with=runs/ar --input=test.de

An empty line gives an empty line. A line longer than the model takes is cut, which is warned of and counted.
N-best lines are `index ||| text ||| score`, the index counted from 0; --scores gives `text ||| score`.
"""
import dataclasses
import functools
import sys

from absl import app
from absl import flags
from absl import logging

from tf_nar import runs
from tf_nar.data import atomic
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines
from tf_nar.evaluate import progress
from tf_nar.evaluate import rescoring

WORKDIR = flags.DEFINE_string("workdir", None, "The run that translates.", required=True)
INPUT = flags.DEFINE_string("input", "", "Text to translate; standard input if empty.")
OUTPUT = flags.DEFINE_string("output", "", "Where translations go; standard output if empty.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", "A run, as the AR teacher, that ranks the candidates.")
NBEST = flags.DEFINE_integer("nbest", 0, "Candidates to write of a line; 0: the best, plain.", lower_bound=0)
SCORES = flags.DEFINE_bool("scores", False, "Writes the score behind each translation.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded source tokens a batch, over all length candidates.",
                              lower_bound=1)
WINDOW = flags.DEFINE_integer("window", corpus.WINDOW, "Lines read and sorted at a time; 1 answers at once.",
                              lower_bound=1)


def translate():
  """Translates from the flags' input to their output."""
  run = runs.load(WORKDIR.value, SET.value)
  search = run.experiment.search
  for width in ("beam", "lengths"):  # How many candidates a search keeps.
    if (kept := getattr(search, width, NBEST.value)) < NBEST.value:
      raise ValueError(f"--nbest={NBEST.value} is more than the search keeps, search.{width}={kept}; "
                       f"add --set=search.{width}={NBEST.value}.")
  if NBEST.value and hasattr(search, "nbest"):
    search = dataclasses.replace(search, nbest=NBEST.value)
  rescore = rescoring.by(runs.load(RESCORE_WITH.value), run) if RESCORE_WITH.value else None
  places = corpus.places(search, TOKENS.value)
  search = corpus.searcher(run.model, search, rescore)
  longest = run.experiment.model.net.max_length
  asks = not INPUT.value and sys.stdin.isatty()
  sources = lines.encode(lines.read(INPUT.value, "> " if asks else ""), run.vocab, longest)
  shown = not OUTPUT.value and sys.stdout.isatty()
  with lines.writing(OUTPUT.value) as write, progress.Progress("translate", quiet=asks or shown) as bar:
    translate = functools.partial(corpus.translate, search, tokens_per_batch=places, longest=longest,
                                  progress=bar.advance)
    for index, found in enumerate(corpus.stream(translate, sources, 1 if asks else WINDOW.value)):
      for line in lines.formatted(index, found, run.vocab, nbest=NBEST.value, scores=SCORES.value):
        write(line)


def main(argv):
  if len(argv) > 1:
    raise app.UsageError(f"Arguments that no flag takes: {' '.join(argv[1:])}.")
  try:
    translate()
  except (ValueError, OSError, *atomic.UNREACHABLE) as problem:
    sys.exit(f"translate: {problem}")


if __name__ == "__main__":
  logging.set_verbosity(logging.INFO)
  app.run(main)
