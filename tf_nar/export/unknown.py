"""Copies unknown words from the source inside a graph, as `evaluate/unknown.py` does outside of one."""
from typing import Any, Callable

import tensorflow as tf

from tf_nar import types


def copies(sources: Any, align: Callable[..., tf.Tensor], source: tf.Tensor, ids: tf.Tensor,
           tokens: tf.Tensor) -> tf.Tensor:
  """Returns the source tokens that take the place of UNK, string [B, T]; "" at other tokens and where there is none.

  Args:
    sources: the result of `text.build` for the source's vocabulary.
    align: the method of the model.
    source: string [B], the source sentences.
    ids: int32 [B, S], their tokens as the model takes them, EOS last.
    tokens: int32 [B, T], translations.
  """
  def aligned():
    split = tf.concat([sources.split(source), tf.fill([tf.shape(tokens)[0], 1], "")], 1).to_tensor("")
    weights = align(ids, tokens)[..., :-1]  # Without EOS.
    best = tf.argmax(weights, -1, tf.int32)  # [B, T]
    found = tf.gather(split, best, batch_dims=1)
    return tf.where((tokens == types.UNK) & (tf.reduce_max(weights, -1) > 0), found, "")

  # Translations without UNK, nearly all, need no alignment.
  return tf.cond(tf.reduce_any(tokens == types.UNK), aligned, lambda: tf.fill(tf.shape(tokens), ""))


def speller(sources: Any, words: Any, align: Callable[..., tf.Tensor] | None, longest: int) -> Callable[..., tf.Tensor]:
  """Returns a function that spells translations: (string [B], int32 [B, S], int32 [B, N, T]) -> string [B, N].

  Args:
    sources, words: the results of `text.build` for the vocabularies of source and target.
    align: the method of the model, by which unknown words are copied; None: they are not.
    longest: the most tokens that the model aligns; a longer translation keeps its UNK.
  """
  def spell(source, ids, tokens):
    shape = tf.shape(tokens)
    rows, copied = tf.reshape(tokens, [-1, shape[2]]), None
    if align is not None:
      fits = tf.math.count_nonzero(rows != types.PAD, 1, keepdims=True) <= longest
      some = tf.where(fits, rows, types.PAD)[:, :longest]
      copied = copies(sources, align, tf.repeat(source, shape[1]), tf.repeat(ids, shape[1], 0), some)
      copied = tf.concat([copied, tf.fill([tf.shape(rows)[0], tf.maximum(shape[2] - longest, 0)], "")], 1)
    return tf.reshape(words.decode(rows, copied), shape[:2])

  return spell
