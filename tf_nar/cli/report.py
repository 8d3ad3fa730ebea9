"""Compares runs by their reports: a table, and a plot of BLEU against the time per sentence.

  python bin/report.py runs/*/report.json --out=runs/comparison
  python bin/report.py "AR, beam 5=runs/teacher/report.json" "CTC, distilled=runs/ctc/report.json" --out=runs/comparison

Reads reports that bin/evaluate.py --speed_beside=RUN wrote for one test set. Prints the table and writes it to
OUT.md, and the plot to OUT.png. A report is named after its folder, or after its file if all are in one folder, unless
a name is given before it. Only systems whose speed was measured are in the plot. Absolute times depend on the load of
the machine at the time; compare systems by their speed relative to RUN, which was measured in turns with each.

Reports that are given one NAME are of trainings that differ in the seed alone, and become one row: the means, with the
standard deviation of BLEU and chrF, a bar in the plot. Those of other models, trainings or searches are refused; that
they learned from the same text is not known to them.

--list=FILE names reports in a file, NAME=PATH on each line, in the order of the table; # begins a comment.

--gap_from=REPORT, the report of an AR run, adds a column with the BLEU that each system has more than that run, and one
with the chance of so large a gap for reports that bin/evaluate.py --compare_with=REPORT wrote. Then reports with a
total correlation or an excess of the negative log likelihood, which bin/evaluate.py --teacher=RUN or bin/measure.py
--report put into them, are also listed in OUT.gap.md, each with the proxy of the text that its family learns from
(docs/theory.md), and plotted in OUT.gap.png. --em=FOLDER/em.json adds the rounds of bin/em.py to these two.

  python bin/report.py --list=docs/reports/field.txt \\
      --gap_from=docs/reports/multi30k_en_de/teacher_published_search.json --out=docs/field_multi30k

--latency=FOLDER/latency.json takes all speeds from one run of bin/latency.py, of exported systems with the names of the
reports, as times those of its baseline and of its system --ct2. Without reports all systems of that run are compared,
by their BLEU too if bin/latency.py had --reference; --one_core adds the times of another run, with --threads=1.

  python bin/report.py --latency=runs/latency/latency.json --out=runs/latency/table
"""
import dataclasses
import os
from typing import Any, Sequence

from tf_nar import config
from tf_nar import program
from tf_nar.data import atomic
from tf_nar.data import json_file
from tf_nar.evaluate import comparison
from tf_nar.evaluate import gaps
from tf_nar.evaluate import speeds

flags = program.Flags()

LIST = flags.DEFINE_string("list", "", "A file of more reports, one NAME=PATH on each line; empty: none.")
GAP_FROM = flags.DEFINE_string("gap_from", "", "The report of an AR run, for gaps of BLEU; empty: none.")
EM = flags.DEFINE_multi_string("em", [], "FILE or NAME=FILE, an em.json of bin/em.py whose rounds have gaps too.")
LATENCY = flags.DEFINE_string("latency", "", "A latency.json, for the speeds; empty: those of the reports.")
CT2 = flags.DEFINE_string("ct2", "", "The name of its system of CTranslate2 to compare with too; empty: none.")
ONE_CORE = flags.DEFINE_string(
    "one_core", "", "The latency.json of a run of the same systems with --threads=1, beside --latency; empty: none.")
OUT = flags.DEFINE_string("out", None, "The path of the table, OUT.md, and of the plot, OUT.png.", required=True)


def read(argument: str) -> tuple[comparison.System, dict[str, str]]:
  """Returns the `comparison.System` of an argument, PATH or NAME=PATH, and the hashes of its test set."""
  from tf_nar.evaluate import report
  name, _, path = argument.rpartition("=")
  rows, facts = report.read(path)
  family = (facts.get("experiment") or {}).get("family", "")
  found = comparison.system(name or own_name(path), rows, family, proxy(facts))
  # Only reports with a NAME may be seeds of one system.
  return found._replace(settings=settings(facts), seed=facts.get("seed") if name else None), report.digests(facts)


def named(arguments: Sequence[str]) -> list[str]:
  """Returns the arguments; several files of one folder are named by the files alone."""
  folders = {os.path.dirname(argument) for argument in arguments}
  if len(arguments) == 1 or len(folders) > 1 or any("=" in argument for argument in arguments):
    return list(arguments)
  return [f"{os.path.splitext(os.path.basename(argument))[0]}={argument}" for argument in arguments]


def own_name(path: str) -> str:
  """Returns the name of a report that has none: that of its folder, and of the file unless it is report.json."""
  folder, file = os.path.split(path)
  stem, own = os.path.splitext(file)[0], os.path.basename(os.path.abspath(folder))
  return own if stem in ("report", "em") else f"{own}, {stem}"


def listed(path: str) -> list[str]:
  """Returns the arguments in a file, one on each line that is neither blank nor a comment."""
  with atomic.open_read(path) as file:
    lines = [line.strip() for line in file.read().decode().splitlines()]
  return [line for line in lines if line and not line.startswith("#")]


def settings(facts: dict[str, Any]) -> dict[str, Any]:
  """Returns what reports of trainings with other seeds have in common; the training text is not among their facts."""
  from tf_nar import runs
  known = {fact: facts.get(fact) for fact in ("rescored_with", "draft_with", "shortlist", "copy_unknown")}
  if not facts.get("experiment"):
    return known
  experiment = runs.experiment(facts["experiment"])
  free = "seed", "validate_every", "validate_sentences", "log_every"
  usual = {name: getattr(config.Train(), name) for name in free}
  train = dataclasses.replace(experiment.train, **usual)
  return known | {"experiment": dataclasses.replace(experiment, train=train)}


def proxy(facts: dict[str, Any]) -> str:
  """Returns what stands for the text in the training of a report's run; "" if it is not of a run."""
  from tf_nar import models
  from tf_nar import runs
  if not facts.get("experiment"):
    return ""
  experiment = runs.experiment(facts["experiment"])
  own = models.traits(experiment.family).proxy(experiment.model)
  distilled = facts.get("total_correlation", {}).get("translate_with")
  return "; ".join([gaps.DISTILLED] * bool(distilled) + [own] * (own != "none" or not distilled))


def compare(arguments: Sequence[str]) -> None:
  """Writes tables and plots of the reports."""
  if not arguments and not LATENCY.value:
    raise ValueError("No report to compare; give the report.json files of bin/evaluate.py, as runs/*/report.json.")
  if (EM.value and not GAP_FROM.value) or (CT2.value and not LATENCY.value):
    raise ValueError("--em is shown beside the gaps of --gap_from, and --ct2 is a system of --latency; give these too.")
  if ONE_CORE.value and (arguments or not LATENCY.value) or GAP_FROM.value and not arguments:
    raise ValueError("--one_core is shown beside --latency without reports, and --gap_from beside reports; give these.")
  if not arguments:
    show(speeds.systems(json_file.read(LATENCY.value), CT2.value, ONE_CORE.value and json_file.read(ONE_CORE.value)))
    return
  systems, digests = zip(*map(read, named([*arguments, *[GAP_FROM.value] * bool(GAP_FROM.value)])), strict=True)
  for argument, digest in zip([*arguments, GAP_FROM.value], digests, strict=False):
    common = digest.keys() & digests[0].keys()  # A report of given translations may lack the source.
    if not common or any(digest[use] != digests[0][use] for use in common):
      raise ValueError(f"{argument} is of another test set than {arguments[0]}; give reports of the same test set.")
  systems = [*comparison.merged(systems[:len(arguments)]), systems[-1]]
  if LATENCY.value:
    systems = speeds.measured(systems, json_file.read(LATENCY.value), CT2.value)
  comparison.comparable(systems)
  *systems, baseline = systems
  systems = comparison.with_gaps(systems, baseline) if GAP_FROM.value else systems
  show(systems)
  if GAP_FROM.value:
    show_gaps(systems, baseline)


def show(systems: Sequence[comparison.System]) -> None:
  """Writes and prints the table, and plots BLEU against time."""
  atomic.write(f"{OUT.value}.md", comparison.page(comparison.table(systems)).encode())
  print(comparison.shown(systems))
  if not comparison.plot(systems, f"{OUT.value}.png"):
    print("\nNo plot, as no system has both BLEU and speed; add --speed_beside to bin/evaluate.py, or --reference to "
          "bin/latency.py.")


def show_gaps(systems: Sequence[comparison.System], baseline: comparison.System) -> None:
  """Writes table and plot of the gaps of those systems, and rounds of EM, whose loss was measured."""
  from tf_nar.em import report as em_report
  points = gaps.of_systems(systems, baseline)
  for argument in EM.value:
    name, _, path = argument.rpartition("=")
    points += gaps.of_rounds(name or own_name(path), em_report.read(path))
  if not points:
    print("\nNo table of gaps, as no report has a total correlation; add --teacher to bin/evaluate.py.")
    return
  atomic.write(f"{OUT.value}.gap.md", comparison.page(gaps.table(points)).encode())
  print(f"\n{gaps.shown(points)}")
  gaps.plot(points, baseline.name, f"{OUT.value}.gap.png")


def main(argv: list[str]) -> None:
  program.run("report", lambda: compare([*argv[1:], *(listed(LIST.value) if LIST.value else [])]), argv[:1])
