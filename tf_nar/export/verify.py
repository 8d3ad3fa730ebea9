"""Compares a SavedModel, loaded in a process without this package, with the live model."""
import json
import os
import subprocess
import sys
import tempfile
from typing import Any, Callable, Sequence

import numpy as np

from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import paths

TOLERANCE = {"float32": 1e-4}  # Nats, between the scores of the two.
ROUNDED = 0.05  # The same if the network computes in bfloat16.
LENGTHS = (1, 2, 3, 5, 8, 13)  # Tokens of the sample sentences.

PROGRAM = """
import json, sys
import tensorflow as tf
import tensorflow_text
model, asked = tf.saved_model.load(sys.argv[1]), json.load(sys.stdin)

def plain(value):
  return [plain(part) for part in value] if isinstance(value, list) else (
      value.decode() if isinstance(value, bytes) else value)

def answer(signature, arguments):
  kinds = {name: spec.dtype for name, spec in signature.structured_input_signature[1].items()}
  found = signature(**{name: tf.constant(value, kinds[name]) for name, value in arguments.items()})
  return {name: plain(value.numpy().tolist()) for name, value in found.items()}

answers = {name: answer(model.signatures[name], arguments) for name, arguments in asked.items()}
if "tf_nar" in sys.modules:
  sys.exit("it imported tf_nar")
print(json.dumps(answers))
"""


def check(folder: str, run: Any, search: Callable, score: Callable, trace: Callable | None = None,
          copier: Any = None) -> None:
  """Compares all signatures of a SavedModel, loaded in another process, with the live run on `samples`.

  Args:
    folder: of the SavedModel.
    run: the `runs.Run` that it was made from.
    search, trace, copier: see `saved_model.export`.
    score: the run's `model.score`, a graph of unknown shape like the exported one, as others use other kernels, which
      round bfloat16 differently.

  Raises:
    RuntimeError: if the process fails, or the outputs of a sentence differ.
  """
  texts, longest = samples(run.vocab.source), run.experiment.model.net.max_length
  targets = samples(run.vocab)[::-1]
  ids, of_targets = encode(texts, run.vocab.source, longest), encode(targets, run.vocab, longest)
  copy = copying(copier, texts, ids) if copier else lambda tokens: tokens
  wanted = live(run, search, ids, copy)
  scores = score(ids, of_targets).numpy().tolist()
  wanted["score_ids"] = [[("", value)] for value in scores]
  wanted["score"] = [[("", value if len(run.vocab.encode(text)) < longest else -np.inf)]
                     for text, value in zip(targets, scores, strict=True)]
  asked = {"translate": {"text": texts}, "translate_ids": {"ids": ids.tolist()}, "candidates": {"text": texts},
           "candidates_ids": {"ids": ids.tolist()}, "score": {"source": texts, "target": targets},
           "score_ids": {"source": ids.tolist(), "target": of_targets.tolist()}}
  if trace is not None:
    asked["trace"], wanted["trace"] = {"text": texts}, traced(run, trace, ids, copy)
  found = ask(folder, asked)
  for name, rows in wanted.items():
    for text, ours, theirs in zip(texts, rows, answers(found[name], run.vocab), strict=True):
      if not alike(ours, theirs, TOLERANCE.get(run.experiment.model.net.dtype, ROUNDED)):
        raise RuntimeError(
            f"The exported {name} returns {theirs} for {text!r}, the run {ours}: nothing was exported. "
            "Check the installation with bin/doctor.py; if it finds nothing, report this line.")


def answers(found: dict[str, list], vocab: Any) -> list[list[tuple[str, float]]]:
  """Returns the outputs of a signature as [(text, score), ...] for each sentence, as `live` does."""
  text = lambda ids: [text(row) for row in ids] if ids and isinstance(ids[0], list) else vocab.decode(ids)
  texts = found.get("translation") or (text(found["ids"]) if "ids" in found else [""] * len(found["score"]))
  rows = [list(zip(*pair, strict=True)) if isinstance(pair[0], list) else [pair]
          for pair in zip(texts, found["score"], strict=True)]
  passes = zip(found.get("inputs", [[]] * len(rows)), found.get("predictions", [[]] * len(rows)), strict=True)
  return [row + [(text, 0.0) for text in (*inputs, *predictions)]
          for row, (inputs, predictions) in zip(rows, passes, strict=True)]


def alike(ours: list, theirs: list, tolerance: float) -> bool:
  """Whether two lists of (text, score) have equal texts, and scores that differ by at most `tolerance` nats, or by what
  float32 rounds away from great ones.
  """
  texts, scores = ([[each[part] for each in row] for row in (ours, theirs)] for part in (0, 1))
  return texts[0] == texts[1] and np.allclose(*scores, rtol=1e-6, atol=tolerance)


def samples(vocab: Any) -> list[str]:
  """Returns sentences of random tokens of the vocabulary, one of unknown characters, and blank ones."""
  draw = np.random.default_rng(0)
  known = [vocab.decode(draw.integers(len(types.SPECIALS), len(vocab), length)) for length in LENGTHS]
  return [*known, "\u2603\U0001d518 \u0416\u4e2d", "", "  "]


def encode(texts: Sequence[str], vocab: Any, longest: int) -> np.ndarray:
  """Returns int32 [B, S]: the ids of texts with EOS, truncated to `longest` positions."""
  rows = [[*vocab.encode(text)[:longest - 1], types.EOS] for text in texts]
  ids = np.full([len(rows), max(map(len, rows))], types.PAD, np.int32)
  for row, position in zip(rows, ids, strict=True):
    position[:len(row)] = row
  return ids


def copying(copier: Any, texts: Sequence[str], ids: np.ndarray) -> Callable[[list], list]:
  """Returns a function that copies unknown words in translations: for each of `texts`, a list of lists of tokens."""
  sources = [row[row != types.PAD].tolist() for row in ids]
  return lambda tokens: [copier.copied([(text, source, row) for row in each])
                         for text, source, each in zip(texts, sources, tokens, strict=True)]


def live(run: Any, search: Callable, ids: np.ndarray,
         copy: Callable[[list], list] = lambda tokens: tokens) -> dict[str, list]:
  """Returns {signature: [(text, score), ...] for each sentence} by the run; blank sentences have the score 0.

  `copy` is of `copying`; translations as ids are not changed by it.
  """
  found, nonempty = search(ids), (ids > types.EOS).any(1)
  nothing = [("", 0.0)] + [("", -np.inf)] * (found.score.shape[1] - 1)
  tokens = [[row[row != types.PAD].tolist() for row in each] for each in found.tokens.numpy()]
  texts = lambda tokens: [
    [(run.vocab.decode(row), score) for row, score in zip(*pair, strict=True)] if has_words else nothing
    for *pair, has_words in zip(tokens, found.score.numpy().tolist(), nonempty, strict=True)]
  copied = texts(copy(tokens))
  plain = texts(tokens)
  return {"candidates": copied, "translate": [row[:1] for row in copied],
          "candidates_ids": plain, "translate_ids": [row[:1] for row in plain]}


def traced(run: Any, trace: Callable, ids: np.ndarray, copy: Callable[[list], list] = lambda tokens: tokens) -> list:
  """Returns for each sentence its translation as in `live`, then the inputs and predictions of all passes.

  These are ("tokens", 0.0), the inputs of all passes before their predictions.
  """
  steps = trace(ids)[1]
  best = live(run, lambda ids: trace(ids)[0], ids, copy)["translate"]
  spell = lambda row: " ".join(run.vocab.spell(row[row != types.PAD]))
  shown = [[(spell(row) * bool((source > types.EOS).any()), 0.0) for row in (*inputs[0], *predictions[0])]
           for source, inputs, predictions in zip(ids, steps.inputs.numpy(), steps.predictions.numpy(), strict=True)]
  return [[*one, *passes] for one, passes in zip(best, shown, strict=True)]


def ask(folder: str, asked: dict[str, dict[str, Any]]) -> dict[str, Any]:
  """Returns the outputs of `PROGRAM`, run in a fresh process that has no path to this package.

  Args:
    folder: of the SavedModel.
    asked: {signature: {argument: value}}.

  Raises:
    RuntimeError: with the last line of its errors, if it failed.
  """
  folder = folder if atomic.is_remote(folder) else os.path.abspath(paths.literal(folder))
  environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
  # The reference numbers come from the CPU, and this process may hold the accelerator.
  environment["CUDA_VISIBLE_DEVICES"] = "-1"
  with tempfile.TemporaryDirectory() as elsewhere:
    process = subprocess.run(
        [sys.executable, "-c", PROGRAM, folder], input=json.dumps(asked),
        cwd=elsewhere, env=environment, capture_output=True, text=True, encoding="utf-8", check=False)
  if process.returncode:
    last = process.stderr.strip().splitlines()[-1:]
    raise RuntimeError(f"The exported model cannot be used by a fresh process: {' '.join(last)}; "
                       "nothing was exported. Check the installation with bin/doctor.py.")
  return json.loads(process.stdout.splitlines()[-1])
