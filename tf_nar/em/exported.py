"""SavedModels of `bin/export.py` as functions of batches of ids, as those of `evaluate.corpus`; results are arrays."""
import functools
import os
from typing import Any, Callable

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import json_file
from tf_nar.data import paths
from tf_nar.export import metadata

SEARCH, SCORE = "candidates_ids", "score_ids"


def describe(folder: str, signature: str) -> dict[str, Any]:
  """Returns the metadata of a SavedModel.

  Args:
    folder: of the SavedModel.
    signature: `SEARCH` or `SCORE`, which it must have.

  Raises:
    FileNotFoundError: if there is no SavedModel of `bin/export.py`.
    ValueError: if it lacks the signature, as those of older versions do.
  """
  path = os.path.join(folder, metadata.FOLDER, metadata.FILE)
  if not tf.io.gfile.exists(path):
    raise FileNotFoundError(f"No {metadata.FOLDER}/{metadata.FILE} in {folder}: it is no SavedModel of this project. "
                            f"Make one: python bin/export.py --out={folder} ...")
  facts = json_file.read(path)
  if signature not in facts["signatures"]:
    raise ValueError(f"{folder} has the signatures {', '.join(facts['signatures'])}, and not {signature}, which newer "
                     "versions export; run bin/export.py again.")
  return facts


def load(folder: str, signature: str) -> Callable:
  """Returns a signature as a function of a batch: that of `evaluate.corpus.searcher` or of `scorer`."""
  import tensorflow_text  # noqa: F401  Registers the operators of SentencePiece models.
  model = tf.saved_model.load(paths.literal(folder))
  return functools.partial(_searched if signature == SEARCH else _scored, model, model.signatures[signature])


def _searched(model, search, ids):
  """int32 [B, S] -> `types.Translation`; `model` is held, as it owns the weights."""
  found = search(ids=tf.constant(ids))
  return types.Translation(found["ids"].numpy(), found["score"].numpy(), np.int32(0))


def _scored(model, score, source, target):
  """int32 [B, S], int32 [B, T] -> float32 [B]."""
  return score(source=tf.constant(source), target=tf.constant(target))["score"].numpy()
