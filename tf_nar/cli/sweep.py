"""Tries search options on validation text, and prints those with the best BLEU.

  python bin/sweep.py --workdir=runs/ctc --source=data/de_en/valid.src --reference=data/de_en/valid.tgt \\
      --set=search.beam=20 --try=search.bonus=-0.5,0,0.5
  python bin/sweep.py --workdir=runs/dag --source=data/de_en/valid.src --reference=data/de_en/valid.tgt \\
      --set=search.method=joint --try=search.penalty=1,1.2,1.4 --try=search.candidates=1,5 --rescore_with=runs/ar

Translates the whole text with every combination of the values. Prints a table of all, and the options of the one with
the best BLEU, for bin/evaluate.py, bin/translate.py and bin/export.py. Do not choose options on the test set, whose
BLEU would then be too high.
"""
from tf_nar import program
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run folder to translate with.", required=True)
SOURCE = flags.DEFINE_string("source", None, "Source sentences, not those of the test set.", required=True)
REFERENCE = flags.DEFINE_string("reference", None, "Their translations, as many lines.", required=True)
TRY = flags.DEFINE_multi_string("try", None, "An option and its values, as search.beam=1,5; may be repeated.",
                                required=True)
SET = flags.DEFINE_multi_string("set", [], "Overrides for all combinations, as search.beam=20; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", program.RESCORE_WITH)
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded source tokens per batch, over all length candidates.",
                              lower_bound=1)


def sweep() -> None:
  """Measures every combination of the values given by the flags and prints them."""
  from tf_nar import models
  from tf_nar import runs
  from tf_nar import translator
  from tf_nar.evaluate import comparison
  from tf_nar.evaluate import lines
  from tf_nar.evaluate import tuning
  pairs = list(lines.paired(text.read(SOURCE.value), text.read(REFERENCE.value)))
  sources, references = ([pair[side] for pair in pairs] for side in (0, 1))
  run = runs.load(WORKDIR.value, [each for each in SET.value if not each.startswith("search.")])
  tried = tuning.searches(run.experiment, TRY.value, SET.value, check=models.check)
  teacher = translator.opened(RESCORE_WITH.value) if RESCORE_WITH.value else None
  systems = tuning.measure(
    run, tried, sources, references, tokens_per_batch=TOKENS.value, teacher=teacher)
  print(comparison.shown(systems))
  best = tuning.best(systems)
  options = tuple(best.name.split())
  chosen = [f"--set={option}" for option in (*SET.value, *options)]
  chosen += [f"--rescore_with={RESCORE_WITH.value}"] * tuning.ranks(teacher, tried[options])
  print(f"\nBest BLEU, {comparison.bleu(best):.2f}: {' '.join(chosen)}")


def main(argv: list[str]) -> None:
  program.run("sweep", sweep, argv)
