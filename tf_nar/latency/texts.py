"""The sentences that every system translates: of a file, or made up."""
import random
from typing import NamedTuple

from tf_nar import types
from tf_nar.data import text
from tf_nar.data import vocab as vocab_lib

NEAR = 0.1  # A sentence stands for a length that it misses by so much of it at most.


class Texts(NamedTuple):
  lines: list  # Of str, in no order.
  by_length: dict  # Words -> lines of about so many; a length that the file does not have is not there.


def of_file(path, *, count, lengths, each):
  """Draws sentences from a file.

  Args:
    path: a sentence a line, raw or tokenised as the systems take it; words stand apart by spaces.
    count: lines, fewer if the file has fewer.
    lengths: in words.
    each: lines of each length, at most.

  Raises:
    ValueError: for a file without a word.
  """
  lines = [line for line in text.read(path) if line.strip()]
  if not lines:
    raise ValueError(f"{path} has no sentence; --text wants one a line.")
  random.Random(0).shuffle(lines)
  words = lambda line: len(line.split())
  by_length = {}
  for length in lengths:
    near = [line for line in lines if abs(words(line) - length) <= NEAR * length]
    by_length[length] = sorted(near, key=lambda line: abs(words(line) - length))[:each]
  return Texts(lines[:count], {length: found for length, found in by_length.items() if found})


def vocabulary(size):
  """Returns a made-up word list of so many words, the reserved ones included."""
  return vocab_lib.WordList([*types.SPECIALS, *(f"w{k}" for k in range(size - len(types.SPECIALS)))])


def made_up(vocab, *, words, count, lengths, each):
  """Returns sentences of random words: `count` of `words` words each, and `each` of every length."""
  draw = random.Random(0)
  line = lambda length: " ".join(draw.choices(vocab.tokens[len(types.SPECIALS):], k=length))
  many = lambda number, length: [line(length) for _ in range(number)]
  return Texts(many(count, words), {length: many(each, length) for length in lengths})
