"""The model card of an export, README.md in its folder: what the model is, where it comes from, how to use it."""
import dataclasses
import os
from typing import Any

from tf_nar import runs
from tf_nar.data import atomic
from tf_nar.data import json_file

FILE = "README.md"
SCORES = "report.json"  # Of bin/evaluate.py, in the run folder.
SHOWN = "bleu_", "chrf_", "ter_"

CARD = """\
# Translation model, family {family}

| | |
|---|---|
{rows}

The search and all other facts are in `{where}`. {tokens}

```python
{use}
```
"""
USE = """\
import tensorflow as tf, tensorflow_text
model = tf.saved_model.load("FOLDER")
print(model.translate(tf.constant(["..."]))["translation"].numpy()[0].decode())"""
RAW = "The model takes and returns raw text."
TOKENISED = "The model takes and returns tokenised text, prepared as its training text was."


def write(folder: str, run: Any, facts: dict[str, Any], *, license: str = "", commit: str = "unknown",
          where: str = "assets.extra/metadata.json", use: str = USE, more: dict[str, Any] | None = None) -> None:
  """Writes the card.

  Args:
    folder: of the export.
    run: the `runs.Run` that was exported.
    facts: from `metadata.describe`.
    license: the licence of the model; empty: the card says that none is given.
    commit: of the code.
    where: the file of the facts.
    use: the Python that translates a sentence.
    more: {name: value} of further rows.
  """
  net = run.experiment.model.net
  weights = sum(variable.shape.num_elements() for variable in run.model.variables)
  rows = {
    "Licence": license or "not given; ask who made the model",
    "Sizes": f"{weights / 1e6:.1f} M weights; width {net.width}, feed-forward {net.ffn}, {net.heads} heads, "
             f"{net.encoder_layers} encoder and {net.decoder_layers} decoder layers; {facts['dtype']}",
    "Longest sentence": f"{facts['max_length']} tokens; the end of a longer one is left out",
    "Vocabulary": f"{facts['tokenization']}, {run.vocab.size_text}, SHA-256 {facts['vocabulary_sha256']}",
    "Training text": f"SHA-256 {_digest(run.workdir)}",
    "Search": ", ".join(f"{name} {value}" for name, value in dataclasses.asdict(run.experiment.search).items()),
    **({"Candidates ranked by": facts["rescored_by"]} if facts["rescored_by"] else {}),
    **({"Drafts": f"by a model of the family {facts['drafted_by']}, which is inside too; translations are greedy"}
       if facts["drafted_by"] else {}),
    **({"Shortlist": f"{facts['shortlist']}: for each sentence only the words that it may need"}
       if facts["shortlist"] else {}),
    **({"BLEU in validation": f"{facts['valid_bleu']:.2f}, by the search of training"} if facts["valid_bleu"] else {}),
    **_scores(run.workdir),
    **(more or {}),
    "Code": f"tf_nar, commit {commit}",
  }
  table = "\n".join(f"| {name} | {_cell(value)} |" for name, value in rows.items())
  tokens = TOKENISED if run.vocab.tokenized else RAW
  text = CARD.format(family=facts["family"], rows=table, tokens=tokens, where=where, use=use)
  atomic.write(os.path.join(folder, FILE), text.encode())


def _cell(value):
  """Returns a value as it is written in a cell of a table."""
  return str(value).replace("|", "\\|").replace("\n", " ")


def _digest(workdir):
  path = os.path.join(workdir, runs.TEXT)
  if not atomic.exists(path):
    return "unknown"
  with atomic.open_read(path) as file:
    return file.read().decode()


def _scores(workdir):
  """Returns {name: value and signature} of the last measurement of the run by bin/evaluate.py, if there is one."""
  path = os.path.join(workdir, SCORES)
  rows = json_file.read(path, lambda values: values["rows"]) if atomic.exists(path) else {}
  return {f"{name} on a test set": f"{row['value']:.2f} ({row['signature']}), by the search of that measurement"
          for name, row in rows.items() if name.startswith(SHOWN) and isinstance(row["value"], float)}
