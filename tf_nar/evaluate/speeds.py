"""Speeds of systems by bin/latency.py, which measures all of them in one run, in place of those of their reports."""
from typing import Any, Sequence

from tf_nar.evaluate import comparison

CROWD = "128"  # The batch size of `comparison.COLUMNS`, as a key of JSON.
SIZES = "64", CROWD
NAMES = "milliseconds_batch_1", *(f"sentences_per_second_batch_{size}" for size in SIZES)
ENGINES = {"saved_model": "TensorFlow", "openvino": "OpenVINO", "ct2": "CTranslate2"}


def measured(systems: Sequence[comparison.System], told: dict[str, Any], ct2: str = "") -> list[comparison.System]:
  """Returns `comparison.System`s with the speeds of a latency.json, blank for those that it does not have.

  Args:
    systems: `comparison.System`s, which have the names of systems of bin/latency.py.
    told: the content of latency.json.
    ct2: the name of one of its systems, of CTranslate2, to compare with beside its baseline; "": none.

  Raises:
    ValueError: if it lacks `ct2`, or has none of the systems.
  """
  known, bases = told["systems"], _bases(told, ct2)
  if not any(each.name in known for each in systems):
    raise ValueError(f"--latency has none of the reports' systems; give reports its names, as NAME=report.json: "
                     f"{'; '.join(known)}.")
  signature = f"by bin/latency.py, beside {told['baseline']}" + f" and {ct2}" * bool(ct2)
  return [_with(each, _rows(known[each.name], bases) if each.name in known else {}, signature) for each in systems]


def systems(told: dict[str, Any], ct2: str = "", one_core: dict[str, Any] | None = None) -> list[comparison.System]:
  """Returns all systems of a latency.json as `comparison.System`s, with their engines as families.

  Args:
    told: the content of latency.json.
    ct2: as for `measured`.
    one_core: that of another of the same systems with --threads=1, or None.

  Raises:
    ValueError: if it lacks `ct2`, or if `one_core` is not of one thread.
  """
  bases = _bases(told, ct2)
  if one_core and one_core["machine"]["threads"] != 1:
    raise ValueError(f"--one_core is of {one_core['machine']['threads']} threads; measure with --threads=1.")
  found = []
  for name, own in told["systems"].items():
    rows = _rows(own, bases)
    if alone := one_core and one_core["systems"].get(name):
      rows |= {f"{row}_one_core": value for row, value in _rows(alone, {}).items()}
    scores = {key: own[key] for heading in ("BLEU", "chrF") for key in comparison.COLUMNS[heading][0] if key in own}
    found.append(comparison.System(name, scores | rows, {}, ENGINES[own["kind"]]))
  return found


def _bases(told, ct2):
  """Returns {name: the system of latency.json that ratios with this name refer to}."""
  if ct2 and ct2 not in told["systems"]:
    raise ValueError(f"--ct2={ct2} is not one of the systems of --latency: {'; '.join(told['systems'])}.")
  return {"baseline": told["systems"][told["baseline"]]} | ({"ct2": told["systems"][ct2]} if ct2 else {})


def _rows(own, bases):
  """Returns {name of a row: value} of a system of latency.json."""
  rate = lambda each, size=CROWD: each["sentences/s"].get(size)
  found = {"milliseconds_batch_1": own["p50 ms"],
           "mebibytes": own.get("peak MiB"), "megabytes_on_disk": own.get("disk MB")}
  found |= {f"sentences_per_second_batch_{size}": rate(own, size) for size in SIZES}
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
