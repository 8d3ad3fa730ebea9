"""Converts lines of text to the inputs of a model, and its outputs to lines of text."""
import itertools
from typing import Any, Iterable, Iterator, Sequence

from absl import logging

from tf_nar import types
from tf_nar.data import text as text_lib


def encode(lines: Iterable[str], vocab: Any, longest: int) -> Iterator[list[int]]:
  """Yields the ids of each source line with EOS, cut to `longest` tokens; warns of the first and the number of cuts."""
  cut = 0
  for number, line in enumerate(lines, 1):
    ids = vocab.source.encode(line)
    if len(ids) >= longest:
      cut += 1
      if cut == 1:
        logging.warning("Line %d has %d tokens with EOS, but the model takes %d: it is cut, as is every such line.",
                        number, len(ids) + 1, longest)
    yield ended(ids, longest)
  if cut:
    logging.warning("%d of %d lines were cut to %d tokens.", cut, number, longest)


def ended(ids: Sequence[int], longest: int) -> list[int]:
  """Returns ids with EOS appended, cut to `longest` tokens."""
  return [*ids[:longest - 1], types.EOS]


def formatted(index: int, candidates: Sequence[tuple[list[int], float]], vocab: Any, *, nbest: int = 0,
              scores: bool = False, of_tokens: list[list[float]] | None = None) -> list[str]:
  """Returns the output lines of one sentence.

  With `nbest`, at most so many lines `index ||| text ||| score`, with the index from 0. Otherwise one line: the text
  of the best candidate (empty if there is none), followed by ` ||| score` if `scores`. With `of_tokens`, a list of
  log p of each token for every candidate, ` ||| tokens ||| log p of each` follows.
  """
  rows = [_row(each, vocab, of_tokens and of_tokens[number]) for number, each in enumerate(candidates)]
  if nbest:
    return [" ||| ".join([str(index), *row]) for row in rows[:nbest]]
  words, score, *rest = rows[0] if rows else ["", "-inf"] + [""] * (2 if of_tokens is not None else 0)
  return [" ||| ".join([words, *([score] if scores else []), *rest])]


def _row(candidate, vocab, log_probs):
  tokens, score = candidate
  row = [vocab.decode(tokens), f"{score:z.6f}"]
  if log_probs is None:
    return row
  return [*row, " ".join(vocab.spell(tokens)), " ".join(f"{each:z.4f}" for each in log_probs)]


def paired(*texts: text_lib.Lines) -> Iterator[tuple[str, ...]]:
  """Yields the tuples of lines of parallel texts, each a `text.Lines`.

  Raises:
    ValueError: if one ends before another, or two come from one pipe.
  """
  text_lib.check_apart(*(text.path for text in texts))
  lines, end = [iter(text) for text in texts], object()
  while True:
    row = tuple(next(each, end) for each in lines)
    if end in row:
      break
    yield row
  if any(each is not end for each in row):
    for rest in lines:
      for _ in rest:
        pass
    counts = " and ".join(f"{text.name} has {text.count}" for text in texts)
    raise ValueError(f"Parallel files must have the same number of lines; {counts}.")


def encode_pairs(pairs: Iterable[tuple[str, str]], vocab: Any, longest: int) -> Iterator[tuple[list[int], list[int]]]:
  """Yields the ids, with EOS, of (source, target) texts. Only sources are cut, as a cut target is another target."""
  left, right = itertools.tee(pairs)
  sources = encode((source for source, _ in left), vocab, longest)
  targets = ([*vocab.encode(target), types.EOS] for _, target in right)
  yield from zip(sources, targets, strict=True)
