"""Summarises the answers of workers: percentiles, rates and ratios, as a table and a plot."""
from typing import Any, Iterable, Sequence

import numpy as np

from tf_nar.evaluate import plots

SCORES = {f"{score.lower()}_{kind}": score for score in ("BLEU", "chrF") for kind in ("tokenized", "detokenized")}
CHAIN = "products in a row"  # A fact of SavedModels, see `ops/depth.py`.
ONE = "1"  # The name of the task of sentences one by one.


def of_system(answers: Sequence[dict], batches: Iterable[int], lengths: Iterable[int]) -> dict[str, Any]:
  """Returns {name: number} of one system.

  Args:
    answers: the answers of `bench.rounds` that are of this system.
    batches: sizes of batches.
    lengths: in words, of the tasks of one length.
  """
  counted = lambda task: [answer for answer in answers if answer["task"] == task and answer["round"]]
  seconds = lambda task: np.concatenate([answer["seconds"] for answer in counted(task)])
  one = counted(ONE)
  p50, p95 = np.percentile(1000 * seconds(ONE), [50, 95])
  translated = sum(len(answer["seconds"]) for answer in one) + len(one)  # And each turn's untimed first.
  return {
    "p50 ms": float(p50), "p95 ms": float(p95),
    "sentences/s": {size: float(size / np.median(seconds(str(size)))) for size in batches if counted(str(size))},
    "p50 ms by words": {length: float(1000 * np.median(seconds(f"{length} words"))) for length in lengths},
    "cores busy": sum(answer["cpu"] for answer in one) / sum(answer["all seconds"] for answer in one),
    "peak MiB at batch 1": next(answer["peak"] for answer in answers if answer["task"] == ONE),
    "peak MiB": max(answer["peak"] for answer in answers),
    "words out": sum(answer["words"] for answer in one) / translated}


def with_ratios(systems: dict[str, dict], baseline: str) -> dict[str, dict]:
  """Adds "times" to every system: for each number, by which factor it is faster than the baseline.

  Args:
    systems: {name: result of `of_system`}.
    baseline: the name of one of them.
  """
  base = systems[baseline]

  def times(own):
    both = own["sentences/s"].keys() & base["sentences/s"].keys()
    rates = {size: own["sentences/s"][size] / base["sentences/s"][size] for size in sorted(both)}
    return {"p50": base["p50 ms"] / own["p50 ms"], "p95": base["p95 ms"] / own["p95 ms"], "sentences/s": rates}

  return {name: own | {"times": times(own)} for name, own in systems.items()}


def table(systems: dict[str, dict], baseline: str) -> str:
  """Returns a table of the systems as text; cells have a number and by which factor it is faster than the baseline.

  Args:
    systems: {name: result of `with_ratios`, with "dtype" and "disk MB" added, and with `CHAIN` and those of `SCORES`
      or without}.
    baseline: the baseline's name.
  """
  sizes = sorted({size for own in systems.values() for size in own["sentences/s"]})
  scores = [name for name in SCORES if any(name in own for own in systems.values())]
  chains = any(own.get(CHAIN) for own in systems.values())
  wide = max(len(name) for name in systems) + 2
  head = f"{'':{wide}}{'dtype':14}{'p50 ms':>18}{'p95 ms':>10}" + "".join(
    f"{'sent/s at ' + str(size):>20}" for size in sizes) + f"{'MiB':>8}{'MB':>8}{'words':>7}"
  head += f"{'in a row':>10}" * chains + "".join(f"{SCORES[name]:>7}" for name in scores)
  rows = [head]
  for name, own in systems.items():
    cell = lambda number, times: "-" if number is None else f"{number:.1f}" + f" ({times:.2f}x)" * (times is not None)
    rates = [cell(own["sentences/s"].get(size), own["times"]["sentences/s"].get(size)) for size in sizes]
    rows.append(f"{name:{wide}}{own['dtype']:14}{cell(own['p50 ms'], own['times']['p50']):>18}{own['p95 ms']:>10.1f}"
                + "".join(f"{rate:>20}" for rate in rates)
                + f"{own['peak MiB']:>8.0f}{own['disk MB']:>8.1f}{own['words out']:>7.1f}"
                + f"{own.get(CHAIN) or '-':>10}" * chains
                + "".join(f"{own[name]:>7.2f}" for name in scores))
  told = "; in a row: matrix products that wait for each other, with one turn of each loop" * chains
  last = f"(x): times as fast as {baseline}; MiB: peak of memory, MB: the folder's size on disk{told}"
  return "\n".join([*rows, last])


def gains(systems: dict[str, dict], ending: str) -> str:
  """Returns a line for each system whose name ends with `ending`: by which factors it is faster than the one without.

  `systems` is {name: result of `of_system`}.
  """
  lines = []
  for name, own in systems.items():
    if (other := name.removesuffix(ending)) != name and other in systems:
      times = with_ratios({name: own, other: systems[other]}, other)[name]["times"]
      more = "".join(f", {rate:.2f}x at {size}" for size, rate in times["sentences/s"].items())
      lines.append(f"{name}: {times['p50']:.2f}x as fast as {other} at batch 1{more}")
  return "\n".join(lines)


def plot(systems: dict[str, dict], path: str) -> bool:
  """Draws latency against length and throughput against batch size. Returns False if matplotlib is not installed."""
  try:
    with plots.drawing(path, columns=2, size=(11, 6)) as (left, right):
      _draw(systems, left, right)
  except ImportError:
    return False  # The table has the same numbers.
  return True


def _draw(systems, left, right):
  """Draws milliseconds by words on the `left` axes, sentences per second by batch size on the `right` ones."""
  import matplotlib
  colours = matplotlib.colormaps["tab20"].colors
  for number, (name, own) in enumerate(systems.items()):
    marker = plots.MARKERS[number % len(plots.MARKERS)]
    style = {"marker": marker, "markersize": 4, "color": colours[number % len(colours)], "label": name}
    left.plot(list(own["p50 ms by words"]), list(own["p50 ms by words"].values()), **style)
    rates = {1: 1000 / own["p50 ms"], **own["sentences/s"]}
    right.plot(list(rates), list(rates.values()), **style)
  left.set(xlabel="source length, words", ylabel="milliseconds per sentence, median, batch 1", yscale="log")
  right.set(xlabel="sentences per batch", ylabel="sentences per second", xscale="log", yscale="log")
  left.set_title("Time for a sentence")
  right.set_title("Throughput")
  for axis in (left.yaxis, right.yaxis):
    plots.plain(axis)
  ticks = sorted({1}.union(*(own["sentences/s"] for own in systems.values())))
  right.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
  right.tick_params(axis="x", which="minor", bottom=False, labelbottom=False)
  for axis in (left, right):
    axis.grid(alpha=0.3)
  left.figure.legend(*left.get_legend_handles_labels(), loc="outside lower center", ncols=4, fontsize=8)
