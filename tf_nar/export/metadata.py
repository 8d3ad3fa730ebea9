"""The description of a SavedModel in assets.extra/metadata.json, a folder whose files servers ignore."""
import dataclasses
import importlib.metadata
import json
import os
from typing import Any, Iterable

import tensorflow as tf

from tf_nar.data import atomic
from tf_nar.export import warmup

FOLDER, FILE, LOG = "assets.extra", "metadata.json", "log.jsonl"
PACKAGES = ("tensorflow", "tensorflow-text", "keras")


def describe(run: Any, signatures: Iterable[str], teacher: Any = None) -> dict[str, Any]:
  """Returns the description of an exported run, as a dict of plain values.

  Args:
    run: a `runs.Run`.
    signatures: names of the exported signatures.
    teacher: the `runs.Run` that rescores, or None.
  """
  buckets = warmup.buckets(run.experiment.model.net.max_length)
  return {
      "family": run.experiment.family,
      "search": dataclasses.asdict(run.experiment.search),
      "candidates": run.experiment.search.candidates,
      "max_length": run.experiment.model.net.max_length,
      "dtype": run.experiment.model.net.dtype,
      "shards": run.experiment.model.net.shards,
      "rescored_by": teacher and teacher.experiment.family,
      "drafted_by": run.drafted_by or None,  # Then the translation is the greedy one, whatever the beam in `search`.
      "shortlist": os.path.basename(run.shortlist) or None,
      "tokenization": run.vocab.tokenization,
      "vocabulary_sha256": run.vocab.sha256,
      "valid_bleu": _valid_bleu(run.workdir),
      "signatures": sorted(signatures),
      "buckets": buckets,  # Source lengths in tokens for a server's warm-up; other lengths work too.
      "warm": warmup.texts(run.vocab.source, buckets),  # A text of each of these lengths.
      "versions": {name: _version(name) for name in PACKAGES},
  }


def write(facts: dict[str, Any], folder: str) -> None:
  """Writes `facts`, as `describe` returns them, into a SavedModel's folder."""
  tf.io.gfile.makedirs(os.path.join(folder, FOLDER))
  atomic.write(os.path.join(folder, FOLDER, FILE), json.dumps(facts, indent=2).encode())


def _valid_bleu(workdir):
  """Returns the last validation BLEU of a run, None if it was never measured."""
  path = os.path.join(workdir, LOG)
  if not tf.io.gfile.exists(path):
    return None
  with tf.io.gfile.GFile(path) as file:
    rows = [json.loads(line) for line in file if line.endswith("\n")]  # The last line may be incomplete.
  return next((row["valid_bleu"] for row in reversed(rows) if "valid_bleu" in row), None)


def _version(package):
  """Returns a package's version; None if it is installed under another name, as tensorflow-tpu is."""
  try:
    return importlib.metadata.version(package)
  except importlib.metadata.PackageNotFoundError:
    return None
