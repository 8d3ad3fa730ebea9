"""Byte-pair merges inside a graph, equal to subword-nmt's (Sennrich et al., arXiv:1508.07909).

A symbol is a number here. The symbols of all words stand in one flat row, each beside the number of its word:

  repeat, in every word: the neighbours whose merge was learned first become one symbol, from the left

What a symbol at last becomes, known units or UNK, does not depend on its word, so tables of it are made
beforehand: `_cut` says them.

  M  symbols of all words          W  words
"""
import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import vocab as vocab_lib

END = "</w>"  # Follows, in the merges, a word's last character.
_NEVER = tf.int32.max  # The rank of a pair that no merge joins.


class Merges(tf.Module):
  """Cuts words into ids as `data.vocab.WordList.encode` does."""

  def __init__(self, codes, ids):
    """Makes the tables.

    Args:
      codes: text of a subword-nmt file of merges.
      ids: dict from the units that may come out to their ids.

    Raises:
      ValueError: for merges of subword-nmt's first format, which end words in another way.
    """
    super().__init__()
    bpe = vocab_lib.bpe(codes, set(ids))
    if bpe.version != (0, 2):
      raise ValueError(
          f"The graph applies {vocab_lib.CODES_FILE} whose first line is `#version: 0.2`; got version "
          f"{'.'.join(map(str, bpe.version))}. Learn the merges again with data_prep/prepare.py.")
    pairs = sorted(bpe.bpe_codes, key=bpe.bpe_codes.get)
    symbols = _symbols(pairs, ids)
    number = {symbol: position for position, symbol in enumerate(symbols)}
    self._unknown = len(symbols)  # A character that nothing is known of.
    self._base = len(symbols) + 1
    self._numbers = table(symbols, range(len(symbols)), self._unknown)
    keys = [number[left] * self._base + number[right] for left, right in pairs]
    self._ranks = table(keys, range(len(pairs)), _NEVER)
    self._joined = np.array([number[left + right] for left, right in pairs], np.int32)
    cut = lambda symbol, last: _cut(symbol, last, bpe.bpe_codes_reverse, ids)
    rows = []
    for last in (False, True):  # What symbols become inside a word, then at its end.
      rows += [[ids.get(unit, types.UNK) for unit in cut(symbol, last)] for symbol in symbols] + [[types.UNK]]
    rows = tf.ragged.constant(rows, tf.int32)
    self._values, self._lengths = rows.values.numpy(), rows.row_lengths().numpy()

  def encode(self, words):
    """string [W], none empty -> int32 [W, (units)]."""
    characters = tf.strings.unicode_split(words, "UTF-8")
    word = characters.value_rowids()  # [M]
    last = word != _next(word, -1)
    symbol = self._numbers.lookup(tf.where(last, characters.values + END, characters.values))
    symbol, word = self._merge(symbol, word, tf.size(words, tf.int64))
    units = tf.RaggedTensor.from_row_lengths(self._values, self._lengths)
    row = tf.where(word != _next(word, -1), symbol + self._base, symbol)
    units = tf.gather(units, row)  # [M, (units)]
    word = tf.repeat(word, units.row_lengths())
    return tf.RaggedTensor.from_value_rowids(units.values, word, nrows=tf.size(words, tf.int64))

  def _merge(self, symbol, word, words):
    """Merges symbols [M] of words [M], numbered 0 to `words` - 1, until nothing is left to merge."""
    def merge(symbol, word, rank):
      first = tf.gather(tf.math.unsorted_segment_min(rank, word, words), word)
      here = _apart((rank == first) & (rank < _NEVER))
      symbol = tf.where(here, tf.gather(self._joined, tf.where(here, rank, 0)), symbol)
      kept = ~_before(here, False)  # The right one of a pair went into the left one.
      symbol, word = symbol[kept], word[kept]
      return symbol, word, self._rank(symbol, word)

    going = lambda symbol, word, rank: tf.reduce_any(rank < _NEVER)
    any_size = (tf.TensorShape([None]),) * 3
    symbol, word, _ = tf.while_loop(going, merge, (symbol, word, self._rank(symbol, word)), any_size)
    return symbol, word

  def _rank(self, symbol, word):
    """int32 [M]: when the merge of each symbol with the next one was learned."""
    left, right = tf.cast(symbol, tf.int64), tf.cast(_next(symbol, self._unknown), tf.int64)
    rank = self._ranks.lookup(left * self._base + right)
    return tf.where(word == _next(word, -1), rank, _NEVER)


def table(keys, values, default):
  """Returns a look-up table of int32 values; keys are strings or ints."""
  kind = tf.string if isinstance(keys[0], str) else tf.int64
  initializer = tf.lookup.KeyValueTensorInitializer(
      tf.constant(keys, kind), tf.constant(list(values), tf.int32))
  return tf.lookup.StaticHashTable(initializer, default)


def _symbols(pairs, units):
  """Every string that merges can make or find, among them all characters of the units."""
  parts = {part for left, right in pairs for part in (left, right, left + right)}
  characters = set("".join(units)) | set("".join(parts))
  return sorted(parts | characters | {character + END for character in characters})


def _cut(symbol, last, whole, known):
  """Returns the units of a symbol: itself if known, else those of the two that it was merged from.

  Args:
    symbol: a string, with END if it is a word's last.
    last: whether it is.
    whole: dict from what merges gave to the pair that it was.
    known: the units that may come out; others do only where nothing is left to take apart.
  """
  unit = symbol.removesuffix(END) if last else symbol + vocab_lib.MARK
  pair = whole.get(symbol)
  if unit in known or not pair:
    return [unit]
  return _cut(pair[0], False, whole, known) + _cut(pair[1], last, whole, known)


def _apart(here):
  """bool [M] -> bool [M]: of places that follow each other, the first, third, fifth... (x x x -> xx x)."""
  position = tf.range(tf.size(here))
  starts = here & ~_before(here, False)
  run = tf.maximum(tf.cumsum(tf.cast(starts, tf.int32)) - 1, 0)
  return here & ((position - tf.gather(tf.concat([position[starts], [0]], 0), run)) % 2 == 0)


def _next(x, after):
  """[M] -> [M]: what stands behind each."""
  return tf.concat([x, [after]], 0)[1:]


def _before(x, first):
  """[M] -> [M]: what stands before each."""
  return tf.concat([[first], x], 0)[:-1]
