"""Byte-pair merges inside a graph, equal to subword-nmt's (Sennrich et al., arXiv:1508.07909).

Symbols are represented by numbers. The symbols of all words are one flat vector, with the index of each symbol's word
beside it:

  repeat, in every word: merge the adjacent pairs whose merge was learned first, from the left

The units (known ones or UNK) that a final symbol stands for do not depend on its word, so they are tabulated in
advance by `_cut`.

  M  symbols of all words          W  words
"""
from typing import Iterable, Sequence

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import subwords
from tf_nar.data import vocab as vocab_lib

END = "</w>"  # Appended, in the merges, to a word's last character.
_NEVER = tf.int32.max  # The rank of a pair that no merge joins.


class Merges(tf.Module):
  """Segments words into ids as `data.vocab.WordList.encode` does."""

  def __init__(self, codes, ids):
    """Makes the tables.

    Args:
      codes: the text of a subword-nmt file of merges.
      ids: dict from the units of the vocabulary to their ids.

    Raises:
      ValueError: for merges of subword-nmt's first format, which marks ends of words in another way.
    """
    super().__init__()
    bpe = subwords.bpe(codes, set(ids))
    if bpe.version != (0, 2):
      raise ValueError(
          f"Expected {vocab_lib.CODES_FILE} to begin with the line `#version: 0.2`, got version "
          f"{'.'.join(map(str, bpe.version))}; learn the merges again with data_prep/prepare.py.")
    pairs = sorted(bpe.bpe_codes, key=bpe.bpe_codes.get)
    symbols = _symbols(pairs, ids)
    number = {symbol: position for position, symbol in enumerate(symbols)}
    self._unknown = len(symbols)  # A character that is in no merge and no unit.
    self._base = len(symbols) + 1
    self._numbers = table(symbols, range(len(symbols)), self._unknown)
    keys = [number[left] * self._base + number[right] for left, right in pairs]
    self._ranks = table(keys, range(len(pairs)), _NEVER)
    self._joined = np.array([number[left + right] for left, right in pairs], np.int32)
    cut = lambda symbol, last: _cut(symbol, last, bpe.bpe_codes_reverse, ids)
    rows, sizes = [], []
    for last in (False, True):  # The units of each symbol inside a word, then at its end.
      units = [cut(symbol, last) for symbol in symbols]
      rows += [[ids.get(unit, types.UNK) for unit in each] for each in units] + [[types.UNK]]
      of_unit = lambda unit, ends: len(unit) - len(subwords.MARK) * (not ends)
      sizes += [[of_unit(unit, last and at == len(each) - 1) for at, unit in enumerate(each)] for each in units] + [[1]]
    rows = tf.ragged.constant(rows, tf.int32)
    self._values, self._lengths = rows.values.numpy(), rows.row_lengths().numpy()
    self._sizes = np.concatenate(sizes).astype(np.int32)  # Characters of each unit.

  def encode(self, words: tf.Tensor) -> tf.RaggedTensor:
    """string [W], none empty -> int32 [W, (units)]: the ids of each word's units."""
    return self._of_units(words, self._values)

  def split(self, words: tf.Tensor) -> tf.RaggedTensor:
    """string [W], none empty -> string [W, (units)]: each word's units, unknown ones too."""
    sizes = self._of_units(words, self._sizes)
    ends = tf.cumsum(sizes.values)
    starts = ends - sizes.values
    starts -= tf.repeat(tf.gather(tf.concat([starts, [0]], 0), sizes.row_starts()), sizes.row_lengths())
    unit = tf.strings.substr(tf.repeat(words, sizes.row_lengths()), starts, sizes.values, unit="UTF8_CHAR")
    last = sizes.value_rowids() != _next(sizes.value_rowids(), -1)
    return sizes.with_values(tf.where(last, unit, unit + subwords.MARK))

  def _of_units(self, words, values):
    """string [W] -> [W, (units)]: of each unit its entry in `values`, a table in the order of `_values`."""
    characters = tf.strings.unicode_split(words, "UTF-8")
    word = characters.value_rowids()  # [M]
    last = word != _next(word, -1)
    symbol = self._numbers.lookup(tf.where(last, characters.values + END, characters.values))
    symbol, word = self._merge(symbol, word, tf.size(words, tf.int64))
    units = tf.RaggedTensor.from_row_lengths(values, self._lengths)
    row = tf.where(word != _next(word, -1), symbol + self._base, symbol)
    units = tf.gather(units, row)  # [M, (units)]
    word = tf.repeat(word, units.row_lengths())
    return tf.RaggedTensor.from_value_rowids(units.values, word, nrows=tf.size(words, tf.int64))

  def _merge(self, symbol, word, words):
    """Applies merges to symbols [M] of words [M], indices from 0 to `words` - 1, until none applies."""
    def merge(symbol, word, rank):
      first = tf.gather(tf.math.unsorted_segment_min(rank, word, words), word)
      here = _apart((rank == first) & (rank < _NEVER))
      symbol = tf.where(here, tf.gather(self._joined, tf.where(here, rank, 0)), symbol)
      kept = ~_before(here, False)  # A merged pair is stored in its left position.
      symbol, word = symbol[kept], word[kept]
      return symbol, word, self._rank(symbol, word)

    going = lambda symbol, word, rank: tf.reduce_any(rank < _NEVER)
    any_size = (tf.TensorShape([None]),) * 3
    symbol, word, _ = tf.while_loop(going, merge, (symbol, word, self._rank(symbol, word)), any_size)
    return symbol, word

  def _rank(self, symbol, word):
    """int32 [M]: the rank (order of learning) of the merge of each symbol with the next, `_NEVER` if there is none."""
    left, right = tf.cast(symbol, tf.int64), tf.cast(_next(symbol, self._unknown), tf.int64)
    rank = self._ranks.lookup(left * self._base + right)
    return tf.where(word == _next(word, -1), rank, _NEVER)


def table(keys: Sequence[str] | Sequence[int], values: Iterable[int], default: int) -> tf.lookup.StaticHashTable:
  """Returns a look-up table of int32 values; keys are strings or ints."""
  kind = tf.string if isinstance(keys[0], str) else tf.int64
  initializer = tf.lookup.KeyValueTensorInitializer(
      tf.constant(keys, kind), tf.constant(list(values), tf.int32))
  return tf.lookup.StaticHashTable(initializer, default)


def _symbols(pairs, units):
  """Returns all strings that merges take or make, and all characters of the units."""
  parts = {part for left, right in pairs for part in (left, right, left + right)}
  characters = set("".join(units)) | set("".join(parts))
  return sorted(parts | characters | {character + END for character in characters})


def _cut(symbol, last, whole, known):
  """Returns the units of a symbol: itself if it is known, else those of the two symbols that it was merged from.

  Args:
    symbol: a string, which ends in END if it is a word's last symbol.
    last: whether it is the last.
    whole: dict from the result of each merge to its pair.
    known: the units of the vocabulary; others are returned only where a symbol cannot be split further.
  """
  unit = symbol.removesuffix(END) if last else symbol + subwords.MARK
  pair = whole.get(symbol)
  if unit in known or not pair:
    return [unit]
  return _cut(pair[0], False, whole, known) + _cut(pair[1], last, whole, known)


def _apart(here):
  """bool [M] -> bool [M]: of each run of adjacent true positions, the first, third, fifth... (x x x -> xx x)."""
  position = tf.range(tf.size(here))
  starts = here & ~_before(here, False)
  run = tf.maximum(tf.cumsum(tf.cast(starts, tf.int32)) - 1, 0)
  return here & ((position - tf.gather(tf.concat([position[starts], [0]], 0), run)) % 2 == 0)


def _next(x, after):
  """[M] -> [M]: the element after each, `after` for the last."""
  return tf.concat([x, [after]], 0)[1:]


def _before(x, first):
  """[M] -> [M]: the element before each, `first` for the first."""
  return tf.concat([[first], x], 0)[:-1]
