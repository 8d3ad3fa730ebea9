"""One SavedModel that translates: raw strings in, raw strings out, and no line of this package needed.

  signature                     takes                      gives
  translate (serving_default)   text: string [B]           translation: string [B], score: float32 [B]
  translate_ids                 ids: int32 [B, S]          ids: int32 [B, T], score: float32 [B]

Ids are words, EOS, then PAD. Scores are what the search ranked by; a blank sentence has a blank translation
and the score 0. A source longer than the model takes is cut. B, S and T are any. Strings stay in the outer
graph; the network is the inner function `search`.
"""
import contextlib

import tensorflow as tf

from tf_nar import types
from tf_nar.export import metadata
from tf_nar.export import text
from tf_nar.export import verify


def export(run, search, out, teacher=None):
  """Writes the SavedModel of a run, once another process has said with it what the run says.

  Args:
    run: a `runs.Run`.
    search: maps int32 [B, S] to a `types.Translation`; `evaluate.corpus.searcher` makes it.
    out: the folder to make.
    teacher: the `runs.Run` whose model `search` rescores with, or None.

  Raises:
    ValueError: if `out` is there already.
    RuntimeError: if the other process fails or says something else; then nothing is left behind.
  """
  with _whole(out.rstrip("/")) as folder:
    module = build(run, search, teacher)
    signatures = {"serving_default": module.translate, "translate": module.translate,
                  "translate_ids": module.translate_ids}
    tf.saved_model.save(module, folder, signatures)
    metadata.write(metadata.describe(run, teacher), folder)
    verify.check(folder, run, search)


def build(run, search, teacher=None):
  """Returns a `tf.Module` with the functions `translate` and `translate_ids`; see `export`."""
  models = [run.model] if teacher is None else [run.model, teacher.model]
  module = tf.Module()
  module.weights = [variable.value for model in models for variable in model.variables]
  module.text = text.build(run.vocab)
  longest = run.experiment.model.net.max_length

  @tf.function(input_signature=[tf.TensorSpec([None, None], tf.int32, "ids")])
  def translate_ids(ids):
    src = _fitted(ids, longest)
    found = search(src)
    words, score = found.tokens[:, 0], found.score[:, 0]  # [B, T], [B]
    spoken = _spoken(src)
    words = tf.where(spoken, words, _only_end(words))
    score = tf.where(spoken[:, 0], score, 0.0)
    rows = tf.shape(ids)[0]
    return {"ids": words[:rows], "score": score[:rows]}

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")])
  def translate(source):
    ids = module.text.encode(source)
    ends = tf.fill([tf.size(source), 1], types.EOS)
    found = translate_ids(tf.concat([ids, ends], 1).to_tensor(types.PAD))
    return {"translation": module.text.decode(found["ids"]), "score": found["score"]}

  module.translate_ids, module.translate = translate_ids, translate
  return module


def _fitted(ids, longest):
  """Makes of int32 [B, S] what the model takes: at least one row, 1 to `longest` places, a last EOS.

  A row without words becomes EOS alone, as a search may not take a batch of nothing but PAD.
  """
  ids = ids[:, :longest]
  missing = tf.maximum(1 - tf.shape(ids), 0)
  ids = tf.pad(ids, [[0, missing[0]], [0, missing[1]]], constant_values=types.PAD)
  is_last = tf.range(tf.shape(ids)[1]) == longest - 1
  ids = tf.where(is_last & (ids != types.PAD), types.EOS, ids)
  return tf.where(_spoken(ids), ids, _only_end(ids))


def _spoken(ids):
  """int32 [B, S] -> bool [B, 1]: is there a word in it?"""
  return tf.reduce_any((ids != types.PAD) & (ids != types.EOS), 1, keepdims=True)


def _only_end(ids):
  """int32 [B, T] -> int32 [B, T]: EOS, then PAD."""
  return tf.where(tf.range(tf.shape(ids)[1]) == 0, types.EOS, tf.fill(tf.shape(ids), types.PAD))


@contextlib.contextmanager
def _whole(out):
  """Gives a temporary folder to fill; it becomes `out`, or nothing if anything was raised."""
  if tf.io.gfile.exists(out):
    raise ValueError(f"{out} is there already; choose another --out, or remove it.")
  temporary = f"{out}.tmp"
  if tf.io.gfile.exists(temporary):
    tf.io.gfile.rmtree(temporary)
  tf.io.gfile.makedirs(temporary)
  try:
    yield temporary
    tf.io.gfile.rename(temporary, out)
  finally:
    if tf.io.gfile.exists(temporary):
      tf.io.gfile.rmtree(temporary)
