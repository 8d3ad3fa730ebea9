"""Text to ids and back inside a graph, with the same results as the run's `data.vocab`.

`build` returns a `tf.Module` with

  encode(string [B])    -> int32 [B, (S)], ragged, without EOS
  decode(int32 [B, T])  -> string [B], up to the first EOS, without PAD, BOS and MASK
  spell(int32 [B, T])   -> string [B], all tokens but PAD, joined by spaces

It holds all its tables, so a SavedModel needs no other file.
"""
import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import subwords
from tf_nar.data import vocab as vocab_lib
from tf_nar.export import merges


def build(vocab):
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

  def encode(self, texts):
    words = tf.strings.split(texts, " ")
    words = tf.ragged.boolean_mask(words, words != "")
    if self._merges is None:
      return tf.ragged.map_flat_values(self._ids.lookup, words)
    return words.with_values(self._merges.encode(words.values)).merge_dims(1, 2)

  def decode(self, ids):
    words = tf.ragged.map_flat_values(lambda flat: tf.gather(self._surfaces, flat), _said(ids, self._skipped))
    return tf.strings.regex_replace(tf.strings.reduce_join(words, -1), " $", "")

  def spell(self, ids):
    return _spelled(self._tokens, ids)


class Pieces(tf.Module):
  """A vocabulary that is a SentencePiece model."""

  def __init__(self, vocab):
    super().__init__()
    import tensorflow_text  # Imported late: slow to import, and word lists do not need it.
    self._tokens, self._skipped = np.array(vocab.spell(range(len(vocab))), object), _skipped(vocab)
    # Without names of their own, the models of two vocabularies in a SavedModel would be one resource.
    self._pieces = tensorflow_text.SentencepieceTokenizer(
      vocab.files()[vocab_lib.PIECES_FILE], out_type=tf.int32, name=f"pieces_{vocab.sha256}")

  def encode(self, texts):
    return self._pieces.tokenize(texts)

  def decode(self, ids):
    return self._pieces.detokenize(_said(ids, self._skipped))

  def spell(self, ids):
    return _spelled(self._tokens, ids)


def _skipped(vocab):
  return np.array([types.PAD, types.BOS] + [types.MASK] * vocab.has_mask, np.int32)


def _said(ids, skipped):
  """int32 [B, T] -> int32 [B, (T)]: the tokens before the first EOS, without the skipped ones."""
  ended = tf.cumsum(tf.cast(ids == types.EOS, tf.int32), 1) > 0
  silent = tf.reduce_any(ids[..., None] == skipped, -1)
  return tf.ragged.boolean_mask(ids, ~(ended | silent))


def _spelled(tokens, ids):
  words = tf.ragged.boolean_mask(tf.gather(tokens, ids), ids != types.PAD)
  return tf.strings.reduce_join(words, -1, separator=" ")
