"""Translates text, one sentence a line, in the order it came.

  python bin/translate.py --workdir=runs/de_en --input=test.de --output=test.hyp
  python bin/translate.py --workdir=runs/de_en < test.de > test.hyp
  python bin/translate.py --workdir=runs/de_en                            # Asks, on a terminal.
  python bin/translate.py --workdir=runs/ar --nbest=20 --input=test.de
  python bin/translate.py --workdir=runs/nat --set=search.candidates=9 --rescore_with=runs/ar --input=test.de
  python bin/translate.py --workdir=runs/cmlm --trace --input=test.de

An empty line gives an empty line. A line longer than the model takes is cut, which is warned of and counted.
N-best lines are `index ||| text ||| score`, the index counted from 0; --scores gives `text ||| score`.
--trace gives a line for each decoder pass of a search that has several, `index ||| pass ||| what it saw ||| what it
said` of the best candidate, in tokens; an empty line has no pass.
"""
import functools
import sys

from tf_nar import program
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run that translates.", required=True)
INPUT = flags.DEFINE_string("input", "", "Text to translate; standard input if empty.")
OUTPUT = flags.DEFINE_string("output", "", "Where translations go; standard output if empty.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", "A run, as the AR teacher, that ranks the candidates.")
NBEST = flags.DEFINE_integer(
  "nbest", 0, "At most so many different candidates of a line, for which a search may widen; 0: none.", lower_bound=0)
SCORES = flags.DEFINE_bool("scores", False, "Writes the score behind each translation.")
TRACE = flags.DEFINE_bool("trace", False, "Writes what each decoder pass saw and said, a sentence at a time.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded source tokens a batch, over all length candidates.",
                              lower_bound=1)
WINDOW = flags.DEFINE_integer("window", 50_000, "Lines read and sorted at a time; 1 answers at once.",
                              lower_bound=1)


def translate():
  """Translates from the flags' input to their output."""
  from tf_nar import runs
  from tf_nar import translator
  from tf_nar.evaluate import progress
  if TRACE.value and (NBEST.value or SCORES.value):
    raise ValueError("--trace shows the passes of the best candidate, without scores; leave out --nbest and --scores.")
  run = runs.load(WORKDIR.value, SET.value)
  model = translator.Translator(
    run, runs.load(RESCORE_WITH.value) if RESCORE_WITH.value else None, tokens_per_batch=TOKENS.value)
  show = _tracer(model) if TRACE.value else functools.partial(_translations, model)
  asks = INPUT.value in {"", "-"} and text.is_terminal(sys.stdin)
  sources = text.read(INPUT.value, "> " if asks else "")
  shown = OUTPUT.value in {"", "-"} and text.is_terminal(sys.stdout)
  with text.writing(OUTPUT.value) as write, progress.Progress("translate", quiet=asks or shown) as bar:
    for line in show(sources, 1 if asks else WINDOW.value, bar.advance):
      write(line)


def _translations(model, sources, window, advance):
  """Yields the lines of translations of sentences; reads so many at a time and tells `advance` how many are done."""
  from tf_nar.evaluate import lines
  found = model.stream(sources, nbest=NBEST.value, window=window, progress=advance)
  for index, candidates in enumerate(found):
    yield from lines.formatted(index, candidates, model.run.vocab, nbest=NBEST.value, scores=SCORES.value)


def _tracer(model):
  """Returns a function as `_translations` is, but to the lines of passes; it reads a sentence at a time."""
  from tf_nar.evaluate import tracing
  search = model.run.experiment.search
  passes = tracing.tracer(model.run, search, model.ranker(search))

  def show(sources, _, advance):
    for index, source in enumerate(model.ids(sources)):
      yield from tracing.formatted(index, passes(source))
      advance(1)

  return show


def main(argv):
  program.run("translate", translate, argv)
