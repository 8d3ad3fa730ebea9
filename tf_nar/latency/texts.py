"""The sentences that every system translates: from a file, or of random words."""
import random
from typing import Iterable, NamedTuple

from tf_nar import types
from tf_nar.data import text
from tf_nar.data import vocab as vocab_lib

NEAR = 0.1  # Relative tolerance: a sentence counts for a length that it misses by at most this share.


class Texts(NamedTuple):
  lines: list  # Strings, in random order.
  by_length: dict  # Number of words -> lines of about that length; without lengths that the file does not have.


def of_file(path: str, *, count: int, lengths: Iterable[int], each: int) -> Texts:
  """Draws sentences from a file.

  Args:
    path: of a file with a sentence a line, raw or tokenised as the systems expect; words are counted between spaces.
    count: the number of lines, fewer if the file has fewer.
    lengths: in words.
    each: the maximum number of lines of each length.

  Raises:
    ValueError: for a file with blank lines only.
  """
  lines = [line for line in text.read(path) if line.strip()]
  if not lines:
    raise ValueError(f"Expected a sentence a line in --text, got none in {path}; give another file.")
  random.Random(0).shuffle(lines)
  words = lambda line: len(line.split())
  by_length = {}
  for length in lengths:
    near = [line for line in lines if abs(words(line) - length) <= NEAR * length]
    by_length[length] = sorted(near, key=lambda line: abs(words(line) - length))[:each]
  return Texts(lines[:count], {length: found for length, found in by_length.items() if found})


def vocabulary(size: int) -> vocab_lib.WordList:
  """Returns a vocabulary of `size` tokens, w0, w1, ... and the reserved ones, which are counted."""
  return vocab_lib.WordList([*types.SPECIALS, *(f"w{k}" for k in range(size - len(types.SPECIALS)))])


def made_up(vocab: vocab_lib.WordList, *, words: int, count: int, lengths: Iterable[int], each: int) -> Texts:
  """Returns sentences of random words: `count` of `words` words each, and `each` of every length."""
  draw = random.Random(0)
  line = lambda length: " ".join(draw.choices(vocab.tokens[len(types.SPECIALS):], k=length))
  many = lambda number, length: [line(length) for _ in range(number)]
  return Texts(many(count, words), {length: many(each, length) for length in lengths})
