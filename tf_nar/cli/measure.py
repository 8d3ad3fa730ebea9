"""Measures the conditional total correlation of a text: what any model with independent tokens loses on it.

  python bin/measure.py --data_dir=data/multi30k_en_de --teacher=runs/teacher --student=runs/glat
  python bin/measure.py --data_dir=data/multi30k_en_de --translate_with=runs/teacher \\
      --teacher=runs/ar_distilled --student=runs/glat_distilled --report=runs/glat_distilled/report.json

It is the student's negative log likelihood less the teacher's, in nats per target token, on the validation text of the
data folder. Both runs must be trained on text of the kind that is measured, with like sizes and updates. For students
of distilled text --translate_with gives the run whose translations they were trained on, and --translate_set its
search: it translates the validation sources too, and the teacher is another AR run, trained on the distilled text.
tf_nar/evaluate/total_correlation.py lists what else to bear in mind.

A student of CTC, a graph or latents is not factorised; the row is then excess_nll, or excess_nll_bound if its score is
a bound. --report adds the rows to a report of bin/evaluate.py, so that bin/report.py shows them.
"""
from tf_nar import program

flags = program.Flags()

DATA = flags.DEFINE_string("data_dir", None, "The data folder whose validation text is measured.", required=True)
TEACHER = flags.DEFINE_string("teacher", None, "An autoregressive run.", required=True)
STUDENT = flags.DEFINE_string("student", None, "A non-autoregressive run.", required=True)
STUDENT_SET = flags.DEFINE_multi_string(
  "student_set", [], "Overrides of that run, as model.scores=nar for a janus; may be repeated.")
TRANSLATE_WITH = flags.DEFINE_string(
  "translate_with", "", "A run whose translations of the sources are the targets; empty: those of the data folder.")
TRANSLATE_SET = flags.DEFINE_multi_string(
  "translate_set", [], "Overrides of that run, as search.beam=5, by which the text was translated; may be repeated.")
REPORT = flags.DEFINE_string("report", "", "The report of bin/evaluate.py to add the rows to; empty: only print them.")
TOKENS = flags.DEFINE_integer("tokens_per_batch", 8192, "Padded tokens per batch, of each side.", lower_bound=1)

EXACT = "model.net.dtype=float32"  # Of both models, as Ĉ is a small difference of large sums.


def measure() -> None:
  """Measures the text given by the flags."""
  from tf_nar import runs
  from tf_nar import translator
  from tf_nar.data import corpus
  from tf_nar.evaluate import report
  if TRANSLATE_SET.value and not TRANSLATE_WITH.value:
    raise ValueError("--translate_set changes the search of the run of --translate_with; give that run too.")
  rows, facts = report.read(REPORT.value) if REPORT.value else ([], {})
  opened = lambda workdir, changes=(): translator.Translator(
    runs.load(workdir, changes), tokens_per_batch=TOKENS.value)
  student, teacher = opened(STUDENT.value, [*STUDENT_SET.value, EXACT]), opened(TEACHER.value, [EXACT])
  sources, targets = corpus.validation(DATA.value)
  if TRANSLATE_WITH.value:
    # Token ids, as text that is joined from subwords could not be encoded again by every vocabulary.
    found = opened(TRANSLATE_WITH.value, TRANSLATE_SET.value).stream(sources)
    pairs = [(source, candidates[0].tokens) for source, candidates in zip(sources, found, strict=True) if candidates]
    sources, targets = zip(*pairs, strict=True)
  found = student.total_correlation(teacher, sources, targets)
  if REPORT.value:
    names = {row.name for row in found}
    known = {name: flag.value for name, flag in (
      ("data_dir", DATA), ("teacher", TEACHER), ("student", STUDENT), ("student_set", STUDENT_SET),
      ("translate_with", TRANSLATE_WITH), ("translate_set", TRANSLATE_SET))}
    report.write(REPORT.value, [row for row in rows if row.name not in names] + found,
                 facts | {"total_correlation": known})
  print(report.table(found))


def main(argv: list[str]) -> None:
  program.run("measure", measure, argv)
