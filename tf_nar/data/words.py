"""Which word of a text each token belongs to, counted from 0."""
from typing import Iterable

from tf_nar.data import subwords
from tf_nar.data import vocab as vocab_lib


def numbers(tokens: Iterable[str], tokenized: bool) -> list[int]:
  """Returns the number of the word of each token, a list of int.

  Args:
    tokens: strings, as a vocabulary's `split` or `spell` returns them.
    tokenized: whether the vocabulary is a `WordList`, whose subwords that are continued end with `@@`; else words begin
      with the mark of SentencePiece.
  """
  found, number, empty = [], 0, True  # `empty`: whether the word has no character yet.
  for token in tokens:
    if not empty and (tokenized or token.startswith(vocab_lib.SPACE)):
      number, empty = number + 1, True
    found.append(number)
    # A word of a list ends with its last subword; one of pieces goes on to the next mark.
    empty = subwords.is_part(token) if tokenized else empty and token == vocab_lib.SPACE
  return found
