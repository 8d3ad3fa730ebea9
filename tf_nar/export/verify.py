"""Asks a SavedModel, in a process that knows nothing of this package, for what the live model says."""
import json
import os
import subprocess
import sys
import tempfile

import numpy as np

from tf_nar import types

TOLERANCE = 1e-4  # Nats, between the scores of the two.
LENGTHS = (1, 2, 3, 5, 8, 13)  # Words of the sample sentences.

PROGRAM = """
import json, sys
import tensorflow as tf
import tensorflow_text
model, asked = tf.saved_model.load(sys.argv[1]), json.load(sys.stdin)
text = model.signatures["serving_default"](text=tf.constant(asked["texts"]))
ids = model.signatures["translate_ids"](ids=tf.constant(asked["ids"]))
if "tf_nar" in sys.modules:
  sys.exit("it imported tf_nar")
print(json.dumps({
    "text": [line.decode() for line in text["translation"].numpy()],
    "text_score": text["score"].numpy().tolist(),
    "ids": ids["ids"].numpy().tolist(), "ids_score": ids["score"].numpy().tolist()}))
"""


def check(folder, run, search):
  """Compares both signatures of a SavedModel, loaded in another process, with the live run on `samples`.

  Args:
    folder: of the SavedModel.
    run: the `runs.Run` that it was made of.
    search: see `saved_model.export`.

  Raises:
    RuntimeError: if the process fails, or one sentence differs.
  """
  texts = samples(run.vocab)
  ids = encode(texts, run.vocab, run.experiment.model.net.max_length)
  found = ask(folder, texts, ids)
  from_ids = [run.vocab.decode(row) for row in found["ids"]]
  answers = {"translate": zip(found["text"], found["text_score"], strict=True),
             "translate_ids": zip(from_ids, found["ids_score"], strict=True)}
  wanted = live(run, search, ids)
  for name, answer in answers.items():
    for text, ours, theirs in zip(texts, wanted, answer, strict=True):
      if ours[0] != theirs[0] or not np.isclose(ours[1], theirs[1], rtol=0, atol=TOLERANCE):
        raise RuntimeError(
            f"The exported {name} makes {theirs} of {text!r}, the run {ours}: nothing was exported. "
            "Look at the installation with bin/doctor.py; if it is sound, report this line.")


def samples(vocab):
  """Returns sentences of random words of the vocabulary, one of none that it knows, and blank ones."""
  draw = np.random.default_rng(0)
  known = [vocab.decode(draw.integers(len(types.SPECIALS), len(vocab), length)) for length in LENGTHS]
  return [*known, "\u2603\U0001d518 \u0416\u4e2d", "", "  "]


def encode(texts, vocab, longest):
  """Returns int32 [B, S]: the ids of texts, cut to `longest` places, with EOS."""
  rows = [[*vocab.encode(text)[:longest - 1], types.EOS] for text in texts]
  ids = np.full([len(rows), max(map(len, rows))], types.PAD, np.int32)
  for row, place in zip(rows, ids, strict=True):
    place[:len(row)] = row
  return ids


def live(run, search, ids):
  """Returns [(text, score)] of the best translations by the run itself; blank ones are sure."""
  found = search(ids)
  texts = [run.vocab.decode(row) for row in found.tokens[:, 0].numpy()]
  spoken = (ids > types.EOS).any(1)
  scores = np.where(spoken, found.score[:, 0], 0.0).tolist()
  return [(text if has_words else "", score)
          for text, score, has_words in zip(texts, scores, spoken, strict=True)]


def ask(folder, texts, ids):
  """Returns what `PROGRAM` prints: a fresh process elsewhere, with no path to this package.

  Raises:
    RuntimeError: with its last line, if it failed.
  """
  folder = folder if "://" in folder else os.path.abspath(folder)
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
  # The numbers are those of the CPU, and this process may hold the accelerator.
  environment["CUDA_VISIBLE_DEVICES"] = "-1"
  with tempfile.TemporaryDirectory() as elsewhere:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder], input=json.dumps({"texts": texts, "ids": ids.tolist()}),
        cwd=elsewhere, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
  if process.returncode:
    last = process.stderr.strip().splitlines()[-1:]
    raise RuntimeError(f"The exported model cannot be used by a fresh process: {' '.join(last)}; "
                       "nothing was exported. Look at the installation with bin/doctor.py.")
  return json.loads(process.stdout.splitlines()[-1])
