"""A SavedModel for a server: raw strings in, plain Python values out.

The possible offers, of which a model has those that it has a signature for; one answer for each input:

  offer        input                 answer
  translate    sentence              {"translation", "score"}
  candidates   sentence              [{"translation", "score"}], best first
  trace        sentence              {"translation", "score", "passes": [{"inputs", "predictions"}]}
  score        (source, target)      log p(target | source) in nats

A score that is not finite is None, as JSON has no infinity.
"""
import math
import os
from typing import Any, Iterator, NamedTuple, Sequence

import tensorflow as tf

from tf_nar.data import json_file
from tf_nar.data import paths

OFFERS = ("translate", "candidates", "trace", "score")
FACTS = os.path.join("assets.extra", "metadata.json")
# Lengths in words, EOS counted, of the warm-up sentences for a model whose metadata has none.
LENGTHS = (8, 16, 32, 64)
WORD = "a"  # Any word will do; in a vocabulary without it, it is an unknown token.


class Answer(NamedTuple):
  """The answer to one input."""

  content: Any  # The module's docstring has its type.
  truncated: bool  # Whether the sentence was longer than the model takes, so that its end was left out.


def intra_op_threads(folder: str) -> int:
  """Returns the number of threads that an operator of a SavedModel should have, 0 for TensorFlow's choice.

  A model in shards runs several operators at once, which occupy the cores and should not wait for each other's threads.
  """
  shards = _facts(folder).get("shards", 1)
  return max(1, os.cpu_count() // shards) if shards > 1 else 0


def share_threads(folder: str) -> None:
  """Sets this process's threads for a SavedModel; call it before TensorFlow's first operation."""
  tf.config.threading.set_intra_op_parallelism_threads(intra_op_threads(folder))


class Model:
  """A SavedModel of `bin/export.py`; `facts` is its metadata, `offers` the names of its offers."""

  def __init__(self, folder):
    """Loads the SavedModel in a folder.

    Raises:
      ValueError: if the folder holds no SavedModel, or one without the signature `translate`.
    """
    if not tf.io.gfile.exists(os.path.join(folder, "saved_model.pb")):
      raise ValueError(f"Expected a SavedModel, got {folder} without a saved_model.pb; give the --out of "
                       "bin/export.py or bin/export_openvino.py.")
    import tensorflow_text  # noqa: F401  Registers the operators of SentencePiece models.
    loaded = tf.saved_model.load(paths.literal(folder))
    self._loaded = loaded  # Keeps the variables alive.
    self._signatures = {name: loaded.signatures[name] for name in OFFERS if name in loaded.signatures}
    if "translate" not in self._signatures:
      raise ValueError(f"Expected a SavedModel with the signature translate, got {folder} with "
                       f"{', '.join(loaded.signatures) or 'none'}; give the --out of bin/export.py.")
    self.offers = tuple(self._signatures)
    self.facts = _facts(folder)

  def answer(self, offer: str, asked: Sequence) -> list[Answer]:
    """Returns a list with an `Answer` for each of `asked`."""
    if offer == "score":
      sources, targets = zip(*asked, strict=True)
      found = self._signatures[offer](source=tf.constant(sources), target=tf.constant(targets))
      contents = [_finite(score) for score in found["score"].numpy().tolist()]
    else:
      found = self._signatures[offer](text=tf.constant(asked))
      contents = _contents(offer, found)
    # Exports of version 0.1 do not have it.
    truncated = found["truncated"].numpy().tolist() if "truncated" in found else [False] * len(asked)
    return list(map(Answer, contents, truncated))

  def warm_ups(self, max_batch: int, max_characters: int) -> Iterator[tuple[str, list]]:
    """Yields (offer, asked) for each offer and warm-up length: one sentence, and as many as a batch may hold."""
    longest = self.facts.get("max_length", math.inf)
    texts = self.facts.get("warm") or [" ".join([WORD] * (length - 1)) for length in LENGTHS if length <= longest]
    for offer in self.offers:
      for text in filter(None, texts):
        most = min(max_batch, max_characters // ((2 if offer == "score" else 1) * len(text)))
        for size in sorted({1, max(1, most)}):
          yield offer, [(text, text) if offer == "score" else text] * size


class Live(Model):
  """What `bin/export.py` would write, made in this process."""

  def __init__(self, module, signatures, facts):
    """Args: module, signatures: of `export.saved_model.build`; facts: of `export.metadata.describe`."""
    self._loaded, self.facts = module, facts
    self._signatures = {name: signatures[name] for name in OFFERS if name in signatures}
    self.offers = tuple(self._signatures)


def _contents(offer, found):
  """Returns the list of contents of the answers that are the tensors `found`."""
  scores = found["score"].numpy().tolist()
  if offer == "candidates":
    return [[scored(*one) for one in zip(texts, row, strict=True) if one[1] > -math.inf]
            for texts, row in zip(_strings(found["translation"]), scores, strict=True)]
  answers = [scored(*one) for one in zip(_strings(found["translation"]), scores, strict=True)]
  if offer == "trace":
    # A model that was exported by version 0.1 calls them saw and said.
    given, made = (_strings(found[name if name in found else old])
                   for name, old in (("inputs", "saw"), ("predictions", "said")))
    for answer, *each in zip(answers, given, made, strict=True):
      answer["passes"] = [{"inputs": before, "predictions": after} for before, after in zip(*each, strict=True)]
  return answers


def _facts(folder):
  path = os.path.join(folder, FACTS)
  if not tf.io.gfile.exists(path):
    return {}
  return json_file.read(path)


def _strings(tensor):
  """Returns the strings of a tensor as nested lists."""
  def decoded(value):
    return [decoded(each) for each in value] if isinstance(value, list) else value.decode(errors="replace")

  return decoded(tensor.numpy().tolist())


def scored(translation: str, score: float) -> dict[str, Any]:
  """Returns the content of an answer that is a translation."""
  return {"translation": translation, "score": _finite(score)}


def _finite(score):
  return score if math.isfinite(score) else None
