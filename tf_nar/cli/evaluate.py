"""Translates a test set, measures the translations, and explains each number.

  python bin/evaluate.py --workdir=runs/de_en --source=test.de --reference=test.en
  python bin/evaluate.py --workdir=runs/nat --source=test.de --reference=test.en --set=search.candidates=9 \\
      --rescore_with=runs/ar --output=runs/nat/test.json
  python bin/evaluate.py --workdir=runs/nat --source=test.de --reference=test.en --speed_beside=runs/ar \\
      --beside_set=search.beam=5
  python bin/evaluate.py --workdir=runs/nat --source=test.de --reference=a.en --reference=b.en --ter \\
      --compare_with=runs/ar/report.json --segments=runs/nat/segments
  python bin/evaluate.py --hypothesis=marian.en --reference=test.en
  python bin/evaluate.py --openvino=served/nat_int8 --source=test.de --reference=test.en

Prints a table and writes it, with configuration, commit and hashes of the files, to --output. The translations are
written next to it (report.hypotheses.txt), except when it is a device or a pipe. If the vocabulary is of tokenised
text, source and reference must be tokenised too, and BLEU is tokenised BLEU (tok:none); otherwise it is sacreBLEU's,
with the tokeniser that data_prep/prepare.py recorded for the target language (tok:13a for words between spaces).
Length ratio and NCM are of the first reference. Updates and tokens are those of all trainings of the run, phase by
phase, as far as their logs are there.

--compare_with tests by paired bootstrap resampling whether BLEU and chrF differ from those of another system, whose
report and translations bin/evaluate.py wrote; give the report of a file of translations with --hypothesis.
--segments writes what COMET reads, which expects raw text: comet-score -s source.txt -t hypothesis.txt -r reference.txt
--speed_beside measures the time per sentence, one by one and in batches of 128, in turns with another run's search.
--teacher=RUN, an AR run, adds the total correlation of the test set, or for families without independent tokens the
excess negative log likelihood; see bin/measure.py. bin/report.py combines several reports into a table and a plot.
"""
import dataclasses
import os
from typing import Any

from tf_nar import program
from tf_nar.data import atomic
from tf_nar.data import language
from tf_nar.data import text

flags = program.Flags()

WORKDIR = flags.DEFINE_string("workdir", None, "The run folder to evaluate.", required=True)
SOURCE = flags.DEFINE_string("source", None, "The test set's source sentences.", required=True)
REFERENCE = flags.DEFINE_multi_string(
  "reference", None, "Their translations, as many lines; may be repeated, for several references.", required=True)
HYPOTHESIS = flags.DEFINE_string(
  "hypothesis", "", "Translations to score, as many lines. No run translates; --workdir then only says which kind of "
  "text its vocabulary is of.", spares=("workdir", "source"))
OPENVINO = flags.DEFINE_string(
  "openvino", "", "A folder of bin/export_openvino.py, which translates in place of a run.", spares=("workdir",))
OUTPUT = flags.DEFINE_string(
  "output", "", "The report to write; empty: report.json in the workdir or the folder of --openvino, with --hypothesis "
  "HYPOTHESIS.json.")
SET = flags.DEFINE_multi_string("set", [], "Overrides, as search.beam=1; may be repeated.")
RESCORE_WITH = flags.DEFINE_string("rescore_with", "", program.RESCORE_WITH)
DRAFT_WITH = flags.DEFINE_string("draft_with", "", program.DRAFT_WITH)
SHORTLIST = flags.DEFINE_string("shortlist", "", program.SHORTLIST)
COPY_UNKNOWN = flags.DEFINE_bool("copy_unknown", False, program.COPY_UNKNOWN)
SPEED_BESIDE = flags.DEFINE_string(
  "speed_beside", "", "A run, such as the AR teacher, to compare the speed with; empty: speed is not measured.")
BESIDE_SET = flags.DEFINE_multi_string("beside_set", [], "Overrides of that run, as search.beam=5; may be repeated.")
TEACHER = flags.DEFINE_string(
  "teacher", "", "An AR run trained on the same text, to measure the total correlation; empty: it is not measured.")
TOKENIZE = flags.DEFINE_string(
  "tokenize", None, f"sacrebleu's tokeniser: {language.NAMES}; default: that of the vocabulary, with --hypothesis "
  "alone by the script of the reference. none: tokenised text is taken as it is. The models of flores101 and flores200 "
  "must be where sacrebleu keeps them ($SACREBLEU/models); nothing is downloaded.")
LOWERCASE = flags.DEFINE_bool("lowercase", False, "BLEU, chrF and TER ignore the case of letters.")
TER = flags.DEFINE_bool("ter", False, "Measures TER too, which takes long for translations unlike the reference.")
COMPARE_WITH = flags.DEFINE_string("compare_with", "", "A report of bin/evaluate.py of another system, same test set.")
SEGMENTS = flags.DEFINE_string("segments", "", "A folder for source.txt, hypothesis.txt and reference.txt.")
TOKENS = flags.DEFINE_integer(
  "tokens_per_batch", 8192, "Padded source tokens per batch and device, over all length candidates.", lower_bound=1)
TPU = flags.DEFINE_string("tpu", "", program.TPU)


def evaluate() -> None:
  """Evaluates the test set given by the flags and writes the report."""
  from tf_nar.evaluate import lines
  from tf_nar.evaluate import report
  check_flags()
  folder = OPENVINO.value or WORKDIR.value
  own = f"{HYPOTHESIS.value}.json" if HYPOTHESIS.value else os.path.join(folder, "report.json")
  path = OUTPUT.value or own
  atomic.check_no_folder(path)
  references = {f"reference_{n}" if n > 1 else "reference": file for n, file in enumerate(REFERENCE.value, 1)}
  files = {"source": SOURCE.value, **references, "hypothesis": HYPOTHESIS.value}
  texts = {use: text.read(file) for use, file in files.items() if file}
  rows = list(lines.paired(*texts.values()))
  columns = {use: [row[number] for row in rows] for number, use in enumerate(texts)}
  other = opponent({use: texts[use] for use in references}) if COMPARE_WITH.value else None
  measure = of_file if HYPOTHESIS.value or OPENVINO.value else program.on_all_devices(of_run, TPU)
  hypotheses, rows, known, against = measure(texts, columns, list(references))
  if other:
    rows += against.difference(hypotheses, other, COMPARE_WITH.value)
  write_texts(path, columns | {"hypothesis": hypotheses})
  report.write(path, rows, known)
  print(report.table(rows))  # Last, as its reader may close the pipe.


def check_flags() -> None:
  """Checks that the flags fit each other."""
  if BESIDE_SET.value and not SPEED_BESIDE.value:
    raise ValueError("--beside_set changes the search of the run of --speed_beside; give that run too.")
  searching = SET, RESCORE_WITH, DRAFT_WITH, SHORTLIST, SPEED_BESIDE, TEACHER, COPY_UNKNOWN
  idle = [flag.name for flag in searching if flag.value]
  for given, why in ((HYPOTHESIS, "is translated already"), (OPENVINO, "is a model with its search")):
    if given.value and idle:
      raise ValueError(f"--{given.name} {why}; leave out --{' and --'.join(idle)}.")
  if OPENVINO.value and (HYPOTHESIS.value or WORKDIR.value):
    raise ValueError("--openvino takes the place of --workdir and --hypothesis; leave those out.")
  if HYPOTHESIS.value == "-" and not OUTPUT.value:
    raise ValueError("--hypothesis=- has no folder for the report; give --output.")
  if TOKENIZE.value is not None:
    language.check(TOKENIZE.value)
  if SEGMENTS.value and not SOURCE.value:
    raise ValueError("--segments writes the source too; give --source.")


def scoring() -> dict[str, Any]:
  """Returns the options of `quality.References` that the flags give."""
  return {"tokenize": TOKENIZE.value, "lowercase": LOWERCASE.value, "ter": TER.value}


def of_file(texts: dict[str, Any], columns: dict[str, list[str]], references: list[str]) -> tuple:
  """Scores given or exported translations; returns (hypotheses, rows, facts, `quality.References`)."""
  from tf_nar import pretrained
  from tf_nar.data import vocab
  from tf_nar.evaluate import quality
  from tf_nar.evaluate import report
  folder = OPENVINO.value or pretrained.find(WORKDIR.value or "")
  if OPENVINO.value:  # First, as it refuses another folder.
    columns["hypothesis"] = of_openvino(columns["source"])
  against = quality.References(
    *(columns[use] for use in references), vocab=vocab.load(folder) if folder else None, **scoring())
  hypotheses = [against.plain(line) for line in columns["hypothesis"]]
  rows = list(quality.of_texts(hypotheses, against))
  known = report.facts(None, folder, {use: each for use, each in texts.items() if use != "hypothesis"})
  of = {"openvino": folder} if OPENVINO.value else {"hypothesis": texts["hypothesis"].facts()}
  return hypotheses, rows, known | of, against


def of_openvino(lines: list[str]) -> list[str]:
  """Returns the translations of lines by the folder of --openvino."""
  from tf_nar.serve import loaded_openvino
  return [answer.content["translation"] for answer in loaded_openvino.Model(OPENVINO.value).answer("translate", lines)]


def of_run(texts: dict[str, Any], columns: dict[str, list[str]], references: list[str]) -> tuple:
  """Translates and measures; returns (hypotheses, rows, facts, `quality.References`)."""
  from tf_nar import translator
  from tf_nar.evaluate import progress
  from tf_nar.evaluate import quality
  from tf_nar.evaluate import report
  sources, references = columns["source"], [columns[use] for use in references]
  model = translator.load(WORKDIR.value, *SET.value, rescore_with=RESCORE_WITH.value, draft_with=DRAFT_WITH.value,
                          shortlist=SHORTLIST.value, tokens_per_batch=TOKENS.value, copy_unknown=COPY_UNKNOWN.value)
  run = model.run
  beside = baseline(run, sources) if SPEED_BESIDE.value else None
  lost = []
  if TEACHER.value:  # First, as it refuses an unsuitable run.
    teacher = translator.load(TEACHER.value, tokens_per_batch=TOKENS.value)
    lost = model.total_correlation(teacher, sources, references[0])
  with progress.Progress("translate", total=len(sources)) as bar:
    hypotheses, rows = model.evaluate(sources, references[0], bar.advance, more=references[1:], **scoring())
  rows += lost
  if beside:
    rows += speed(model, beside, sources)
  rows += training(run.workdir)
  known = report.facts(run.experiment, WORKDIR.value, texts)
  known |= {"rescored_with": RESCORE_WITH.value, "draft_with": DRAFT_WITH.value, "shortlist": SHORTLIST.value,
            "speed_beside": SPEED_BESIDE.value, "teacher": TEACHER.value, "copy_unknown": COPY_UNKNOWN.value}
  return hypotheses, rows, known, quality.References(*references, vocab=run.vocab, **scoring())


def training(workdir: str) -> list:
  """Returns the rows of the updates and tokens that a run was trained for; none if it has no log."""
  from tf_nar import recipe
  from tf_nar.evaluate import report
  if not (phases := recipe.seen(workdir)):
    return []
  each = ", ".join(f"{name} {updates}" for name, updates, _ in phases)
  _, updates, tokens = zip(*phases, strict=True)
  return [
    report.Row("updates", sum(updates), f"updates of all its trainings: {each}; without those of a warm start"),
    report.Row("million_tokens", sum(tokens) / 1e6, "padded target tokens of these updates at most, in millions")]


def opponent(references: dict[str, text.Lines]) -> list[str]:
  """Returns the translations of the system to compare with; `references` are {use: `text.Lines`}."""
  from tf_nar.evaluate import report
  path = COMPARE_WITH.value
  digests = report.digests(report.read(path)[1])
  for use, lines in references.items():
    if digests.get(use) != lines.sha256:
      raise ValueError(f"--compare_with={path} was measured with another {use} than {lines.name}; measure it with the "
                       "same texts.")
  found = list(text.read(report.hypotheses_path(path)))
  count = next(iter(references.values())).count
  if len(found) != count:
    raise ValueError(f"{report.hypotheses_path(path)} has {len(found)} lines, the reference has {count}; measure that "
                     "system again.")
  return found


def write_texts(path: str, columns: dict[str, list[str]]) -> None:
  """Writes the translations next to the report, and the folder of --segments."""
  from tf_nar.evaluate import report
  files = {} if atomic.is_special(path) else {report.hypotheses_path(path): "hypothesis"}  # Not next to /dev/stdout.
  if SEGMENTS.value:
    files |= {os.path.join(SEGMENTS.value, f"{use}.txt"): use for use in columns}
  for file, use in files.items():
    with text.writing(file) as write:
      for line in columns[use]:
        write(line)


def baseline(run: Any, sources: list[str]) -> Any:
  """Opens and checks the run to compare the speed with, before hours of translation."""
  from tf_nar import runs
  from tf_nar.evaluate import testset
  other = runs.load(SPEED_BESIDE.value, BESIDE_SET.value)
  if other.vocab.sha256 != run.vocab.sha256:
    raise ValueError(f"--speed_beside={SPEED_BESIDE.value} has another vocabulary than {run.workdir}; give a run of "
                     "the same data.")
  testset.check_speed(sources)
  return other


def speed(model: Any, other: Any, sources: list[str]) -> list:
  """Returns the rows of the speed, compared with another run."""
  from tf_nar import translator
  from tf_nar.evaluate import testset
  name = f"{other.experiment.family} {dataclasses.asdict(other.experiment.search)}"
  longest = min(each.experiment.model.net.max_length for each in (model.run, other))
  theirs = translator.Translator(other).searcher()
  return list(testset.speed(model.searcher(), theirs, name, model.run.vocab, sources, longest=longest))


def main(argv: list[str]) -> None:
  program.run("evaluate", evaluate, argv)
