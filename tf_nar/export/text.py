"""Text to ids and back inside a graph, with the same results as the run's `data.vocab`.

`build` returns a `tf.Module` with

  encode(string [B])    -> int32 [B, (S)], ragged, without EOS
  split(string [B])     -> string [B, (S)], their tokens, unknown ones too
  decode(int32 [B, T])  -> string [B], up to the first EOS, without PAD, BOS and MASK; with a second argument,
                           string [B, T], its tokens take the place of ids where they are not ""
  spell(int32 [B, T])   -> string [B], all tokens but PAD, joined by spaces

It holds all its tables, so a SavedModel needs no other file.
"""
import functools
from typing import Any

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import subwords
from tf_nar.data import vocab as vocab_lib
from tf_nar.export import merges


def build(vocab: Any) -> "Words | Pieces":
  """Returns the graph's `Words` or `Pieces` for a vocabulary of `data.vocab`."""
  return Words(vocab) if vocab.tokenized else Pieces(vocab)


class Words(tf.Module):
  """A vocabulary that is a list of tokens, with or without byte-pair merges."""

  def __init__(self, vocab):
    super().__init__()
    self._tokens, self._skipped = np.array(vocab.tokens, object), _skipped(vocab)
    self._surfaces = np.array([subwords.surface(token) for token in vocab.tokens], object)
    reserved = 5 if vocab.has_mask else 4  # Reserved names in a text are unknown words.
    ids = {token: position for position, token in enumerate(vocab.tokens) if position >= reserved}
    self._merges = merges.Merges(vocab.codes, ids) if vocab.codes else None
    self._ids = None if vocab.codes else merges.table(list(ids), ids.values(), types.UNK)

  def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
    words = _words(texts)
    if self._merges is None:
      return tf.ragged.map_flat_values(self._ids.lookup, words)
    return words.with_values(self._merges.encode(words.values)).merge_dims(1, 2)

  def split(self, texts: tf.Tensor) -> tf.RaggedTensor:
    words = _words(texts)
    return words if self._merges is None else words.with_values(self._merges.split(words.values)).merge_dims(1, 2)

  def decode(self, ids: tf.Tensor, copied: tf.Tensor | None = None) -> tf.Tensor:
    surfaces = tf.gather(self._surfaces, ids)
    if copied is not None:
      own = tf.strings.regex_replace(copied + " ", f"(.){subwords.MARK} $", r"\1")  # As `subwords.surface`.
      surfaces = tf.where(copied != "", own, surfaces)
    words = tf.ragged.boolean_mask(surfaces, _is_said(ids, self._skipped))
    return tf.strings.regex_replace(tf.strings.reduce_join(words, -1), " $", "")

  def spell(self, ids: tf.Tensor) -> tf.Tensor:
    return _spelled(self._tokens, ids)


class Pieces(tf.Module):
  """A vocabulary that is a SentencePiece model."""

  def __init__(self, vocab):
    super().__init__()
    import tensorflow_text  # Imported late: slow to import, and word lists do not need it.
    self._tokens, self._skipped = np.array(vocab.spell(range(len(vocab))), object), _skipped(vocab)
    # Without names of their own, the models of two vocabularies in a SavedModel would be one resource.
    model, name = vocab.files()[vocab_lib.PIECES_FILE], f"pieces_{vocab.sha256}"
    make = functools.partial(tensorflow_text.SentencepieceTokenizer, model, name=name)
    self._pieces, self._spelt = make(out_type=tf.int32), make(out_type=tf.string)

  def encode(self, texts: tf.Tensor) -> tf.RaggedTensor:
    return self._pieces.tokenize(texts)

  def split(self, texts: tf.Tensor) -> tf.RaggedTensor:
    return self._spelt.tokenize(texts)

  def decode(self, ids: tf.Tensor, copied: tf.Tensor | None = None) -> tf.Tensor:
    is_said = _is_said(ids, self._skipped)
    if copied is None:
      return self._pieces.detokenize(tf.ragged.boolean_mask(ids, is_said))
    tokens = tf.where(copied != "", copied, tf.gather(self._tokens, ids))
    return self._spelt.detokenize(tf.ragged.boolean_mask(tokens, is_said))

  def spell(self, ids: tf.Tensor) -> tf.Tensor:
    return _spelled(self._tokens, ids)


def _skipped(vocab):
  return np.array([types.PAD, types.BOS] + [types.MASK] * vocab.has_mask, np.int32)


def _words(texts):
  """string [B] -> string [B, (W)]: the words between spaces."""
  words = tf.strings.split(texts, " ")
  return tf.ragged.boolean_mask(words, words != "")


def _is_said(ids, skipped):
  """int32 [B, T] -> bool [B, T]: which tokens are before the first EOS, and not skipped."""
  ended = tf.cumsum(tf.cast(ids == types.EOS, tf.int32), 1) > 0
  silent = tf.reduce_any(ids[..., None] == skipped, -1)
  return ~(ended | silent)


def _spelled(tokens, ids):
  words = tf.ragged.boolean_mask(tf.gather(tokens, ids), ids != types.PAD)
  return tf.strings.reduce_join(words, -1, separator=" ")
