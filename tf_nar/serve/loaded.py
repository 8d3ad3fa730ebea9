"""A SavedModel as a server sees it: raw strings in, plain values out, as far as its signatures go.

What is offered, one answer for each thing asked:

  translate    sentence              {"translation", "score"}
  candidates   sentence              [{"translation", "score"}], best first
  trace        sentence              {"translation", "score", "passes": [{"saw", "said"}]}
  score        (source, target)      log p(target | source) in nats

A score that is no finite number is None, as JSON has no infinity.
"""
import json
import math
import os

import tensorflow as tf

from tf_nar.data import paths

OFFERS = ("translate", "candidates", "trace", "score")
FACTS = os.path.join("assets.extra", "metadata.json")
LENGTHS = (8, 16, 32, 64)  # In words, EOS one of them, of what warms a model that brings no sentences of its own.
WORD = "a"  # As good as any: a vocabulary without it takes it for unknown, and as long.


def intra_op_threads(folder):
  """Returns how many threads an operator of a SavedModel should have, 0 for TensorFlow's choice.

  One in shards keeps the cores busy with several operators at once, which should not wait for each other's threads.
  """
  shards = _facts(folder).get("shards", 1)
  return max(1, os.cpu_count() // shards) if shards > 1 else 0


def share_threads(folder):
  """Gives this process the threads that a SavedModel wants; before TensorFlow's first operation."""
  tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads(folder))


class Model:
  """What `bin/export.py` wrote; `facts` is its metadata, `offers` the names of what can be asked of it."""

  def __init__(self, folder):
    """Loads it.

    Raises:
      ValueError: if the folder holds no SavedModel, or one that does not translate.
    """
    if not tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")):
      raise ValueError(f"Expected a SavedModel, got {folder} without a saved_model.pb; give the --out of a "
                       "bin/export.py.")
    import tensorflow_text  # noqa: F401  Its operators are in models of SentencePiece.
    loaded = tf.saved_model.load(paths.literal(folder))
    self._loaded = loaded  # Variables live as long as this does.
    self._signatures = {name: loaded.signatures[name] for name in OFFERS if name in loaded.signatures}
    if "translate" not in self._signatures:
      raise ValueError(f"Expected a SavedModel with the signature translate, got {folder} with "
                       f"{', '.join(loaded.signatures) or 'none'}; give the --out of a bin/export.py.")
    self.offers = tuple(self._signatures)
    self.facts = _facts(folder)

  def answer(self, offer, asked):
    """Returns a list with an answer for each of `asked`; see the head of this file."""
    if offer == "score":
      sources, targets = zip(*asked, strict=True)
      found = self._signatures[offer](source=tf.constant(sources), target=tf.constant(targets))
      return [_finite(score) for score in found["score"].numpy().tolist()]
    found = self._signatures[offer](text=tf.constant(asked))
    scores = found["score"].numpy().tolist()
    if offer == "candidates":
      return [[_scored(*one) for one in zip(texts, row, strict=True) if one[1] > -math.inf]
              for texts, row in zip(_strings(found["translation"]), scores, strict=True)]
    answers = [_scored(*one) for one in zip(_strings(found["translation"]), scores, strict=True)]
    if offer == "trace":
      for answer, saw, said in zip(answers, _strings(found["saw"]), _strings(found["said"]), strict=True):
        answer["passes"] = [{"saw": before, "said": after} for before, after in zip(saw, said, strict=True)]
    return answers

  def warm_ups(self, max_batch, max_characters):
    """Yields (offer, asked) of one sentence, and of as many as a batch may hold, in each length worth warming."""
    longest = self.facts.get("max_length", math.inf)
    texts = self.facts.get("warm") or [" ".join([WORD] * (length - 1)) for length in LENGTHS if length <= longest]
    for offer in self.offers:
      for text in filter(None, texts):
        most = min(max_batch, max_characters // ((2 if offer == "score" else 1) * len(text)))
        for size in sorted({1, max(1, most)}):
          yield offer, [(text, text) if offer == "score" else text] * size


def _facts(folder):
  path = os.path.join(folder, FACTS)
  if not tf.io.gfile.exists(path):
    return {}
  with tf.io.gfile.GFile(path) as file:
    return json.load(file)


def _strings(tensor):
  """Returns the strings of a tensor in nested lists."""
  def decoded(value):
    return [decoded(each) for each in value] if isinstance(value, list) else value.decode(errors="replace")

  return decoded(tensor.numpy().tolist())


def _scored(translation, score):
  return {"translation": translation, "score": _finite(score)}


def _finite(score):
  return score if math.isfinite(score) else None
