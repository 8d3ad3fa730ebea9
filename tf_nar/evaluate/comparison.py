"""Compares systems by their reports, in one table and one plot."""
import statistics
from typing import Any, Iterable, NamedTuple, Sequence

from tf_nar import display
from tf_nar.evaluate import plots

COLUMNS = {  # Heading -> (names of rows of a report, of which the first that exists is shown; format of the number).
  "BLEU": (("bleu_tokenized", "bleu_detokenized"), "{:.2f}"),
  "gap": (("gap",), "{:+.2f}"),
  "p": (("gap_p",), "{:.3f}"),
  "chrF": (("chrf_tokenized", "chrf_detokenized"), "{:.1f}"),
  "repeats": (("repetition_words",), "{:.2%}"),
  "length ratio": (("length_ratio",), "{:.3f}"),
  "in words": (("length_ratio_words",), "{:.3f}"),
  "NCM": (("ncm",), "{:.3f}"),
  "NCM, at most": (("ncm_bound",), "{:.3f}"),
  "C": (("total_correlation",), "{:.3f}"),
  "excess NLL": (("excess_nll",), "{:.3f}"),
  "excess NLL, at most": (("excess_nll_bound",), "{:.3f}"),
  "passes": (("passes",), "{:.4g}"),
  "code steps": (("code_steps",), "{:.3g}"),
  "ms alone": (("milliseconds_batch_1",), "{:.1f}"),
  "× baseline": (("times_baseline_batch_1",), "{:.1f}"),
  "sentences/s, 64": (("sentences_per_second_batch_64",), "{:.0f}"),
  "sentences/s, 128": (("sentences_per_second_batch_128",), "{:.0f}"),
  "× baseline, 128": (("times_baseline_batch_128",), "{:.1f}"),
  "× CTranslate2": (("times_ct2_batch_1",), "{:.1f}"),
  "× CTranslate2, 128": (("times_ct2_batch_128",), "{:.1f}"),
  "one core: ms alone": (("milliseconds_batch_1_one_core",), "{:.1f}"),
  "sentences/s, 64, one core": (("sentences_per_second_batch_64_one_core",), "{:.0f}"),
  "MiB": (("mebibytes",), "{:.0f}"),
  "MB on disk": (("megabytes_on_disk",), "{:.1f}"),
  "updates": (("updates",), "{:,.0f}"),
  "M tokens": (("million_tokens",), "{:.1f}"),
  "seeds": (("seeds",), "{:.0f}"),
}
SPREAD = "BLEU", "chrF"  # Columns that show a standard deviation over seeds.

LEGEND = {  # Heading -> what it means, beside those of `display.LEGENDS`.
  "gap": "BLEU less that of the autoregressive system of --gap_from.",
  "p": "chance of so large a gap between equal systems, by paired bootstrap resampling of the sentences.",
  "gap of a round": "BLEU of a round's student, by argmax if measured, less that of its teacher, on validation text.",
  "length ratio": "model tokens of the translations by those of references. In words: the same of words.",
  "C": "conditional total correlation, nats a token that independent tokens lose against an autoregressive model.",
  "excess NLL": "the same difference for a family whose score is a sum over paths, which is no C.",
  "excess NLL, at most": "the same difference for a family whose score is a lower bound of log p.",
  "passes": "of the decoder and a ranking teacher, mean over batches; a beam search makes one for each token.",
  "code steps": "steps of a small network that predicts codes one after the other, before the passes.",
  "× baseline": "speed by that of the baseline, measured in turns with it, one sentence at a time.",
  "× baseline, 128": "the same in batches of 128 sentences.",
  "× CTranslate2": "the same by the speed of CTranslate2.",
  "MiB": "peak memory.",
  "M tokens": "million padded target tokens of all updates, at most.",
  "seeds": "trainings that differ in the seed alone; means of what all report, ± is their sample standard deviation.",
}


class System(NamedTuple):
  """A system of a comparison, by its report."""

  name: str
  values: dict  # Row name -> value.
  signatures: dict  # Row name -> signature.
  family: str = ""  # Of models, if it is known; each has a marker of its own in the plot.
  proxy: str = ""  # What stands for the text in training, as in `Traits.proxy`.
  settings: Any = None  # What its trainings with other seeds have in common.
  seed: int | None = None  # Of its training; None if it is no seed of a system.
  spread: dict = {}  # Row name -> standard deviation over seeds.


def system(name: str, rows: Iterable[Any], family: str = "", proxy: str = "") -> System:
  """Returns the `System` of a list of `report.Row`."""
  return System(name, {row.name: row.value for row in rows}, {row.name: row.signature for row in rows}, family, proxy)


def merged(systems: Iterable[System]) -> list[System]:
  """Returns the systems, those of one name as one, with the mean and the standard deviation of each of their numbers.

  Raises:
    ValueError: if systems of one name differ in `System.settings`, or not in `System.seed`.
  """
  named = {}
  for each in systems:
    named.setdefault(each.name, []).append(each)
  return [_mean(seeds) if len(seeds) > 1 else seeds[0] for seeds in named.values()]


def _mean(seeds):
  first = seeds[0]
  if len({each.seed for each in seeds}) < len(seeds) or any(each.settings != first.settings for each in seeds):
    raise ValueError(f"{len(seeds)} reports are called {first.name!r}, which is for trainings that differ in the seed "
                     "alone; these do not, so give each a name of its own, as NAME=PATH.")
  comparable(seeds)
  own = "_low", "_high", "_p"  # Of one training: intervals over its sentences, and chances.
  keys = [key for key in first.values if all(key in each.values for each in seeds) and not key.endswith(own)]
  numbers = {key: [each.values[key] for each in seeds] for key in keys}
  values = {key: statistics.mean(each) for key, each in numbers.items()} | {"seeds": len(seeds)}
  return first._replace(values=values, spread={key: statistics.stdev(each) for key, each in numbers.items()})


def with_gaps(systems: Iterable[System], baseline: System) -> list[System]:
  """Returns systems with the row "gap", their BLEU less that of another `System`.

  Those that were compared with it by paired bootstrap (`quality.References.difference`) also have the row "gap_p".
  """
  return [each._replace(values=each.values | _gap(each, baseline)) for each in systems]


def _gap(system, baseline):
  gap = bleu(system) - bleu(baseline)
  for key in COLUMNS["BLEU"][0]:
    p = system.values.get(f"{key}_difference_p")
    if p is not None and abs(system.values[f"{key}_difference"] - gap) < 0.005:  # It is that of this gap.
      return {"gap": gap, "gap_p": p}
  return {"gap": gap}


def comparable(systems: Sequence[System]) -> None:
  """Checks that systems were measured with the same BLEU and the same baseline of speed.

  Raises:
    ValueError: if one number has two signatures, or if tokenised and detokenised BLEU are mixed.
  """
  for key in (*COLUMNS["BLEU"][0], "times_baseline_batch_1"):
    kinds = {each.signatures[key]: each.name for each in systems if key in each.signatures}
    if len(kinds) > 1:
      (first, one), (second, other), *_ = kinds.items()
      raise ValueError(f"{key} of {one!r} and {other!r} cannot be compared, as it is {first!r} of one and {second!r} "
                       "of the other; measure both in the same way.")
  if len({key for key in COLUMNS["BLEU"][0] for each in systems if key in each.values}) > 1:
    raise ValueError("BLEU of tokenised and of raw text cannot be compared; measure all in the same way.")


def table(systems: Sequence[System]) -> str:
  """Returns a Markdown table with one line per system; columns without any value are left out."""
  heads, rows = _cells(systems)
  return "\n".join(f"| {' | '.join(line)} |" for line in (heads, ["---"] * len(heads), *rows))


def shown(systems: Sequence[System]) -> str:
  """Returns the same table for a terminal, with a legend."""
  heads, rows = _cells(systems)
  return display.table([head.replace(" ", "\n", 1) for head in heads], rows, legend(heads))


def legend(heads: Sequence[str]) -> list[str]:
  """Returns the sentences that explain some headings, of a comparison or of gaps."""
  return display.legend(heads) + [f"{head}: {about}" for head, about in LEGEND.items() if head in heads]


def page(table: str) -> str:
  """Returns a Markdown page of a table and its legend."""
  heads = [head.strip() for head in table.splitlines()[0].split("|")]
  return "\n".join([table, "", *(f"- {about}" for about in legend(heads)), ""])


def _cells(systems):
  """Returns the headings and the rows of the table."""
  there = {head: column for head, column in COLUMNS.items() if any(value(each, head) is not None for each in systems)}
  return ["system", *there], [[each.name, *(_cell(each, head) for head in there)] for each in systems]


def _cell(system, head):
  number, around = value(system, head), _first(system.spread, head) if head in SPREAD else None
  return "" if number is None else COLUMNS[head][1].format(number) + (f" ± {around:.2f}" if around is not None else "")


def plot(systems: Iterable[System], path: str) -> int:
  """Plots BLEU against the time per sentence at batch 1 to a PNG file. Returns the number of systems with both.

  A line joins the Pareto front; bars are standard deviations over seeds.
  """
  systems = [each for each in systems if None not in (value(each, "ms alone"), value(each, "BLEU"))]
  points = [(value(each, "ms alone"), value(each, "BLEU"), each.name, each.family) for each in systems]
  if points:
    with plots.drawing(path, size=(10, 5.5)) as axis:
      for number, family in enumerate(sorted({point[3] for point in points})):
        here = [point for point in points if point[3] == family]
        times, bleus, *_ = zip(*here, strict=True)
        axis.scatter(times, bleus, marker=plots.MARKERS[number % len(plots.MARKERS)], label=family or "unknown")
      spreads = [_first(each.spread, "BLEU") or 0.0 for each in systems]
      axis.errorbar(*zip(*(point[:2] for point in points), strict=True), yerr=spreads, fmt="none", ecolor="grey")
      axis.plot(*zip(*front([point[:2] for point in points]), strict=True), color="grey", linewidth=0.8, linestyle="--",
                label="no other is faster and better")
      axis.set_xscale("log")
      axis.margins(x=0.2, y=0.1)
      axis.set_xlim(right=1.5 * axis.get_xlim()[1])  # Labels are to the right of most points.
      plots.plain(axis.xaxis)
      axis.set_title("Quality against time for a sentence")
      axis.legend(loc="center left", bbox_to_anchor=(1, 0.5))
      axis.set_xlabel("milliseconds per sentence, one at a time")
      axis.set_ylabel("BLEU")
      axis.grid(alpha=0.3)
      plots.name(axis, [point[:3] for point in points])
  return len(points)


def front(points: Iterable[tuple[float, float]]) -> list[tuple[float, float]]:
  """Returns the Pareto front of pairs (time, BLEU), the fastest first: those that no other equals or beats in both."""
  found = []
  for time, score in sorted(set(points), key=lambda point: (point[0], -point[1])):
    if not found or score > found[-1][1]:
      found.append((time, score))
  return found


def bleu(system: System) -> float:
  """Returns the BLEU of a `System`, tokenised or detokenised."""
  return value(system, "BLEU")


def value(system: System, head: str) -> float | None:
  """Returns the value of a `System` in a column of `COLUMNS`; None if it has none."""
  return _first(system.values, head)


def _first(numbers, head):
  return next((numbers[key] for key in COLUMNS[head][0] if key in numbers), None)
