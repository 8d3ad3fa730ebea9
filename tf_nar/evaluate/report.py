"""Reports of measurements: each number with its definition, and the facts needed to reproduce them."""
import dataclasses
import json
import os
import platform
import subprocess
from typing import Any, NamedTuple, Sequence

import tensorflow as tf

from tf_nar import display
from tf_nar.data import atomic


class Row(NamedTuple):
  """One number with its definition."""

  name: str  # Such as "bleu_detokenized"; every kind of number has a different name.
  value: float
  signature: str  # sacrebleu's signature, or the definition in a sentence.


def write(path: str, rows: Sequence[Row], known: dict[str, Any]) -> None:
  """Writes `report.json`: {"facts": `known`, "rows": {name: {"value", "signature"}}}.

  Raises:
    ValueError: for two rows of the same name, or a number that is not finite, which JSON cannot represent.
  """
  names = [row.name for row in rows]
  twice = sorted({name for name in names if names.count(name) > 1})
  if twice:
    raise ValueError(f"Two rows are called {twice[0]!r}; the names of rows must differ.")
  content = {row.name: {"value": row.value, "signature": row.signature} for row in rows}
  try:
    text = json.dumps({"facts": known, "rows": content}, indent=2, ensure_ascii=False, allow_nan=False)
  except ValueError as error:
    raise ValueError(f"{path}: every value of a report must be finite, but one is not ({error}).") from None
  atomic.write(path, f"{text}\n".encode())


def read(path: str) -> tuple[list[Row], dict[str, Any]]:
  """Returns (rows, facts) of a file that `write` wrote.

  Raises:
    ValueError: if it is another file.
  """
  try:
    with atomic.open_read(path) as file:
      content = json.load(file)
    rows = [Row(name, **row) for name, row in content["rows"].items()]
    digests(content["facts"])
  except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as problem:
    raise ValueError(
      f"{path} is not a report of bin/evaluate.py ({problem!r}); give the report.json that it wrote.") from None
  return rows, content["facts"]


def digests(facts: dict[str, Any]) -> dict[str, str]:
  """Returns {use: SHA-256} of the texts of a test set, such as "source" and "reference"."""
  return {use: text["sha256"] for use, text in facts["data"].items()}


def hypotheses_path(path: str) -> str:
  """Returns the path of the translations that belong to a report."""
  return f"{os.path.splitext(path)[0]}.hypotheses.txt"


def table(rows: Sequence[Row]) -> str:
  """Returns the rows as text for a terminal: name, value, signature."""
  shown = [(row.name, display.number(row.value) if isinstance(row.value, float) else str(row.value)) for row in rows]
  name, value = (max(map(len, column), default=0) for column in zip(*shown, strict=True)) if shown else (0, 0)
  return "\n".join(f"{first:<{name}}  {second:>{value}}  {row.signature}"
                   for (first, second), row in zip(shown, rows, strict=True))


def facts(experiment: Any, workdir: str, texts: dict[str, Any]) -> dict[str, Any]:
  """Returns the facts needed to repeat a measurement: model, code, machine and the hashes of the files.

  Args:
    experiment: the `config.Experiment` in effect; None: the translations are from elsewhere.
    workdir: the run folder, or "".
    texts: dict, the use of a text ("source", "reference") -> its `data.text.Lines`, all of which were read.
  """
  return {"workdir": workdir, "commit": commit(), "seed": experiment and experiment.train.seed, "machine": machine(),
          "data": {use: lines.facts() for use, lines in texts.items()},
          "experiment": experiment and dataclasses.asdict(experiment)}


def machine() -> dict[str, Any]:
  """Returns the devices and versions that the numbers were measured with, as far as they are known."""
  devices = tf.config.list_physical_devices("GPU") or tf.config.list_physical_devices("TPU")
  details = tf.config.experimental.get_device_details
  kinds = [details(device).get("device_name", device.name) for device in devices]
  return {"devices": kinds or [f"CPU, {os.cpu_count()} cores, {platform.machine()}"],
          "tensorflow": tf.__version__, "python": platform.python_version()}


def commit() -> str:
  """Returns the commit of this code, with "-dirty" if files differ from it; "unknown" outside git."""
  here = os.path.dirname(os.path.abspath(__file__))
  def git(*words):
    done = subprocess.run(["git", "-C", here, *words], capture_output=True, text=True, check=True)
    return done.stdout.strip()
  try:
    # An installed copy may lie in another repository, in which this file is not tracked.
    git("ls-files", "--error-unmatch", os.path.basename(__file__))
    return git("describe", "--always", "--dirty", "--abbrev=40", "--exclude=*")
  except (OSError, subprocess.CalledProcessError):
    return "unknown"
