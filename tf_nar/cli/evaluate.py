"""Translates a test set, measures the translations, and explains each number.

  python bin/evaluate.py --workdir=runs/de_en --source=test.de --reference=test.en
  python bin/evaluate.py --workdir=runs/nat --source=test.de --reference=test.en --set=search.candidates=9 \\
      --rescore_with=runs/ar --output=runs/nat/test.json
  python bin/evaluate.py --workdir=runs/nat --source=test.de --reference=test.en --speed_beside=runs/ar \\
      --beside_set=search.beam=5

Prints a table and writes it, with configuration, commit and hashes of the files, to --output. The translations are
written next to it (report.hypotheses.txt), except when it is a device or a pipe. If the vocabulary is of tokenised
text, source and reference must be tokenised too, and BLEU is tokenised BLEU (tok:none); otherwise it is sacreBLEU's,
with the tokeniser that data_prep/prepare.py recorded for the target language (tok:13a for words between spaces).
--speed_beside measures the time per sentence, one by one and in batches of 128, in turns with another run's search.
--teacher=RUN, an AR run, adds the total correlation of the test set, or for families without independent tokens the
excess negative log likelihood; see bin/measure.py. bin/report.py combines several reports into a table and a plot.
"""
import dataclasses
import os

from tf_nar import program
from tf_nar.data import atomic
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run folder to evaluate.", required=True)
SOURCE = flags.DEFINE_string("source", None, "The test set's source sentences.", required=True)
REFERENCE = flags.DEFINE_string("reference", None, "Their translations, as many lines.", required=True)
OUTPUT = flags.DEFINE_string("output", "", "The report to write; empty: report.json in the workdir.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", "A run, such as the AR teacher, that ranks the candidates.")
SPEED_BESIDE = flags.DEFINE_string(
  "speed_beside", "", "A run, such as the AR teacher, to compare the speed with; empty: speed is not measured.")
BESIDE_SET = flags.DEFINE_multi_string("beside_set", [], "Overrides of that run, as search.beam=5; may be repeated.")
TEACHER = flags.DEFINE_string(
  "teacher", "", "An AR run trained on the same text, to measure the total correlation; empty: it is not measured.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded source tokens per batch, over all length candidates.",
                              lower_bound=1)


def evaluate():
  """Evaluates the test set given by the flags and writes the report."""
  from tf_nar import translator
  from tf_nar.evaluate import lines
  from tf_nar.evaluate import progress
  from tf_nar.evaluate import report
  if BESIDE_SET.value and not SPEED_BESIDE.value:
    raise ValueError("--beside_set changes the search of the run of --speed_beside; give that run too.")
  path = OUTPUT.value or os.path.join(WORKDIR.value, "report.json")
  atomic.check_no_folder(path)
  texts = {"source": text.read(SOURCE.value), "reference": text.read(REFERENCE.value)}
  pairs = list(lines.paired(*texts.values()))
  sources, references = ([pair[side] for pair in pairs] for side in (0, 1))
  model = translator.load(WORKDIR.value, *SET.value, rescore_with=RESCORE_WITH.value, tokens_per_batch=TOKENS.value)
  run = model.run
  beside = baseline(run, sources) if SPEED_BESIDE.value else None
  lost = []
  if TEACHER.value:  # First, as it refuses an unsuitable run.
    teacher = translator.load(TEACHER.value, tokens_per_batch=TOKENS.value)
    lost = model.total_correlation(teacher, sources, references)
  with progress.Progress("translate", total=len(sources)) as bar:
    hypotheses, rows = model.evaluate(sources, references, bar.advance)
  rows += lost
  if beside:
    rows += speed(model, beside, sources)
  if not atomic.is_special(path):  # No file can be made next to a device such as /dev/stdout.
    with text.writing(f"{os.path.splitext(path)[0]}.hypotheses.txt") as write:
      for hypothesis in hypotheses:
        write(hypothesis)
  known = report.facts(run.experiment, WORKDIR.value, texts)
  report.write(path, rows, {**known, "rescored_with": RESCORE_WITH.value,
                             "speed_beside": SPEED_BESIDE.value, "teacher": TEACHER.value})
  print(report.table(rows))  # Last, as its reader may close the pipe.


def baseline(run, sources):
  """Opens and checks the run to compare the speed with, before hours of translation."""
  from tf_nar import runs
  from tf_nar.evaluate import testset
  other = runs.load(SPEED_BESIDE.value, BESIDE_SET.value)
  if other.vocab.sha256 != run.vocab.sha256:
    raise ValueError(f"--speed_beside={SPEED_BESIDE.value} has another vocabulary than {run.workdir}; give a run of "
                     "the same data.")
  testset.check_speed(sources)
  return other


def speed(model, other, sources):
  """Returns the rows of the speed, compared with another run."""
  from tf_nar import translator
  from tf_nar.evaluate import testset
  name = f"{other.experiment.family} {dataclasses.asdict(other.experiment.search)}"
  longest = min(each.experiment.model.net.max_length for each in (model.run, other))
  theirs = translator.Translator(other).searcher()
  return list(testset.speed(model.searcher(), theirs, name, model.run.vocab, sources, longest=longest))


def main(argv):
  program.run("evaluate", evaluate, argv)
