"""Subwords of byte-pair encoding, in the notation of subword-nmt."""
import io
from typing import Any, Iterable

MARK = "@@"  # Ends a subword that is not the last of its word.


def join(tokens: Iterable[str]) -> str:
  """Returns the text of tokens, joining the subwords that subword-nmt marked; `@@` alone is a word."""
  return "".join(map(surface, tokens)).removesuffix(" ")


def surface(token: str) -> str:
  """Returns what a token adds to a text: a word with the space after it, or a subword without its mark."""
  return token.removesuffix(MARK) if is_part(token) else f"{token} "


def is_part(token: str) -> bool:
  """Whether a token of a list is a subword that the next token continues."""
  return token.endswith(MARK) and token != MARK


def bpe(codes: str, known: set[str] | None = None) -> Any:
  """Returns subword-nmt's segmenter for the text of a file of merges.

  Args:
    codes: the text.
    known: set of subwords that may result, others are split further; None: no restriction.
  """
  try:
    from subword_nmt import apply_bpe
  except ImportError as error:
    raise ImportError("BPE merges need subword-nmt: pip install subword-nmt.") from error
  return apply_bpe.BPE(io.StringIO(codes), vocab=known)
