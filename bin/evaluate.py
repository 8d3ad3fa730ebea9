"""Translates a test set, measures it, and says what each number means.

  python bin/evaluate.py --workdir=runs/de_en --source=test.de --reference=test.en
  python bin/evaluate.py --workdir=runs/nat --source=test.de --reference=test.en --set=search.lengths=9 \
      --rescore_with=runs/ar --output=runs/nat/test.json

Prints a table and writes it, with configuration, commit and hashes of the files, to --output; the translations
go beside it (report.hypotheses.txt). If the vocabulary is of tokenised text, so must source and reference be, and
BLEU is of that kind (tok:none); otherwise it is sacreBLEU as everybody's (tok:13a). The signatures tell.
"""
import os

from absl import app, flags

from tf_nar import runs
from tf_nar.evaluate import corpus, lines, progress, report, rescoring, testset

WORKDIR = flags.DEFINE_string("workdir", None, "The run to measure.", required=True)
SOURCE = flags.DEFINE_string("source", None, "The test set's source sentences.", required=True)
REFERENCE = flags.DEFINE_string("reference", None, "Their translations by people, as many lines.", required=True)
OUTPUT = flags.DEFINE_string("output", "", "The report; report.json in the workdir if empty.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as `search.beam=1`.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", "A run, usually autoregressive, that chooses the candidate.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded source tokens translated together.", lower_bound=1)


def main(argv):
  if len(argv) > 1:
    raise app.UsageError(f"Arguments that no flag takes: {argv[1:]}.")
  run = runs.load(WORKDIR.value, SET.value)
  rescore = rescoring.by(runs.load(RESCORE_WITH.value), run.vocab) if RESCORE_WITH.value else None
  search = corpus.searcher(run.model, run.experiment.search, rescore)
  sources, references = list(lines.read(SOURCE.value)), list(lines.read(REFERENCE.value))
  with progress.Progress("translate", total=len(sources)) as bar:
    hypotheses, rows = testset.measure(
        search, run.vocab, sources, references, tokens_per_batch=TOKENS.value,
        longest=run.experiment.model.net.max_length, progress=bar.advance)
  print(report.table(rows))
  path = OUTPUT.value or os.path.join(WORKDIR.value, "report.json")
  with lines.writing(f"{os.path.splitext(path)[0]}.hypotheses.txt") as write:
    for hypothesis in hypotheses:
      write(hypothesis)
  files = {"source": SOURCE.value, "reference": REFERENCE.value}
  known = report.facts(run.experiment, WORKDIR.value, files)
  report.write(path, rows, {**known, "rescored_with": RESCORE_WITH.value})


if __name__ == "__main__":
  app.run(main)
