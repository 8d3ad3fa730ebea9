"""Speeds of systems by bin/latency.py, which measures all of them in one run, in place of those of their reports."""
from typing import Any, Sequence

from tf_nar.evaluate import comparison

CROWD = "128"  # The batch size of `comparison.COLUMNS`, as a key of JSON.
NAMES = "milliseconds_batch_1", f"sentences_per_second_batch_{CROWD}"


def measured(systems: Sequence[comparison.System], told: dict[str, Any], ct2: str = "") -> list[comparison.System]:
  """Returns `comparison.System`s with the speeds of a latency.json, blank for those that it does not have.

  Args:
    systems: `comparison.System`s, which have the names of systems of bin/latency.py.
    told: the content of latency.json.
    ct2: the name of one of its systems, of CTranslate2, to compare with beside its baseline; "": none.

  Raises:
    ValueError: if it lacks `ct2`, or has none of the systems.
  """
  known = told["systems"]
  if ct2 and ct2 not in known:
    raise ValueError(f"--ct2={ct2} is not one of the systems of --latency: {'; '.join(known)}.")
  if not any(each.name in known for each in systems):
    raise ValueError(f"--latency has none of the reports' systems; give reports its names, as NAME=report.json: "
                     f"{'; '.join(known)}.")
  bases = {"baseline": known[told["baseline"]]} | ({"ct2": known[ct2]} if ct2 else {})
  signature = f"by bin/latency.py, beside {told['baseline']}" + f" and {ct2}" * bool(ct2)
  return [_with(each, _rows(known[each.name], bases) if each.name in known else {}, signature) for each in systems]


def _rows(own, bases):
  """Returns {name of a row: value} of a system of latency.json."""
  rate = lambda each: each["sentences/s"].get(CROWD)
  found = dict(zip(NAMES, (own["p50 ms"], rate(own)), strict=True))
  for name, base in bases.items():
    found[f"times_{name}_batch_1"] = base["p50 ms"] / own["p50 ms"]
    found[f"times_{name}_batch_{CROWD}"] = rate(own) and rate(base) and rate(own) / rate(base)
  return {name: value for name, value in found.items() if value is not None}


def _with(system, rows, signature):
  """Returns a system whose only rows of speed are `rows`."""
  kept = lambda values: {
    name: value for name, value in values.items() if name not in NAMES and not name.startswith("times_")}
  return system._replace(values=kept(system.values) | rows,
                         signatures=kept(system.signatures) | dict.fromkeys(rows, signature))
