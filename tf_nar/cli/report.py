"""Compares runs by their reports: a table, and a plot of BLEU against the time per sentence.

  python bin/report.py runs/*/report.json --out=runs/comparison
  python bin/report.py "AR, beam 5=runs/teacher/report.json" "CTC, distilled=runs/ctc/report.json" --out=runs/comparison

Reads reports that bin/evaluate.py --speed_beside=RUN wrote for one test set. Prints the table and writes it to
OUT.md, and the plot to OUT.png. A report is named after its folder unless a name is given before it. Only systems whose
speed was measured are in the plot. Absolute times depend on the load of the machine at the time; compare systems by
their speed relative to RUN, which was measured in turns with each.

--gap_from=REPORT, the report of an AR run, adds a plot, OUT.gap.png: the BLEU that each system lacks to that run by its
total correlation or excess negative log likelihood, which bin/evaluate.py --teacher=RUN or bin/measure.py --report put
into the reports.
"""
import os

from tf_nar import program
from tf_nar.data import atomic
from tf_nar.evaluate import comparison

flags = program.Flags()

GAP_FROM = flags.DEFINE_string("gap_from", "", "The report of an AR run, for a plot of BLEU gaps; empty: none.")
OUT = flags.DEFINE_string("out", None, "The path of the table, OUT.md, and of the plot, OUT.png.", required=True)


def read(argument):
  """Returns the `comparison.System` of an argument, PATH or NAME=PATH, and the hashes of its test set."""
  from tf_nar.evaluate import report
  name, _, path = argument.rpartition("=")
  rows, facts = report.read(path)
  folder, file = os.path.split(path)
  stem = os.path.splitext(file)[0]
  own = os.path.basename(os.path.abspath(folder))
  family = (facts.get("experiment") or {}).get("family", "")
  return comparison.system(name or (own if stem == "report" else f"{own}, {stem}"), rows, family), report.digests(facts)


def compare(arguments):
  """Writes table and plot of the reports."""
  if not arguments:
    raise ValueError("No report to compare; give the report.json files of bin/evaluate.py, as runs/*/report.json.")
  systems, digests = zip(*map(read, [*arguments, *([GAP_FROM.value] if GAP_FROM.value else [])]), strict=True)
  for argument, digest in zip([*arguments, GAP_FROM.value], digests, strict=False):
    common = digest.keys() & digests[0].keys()  # A report of given translations may lack the source.
    if not common or any(digest[use] != digests[0][use] for use in common):
      raise ValueError(f"{argument} is of another test set than {arguments[0]}; give reports of the same test set.")
  comparison.comparable(systems)
  baseline, systems = systems[-1], systems[:len(arguments)]
  atomic.write(f"{OUT.value}.md", f"{comparison.table(systems)}\n".encode())
  print(comparison.shown(systems))
  if not comparison.plot(systems, f"{OUT.value}.png"):
    print("\nNo plot, as no report has a measured speed; add --speed_beside to bin/evaluate.py.")
  if GAP_FROM.value and not comparison.plot_gap(systems, baseline, f"{OUT.value}.gap.png"):
    print("\nNo plot of gaps, as no report has a total correlation; add --teacher to bin/evaluate.py.")


def main(argv):
  program.run("report", lambda: compare(argv[1:]), argv[:1])
