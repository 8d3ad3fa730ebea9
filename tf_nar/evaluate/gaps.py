"""Whether what a structure loses in likelihood orders the BLEU gaps to an autoregressive model: a table and a plot.

A gap is the BLEU of a system less that of the autoregressive model. docs/theory.md says what proxies and losses are.
"""
from typing import Iterable, NamedTuple, Sequence

import numpy as np

from tf_nar import display
from tf_nar.evaluate import comparison
from tf_nar.evaluate import plots

LOSSES = {"C": "o", "excess NLL": "s", "excess NLL, at most": "v"}  # Heading -> marker in the plot.
ROUNDS = "gap of a round"  # Heading of the gaps of EM's rounds.
DISTILLED = "targets, fixed"  # The proxy of a text that another model has translated.


class Point(NamedTuple):
  """A system, or a round of EM, with the loss of its structure."""

  name: str
  family: str
  proxy: str  # Of the family's `Traits.proxy`, after that of its text.
  loss: str  # A key of `LOSSES`.
  nats: float  # Per target token.
  gap: float
  interval: tuple[float, float] | None = None  # Of the nats, over sentences, if it is known.
  series: str = ""  # Points of one series are joined in the plot.


def of_systems(systems: Iterable[comparison.System], baseline: comparison.System) -> list[Point]:
  """Returns the `Point`s of those `comparison.System`s whose loss was measured; `baseline` is that of the AR run."""
  return [Point(each.name, each.family, each.proxy, head, each.values[key],
                comparison.bleu(each) - comparison.bleu(baseline), _interval(each.values, key))
          for each in systems for head, key in _losses(each.values)]


def of_rounds(name: str, rows: Iterable[dict]) -> list[Point]:
  """Returns the `Point`s of the rounds of EM that have a teacher; `rows` is the content of em.json.

  Gaps are those of the validation text, to the teacher of the round.
  """
  points = []
  for row in rows:
    bleu = next((row[key] for key in ("student_argmax_bleu", "student_bleu") if key in row), None)
    proxy = DISTILLED if row["round"] < 2 else "targets, adaptive"
    points += [Point(f"{name}, round {row['round']}", "", proxy, head, row[key], bleu - row["teacher_bleu"],
                     _interval(row, key), name) for head, key in _losses(row) if "teacher_bleu" in row]
  return points


def _losses(values):
  """Returns (key of `LOSSES`, key of `values`) of each loss that was measured."""
  return [(head, key) for head in LOSSES for key in comparison.COLUMNS[head][0] if key in values]


def _interval(values, key):
  ends = tuple(values[f"{key}_{end}"] for end in ("low", "high") if f"{key}_{end}" in values)
  return ends if len(ends) == 2 else None


def table(points: Iterable[Point]) -> str:
  """Returns a Markdown table with one line per point."""
  heads, rows = _cells(points)
  return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows))


def shown(points: Sequence[Point]) -> str:
  """Returns the same table for a terminal, and the rank correlation of each loss with the gap."""
  lines = [f"{head}: its rank correlation with the gap is {found:.2f}, of {count} systems; -1: it orders the gaps."
           for head, (found, count) in correlations(points).items()]
  return display.table(*_cells(points), lines)


def correlations(points: Sequence[Point]) -> dict[str, tuple[float, int]]:
  """Returns {loss: (Spearman's rank correlation of the nats with the gaps, number of points)} for at least three.

  Rounds of EM are left out, because their gaps are to other teachers and of another text.
  """
  found = {}
  for head in LOSSES:
    mine = [(point.nats, point.gap) for point in points if point.loss == head and not point.series]
    if len(mine) > 2:
      found[head] = float(np.corrcoef([_ranks(each) for each in zip(*mine, strict=True)])[0, 1]), len(mine)
  return found


def _ranks(values):
  """Returns the rank of each value; equal values share the mean of theirs."""
  _, index, count = np.unique(values, return_inverse=True, return_counts=True)
  return (np.cumsum(count) - (count - 1) / 2)[index]


def _cells(points):
  losses = [head for head in LOSSES if any(point.loss == head for point in points)]
  intervals = ["95 % over sentences"] * any(point.interval for point in points)
  gaps = {"gap": False, ROUNDS: True}  # Heading -> whether it is that of rounds of EM, whose gaps do not compare.
  gaps = {head: rounds for head, rounds in gaps.items() if any(bool(point.series) == rounds for point in points)}
  rows = [[point.name, point.family, point.proxy,
           *(f"{point.nats:.3f}" if point.loss == head else "" for head in losses),
           *("{:.2f} to {:.2f}".format(*point.interval) if point.interval else "" for _ in intervals),
           *(f"{point.gap:+.2f}" if bool(point.series) == rounds else "" for rounds in gaps.values())]
          for point in sorted(points, key=lambda point: (bool(point.series), -point.gap))]
  return ["system", "family", "proxy", *losses, *intervals, *gaps], rows


def plot(points: Sequence[Point], name: str, path: str) -> None:
  """Plots the gaps to the autoregressive model `name` against the losses, to a PNG file."""
  with plots.drawing(path, size=(10, 5.5)) as axes:
    for series in sorted({point.series for point in points} - {""}):
      axes.plot(*zip(*((point.nats, point.gap) for point in points if point.series == series), strict=True),
                color="grey", lw=0.8, zorder=0)
    for point in points:
      if point.interval:
        axes.plot(point.interval, (point.gap, point.gap), color="lightgrey", zorder=0)
    for head, marker in LOSSES.items():
      if mine := [(point.nats, point.gap) for point in points if point.loss == head]:
        axes.scatter(*zip(*mine, strict=True), marker=marker, label=head)
    axes.set_xlabel("nats per target token")
    rounds = "\n(of rounds of EM, to their teacher)" if any(point.series for point in points) else ""
    axes.set_ylabel(f"BLEU gap to {name}{rounds}")
    axes.grid(alpha=0.3)
    axes.margins(x=0.15, y=0.1)
    axes.legend(loc="center left", bbox_to_anchor=(1, 0.5))
    plots.name(axes, [(point.nats, point.gap, point.name) for point in points])
