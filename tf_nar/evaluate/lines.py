"""Converts lines of text to the inputs of a model, and its outputs to lines of text."""
import itertools

from absl import logging

from tf_nar import types


def encode(lines, vocab, longest):
  """Yields the ids of each line with EOS, cut to `longest` tokens; warnings give the first and the number of cuts."""
  cut = 0
  for number, line in enumerate(lines, 1):
    ids = vocab.encode(line)
    if len(ids) >= longest:
      cut += 1
      if cut == 1:
        logging.warning("Line %d has %d tokens with EOS, but the model takes %d: it is cut, as is every such line.",
                        number, len(ids) + 1, longest)
    yield ended(ids, longest)
  if cut:
    logging.warning("%d of %d lines were cut to %d tokens.", cut, number, longest)


def ended(ids, longest):
  """Returns ids with EOS appended, cut to `longest` tokens."""
  return [*ids[:longest - 1], types.EOS]


def formatted(index, candidates, vocab, *, nbest=0, scores=False):
  """Returns the output lines of one sentence.

  With `nbest`, at most so many lines `index ||| text ||| score`, with the index from 0. Otherwise one line: the text
  of the best candidate (empty if there is none), followed by ` ||| score` if `scores`.
  """
  texts = [(vocab.decode(tokens), f"{score:z.6f}") for tokens, score in candidates]
  if nbest:
    return [f"{index} ||| {words} ||| {score}" for words, score in texts[:nbest]]
  words, score = texts[0] if texts else ("", "-inf")
  return [f"{words} ||| {score}" if scores else words]


def paired(*texts):
  """Yields the tuples of lines of parallel texts, each a `text.Lines`.

  Raises:
    ValueError: if one ends before another.
  """
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


def encode_pairs(pairs, vocab, longest):
  """Yields the ids, with EOS, of (source, target) texts. Only sources are cut, as a cut target is another target."""
  left, right = itertools.tee(pairs)
  sources = encode((source for source, _ in left), vocab, longest)
  targets = ([*vocab.encode(target), types.EOS] for _, target in right)
  yield from zip(sources, targets, strict=True)
