"""Exports a run as one SavedModel that translates raw strings to raw strings without this package.

  signature                     takes                             returns
  translate (serving_default)   text: string [B]                  translation: string [B], score: float32 [B]
  candidates                    text: string [B]                  translation: string [B, N], score: float32 [B, N]
  translate_ids                 ids: int32 [B, S]                 ids: int32 [B, T], score: float32 [B]
  candidates_ids                ids: int32 [B, S]                 ids: int32 [B, N, T], score: float32 [B, N]
  score                         source, target: string [B]        score: float32 [B], log p(target | source) in nats
  score_ids                     source: int32 [B, S], target:     the same
                                int32 [B, T]
  trace, of several passes      text: string [B]                  translation, score, and for each of the R passes
                                                                  its inputs and predictions:
                                                                  string [B, R], tokens joined by spaces

Every signature also returns truncated: bool [B], whether a source was longer than the model's maximum and therefore
cut. Ids are tokens, EOS, then PAD. Scores of translations are those that the search ranked by; a blank sentence has a
blank translation and the score 0. N is the number of candidates that the search keeps, best first; a missing candidate
is blank and has the score -inf, as has a target longer than the maximum. B, S and T are arbitrary: measured on a CPU, a
graph of one fixed shape is no faster. Strings stay in the outer graph; the network is the inner function `search`.
"""
import os
from typing import Any, Callable

import tensorflow as tf

from tf_nar import types
from tf_nar.data import atomic
from tf_nar.data import paths
from tf_nar.export import card
from tf_nar.export import metadata
from tf_nar.export import text
from tf_nar.export import unknown
from tf_nar.export import verify
from tf_nar.export import warmup
from tf_nar.ops import depth

TEXT = tf.TensorSpec([None], tf.string)
IDS = tf.TensorSpec([None, None], tf.int32)
FOR_CORPORA = "candidates_ids", "score_ids"  # For bin/distill.py; a server need not warm them up.


def export(run: Any, search: Callable, out: str, teacher: Any = None, trace: Callable | None = None, copier: Any = None,
           **about: str) -> None:
  """Writes the SavedModel of a run, after checking in another process that its outputs equal the run's.

  Args:
    run: a `runs.Run`.
    search: maps int32 [B, S] to a `types.Translation`; `evaluate.corpus.searcher` makes it.
    out: the folder to make.
    teacher: the `runs.Run` whose model `search` rescores with, or None.
    trace: maps int32 [B, S] to a `types.Translation` and its `types.Trace`, or None if the search has no passes.
    copier: an `evaluate.unknown.Copier` of the run if source tokens are to take the place of UNK in translations; else
      None.
    **about: `license` and `commit` for the model card, see `card.write`.

  Raises:
    FileExistsError: if `out` is a file, or a folder that is not empty.
    RuntimeError: if the other process fails or its outputs differ; then nothing is left behind.
  """
  with atomic.folder(out) as folder:
    # The SavedModel and the check share the graphs of the network, as a function is traced anew while it is saved.
    search, score = traced(search, IDS), traced(run.model.score, IDS, IDS)
    trace = trace and traced(trace, IDS)
    module, signatures = build(run, search, teacher, trace, copies=copier is not None, score=score)
    # Nobody differentiates an export, and tracing its custom gradients takes half of the time of a deep network.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    tf.saved_model.save(module, paths.literal(folder), signatures | {"serving_default": module.translate}, options)
    graph = signatures["translate_ids"].get_concrete_function().graph
    facts = metadata.describe(run, signatures, teacher) | {"products_in_a_row": depth.longest(graph)}
    metadata.write(facts, folder)
    card.write(folder, run, facts, **about)
    asked = {name: [(spec.name, spec.dtype) for spec in one.input_signature] for name, one in signatures.items()}
    served = {name: arguments for name, arguments in asked.items() if name not in FOR_CORPORA}
    warmup.write(os.path.join(folder, metadata.FOLDER), served, facts["warm"])
    verify.check(folder, run, search, score, trace, copier)


def traced(function: Callable, *signature: tf.TensorSpec) -> Callable:
  """Returns the graph of a function of tensors of these shapes, a `tf.types.experimental.ConcreteFunction`."""
  return tf.function(function, input_signature=signature, autograph=False).get_concrete_function()


def build(run: Any, search: Callable, teacher: Any = None, trace: Callable | None = None, copies: bool = False,
          score: Callable | None = None) -> tuple[tf.Module, dict[str, Callable]]:
  """Returns a `tf.Module` with one function for each signature, and a dict of these functions; see `export`.

  `score` is the graph of the model's score, or None to trace it.
  """
  models = [run.model] if teacher is None else [run.model, teacher.model]
  module = tf.Module()
  module.weights = [variable.value for model in models for variable in model.variables]
  words = module.text = text.build(run.vocab)
  sources = module.source_text = words if run.vocab.source is run.vocab else text.build(run.vocab.source)
  longest = run.experiment.model.net.max_length
  spell = unknown.speller(sources, words, run.model.align if copies else None, longest)
  functions = _searches(sources, search, spell, longest)
  functions |= _scorers(sources, words, score or run.model.score, longest)
  if trace is not None:
    functions["trace"] = _tracer(sources, words, trace, spell, longest)
  for name, function in functions.items():
    setattr(module, name, function)
  return module, functions


def _searches(sources, search, spell, longest):
  """Returns the functions of the signatures that translate, given those of `text.build` and `unknown.speller`."""

  @tf.function(input_signature=[_named(IDS, "ids")], autograph=False)
  def candidates_ids(ids):
    found = _answer(search(_fitted(ids, longest)), ids)
    return {"ids": found.tokens, "score": found.score, "truncated": _too_long(ids, longest)}

  @tf.function(input_signature=[_named(IDS, "ids")], autograph=False)
  def translate_ids(ids):
    found = candidates_ids(ids)
    return found | {name: found[name][:, 0] for name in ("ids", "score")}

  @tf.function(input_signature=[_named(TEXT, "text")], autograph=False)
  def candidates(text):
    ids = _ids(sources, text)
    found = candidates_ids(ids)
    return {"translation": spell(text, _fitted(ids, longest), found.pop("ids")), **found}

  @tf.function(input_signature=[_named(TEXT, "text")], autograph=False)
  def translate(text):
    ids = _ids(sources, text)
    found = translate_ids(ids)
    return {"translation": spell(text, _fitted(ids, longest), found.pop("ids")[:, None])[:, 0], **found}

  return {"translate": translate, "translate_ids": translate_ids, "candidates": candidates,
          "candidates_ids": candidates_ids}


def _scorers(sources, words, log_p, longest):
  """Returns the functions of the signatures that score."""

  @tf.function(input_signature=[_named(IDS, "source"), _named(IDS, "target")], autograph=False)
  def score_ids(source, target):
    found = log_p(_fitted(source, longest), _fitted(target, longest))[:tf.shape(target)[0]]
    found = tf.where(_too_long(target, longest), -float("inf"), found)
    return {"score": found, "truncated": _too_long(source, longest)}

  @tf.function(input_signature=[_named(TEXT, "source"), _named(TEXT, "target")], autograph=False)
  def score(source, target):
    return score_ids(_ids(sources, source), _ids(words, target))

  return {"score": score, "score_ids": score_ids}


def _tracer(sources, words, trace, spell, longest):
  """Returns the function of the signature `trace`."""

  @tf.function(input_signature=[_named(TEXT, "text")], autograph=False)
  def trace_text(text):
    ids = _ids(sources, text)
    found, steps = trace(_fitted(ids, longest))
    found, rows = _answer(found, ids), tf.shape(ids)[0]
    best = spell(text, _fitted(ids, longest), found.tokens[:, :1])
    predictions = {"translation": best[:, 0], "score": found.score[:, 0],
                   "truncated": _too_long(ids, longest)}
    for name, tokens in steps._asdict().items():
      best = tf.where(_nonempty(ids)[..., None], tokens[:rows, 0], types.PAD)  # [B, R, T]
      shape = tf.shape(best)
      predictions[name] = tf.reshape(words.spell(tf.reshape(best, [-1, shape[2]])), shape[:2])
    return predictions

  return trace_text


def _named(spec, name):
  return tf.TensorSpec(spec.shape, spec.dtype, name)


def _ids(words, texts):
  """string [B] -> int32 [B, S]: tokens, EOS, then PAD."""
  return tf.concat([words.encode(texts), tf.fill([tf.size(texts), 1], types.EOS)], 1).to_tensor(types.PAD)


def _answer(found, ids):
  """Cuts a `Translation` of `_fitted(ids)` to the rows of ids; a blank sentence has one blank candidate of score 0."""
  rows = tf.shape(ids)[0]
  tokens, score, nonempty = found.tokens[:rows], found.score[:rows], _nonempty(ids)  # [B, N, T], [B, N], [B, 1]
  first = tf.range(tf.shape(score)[1]) == 0  # [N]
  blank = tf.where(first[:, None] & (tf.range(tf.shape(tokens)[2]) == 0), types.EOS, types.PAD)  # [N, T]
  return found._replace(
    tokens=tf.where(nonempty[..., None], tokens, blank),
    score=tf.where(nonempty, score, tf.where(first, 0.0, -float("inf"))))


def _fitted(ids, longest):
  """Fits int32 [B, S] to the model's input: at least one row, 1 to `longest` positions, EOS at the end.

  A row without tokens becomes EOS alone, as a search need not accept a batch of nothing but PAD.
  """
  ids = ids[:, :longest]
  missing = tf.maximum(1 - tf.shape(ids), 0)
  ids = tf.pad(ids, [[0, missing[0]], [0, missing[1]]], constant_values=types.PAD)
  is_last = tf.range(tf.shape(ids)[1]) == longest - 1
  ids = tf.where(is_last & (ids != types.PAD), types.EOS, ids)
  return tf.where(_nonempty(ids), ids, _only_end(ids))


def _too_long(ids, longest):
  """int32 [B, S] -> bool [B]: whether a row has more than `longest` tokens."""
  return tf.reduce_sum(tf.cast(ids != types.PAD, tf.int32), 1) > longest


def _nonempty(ids):
  """int32 [B, S] -> bool [B, 1]: whether a row has a token other than PAD and EOS."""
  return tf.reduce_any((ids != types.PAD) & (ids != types.EOS), 1, keepdims=True)


def _only_end(ids):
  """int32 [B, T] -> int32 [B, T]: EOS, then PAD."""
  return tf.where(tf.range(tf.shape(ids)[1]) == 0, types.EOS, tf.fill(tf.shape(ids), types.PAD))
