"""Text in, text out: one sentence a line, whatever way it comes and goes."""
import contextlib
import itertools
import os
import sys

import tensorflow as tf
from absl import logging

from tf_nar import types
from tf_nar.data import atomic


def read(path="", prompt=""):
  """Yields the lines of a file (local or gs://), or of standard input where `path` is empty.

  Only a line feed ends a line: Unicode has other separators, which are characters of a sentence here, so that
  two parallel files keep their lines together.

  Raises:
    ValueError: for a line that is not UTF-8, by its number.
    FileNotFoundError: for a file that is not there, or a folder.
  """
  if path and (not tf.io.gfile.exists(path) or tf.io.gfile.isdir(path)):
    raise FileNotFoundError(f"No file {path}; give a text file, one sentence a line.")
  with tf.io.gfile.GFile(path, "rb") if path else contextlib.nullcontext(sys.stdin.buffer) as file:
    for number, raw in enumerate(_prompted(file, prompt), 1):
      try:
        yield raw.rstrip(b"\r\n").decode("utf-8")
      except UnicodeDecodeError as error:
        raise ValueError(f"{path or 'standard input'}, line {number}: not UTF-8 (byte {error.start + 1} is "
                         f"0x{raw[error.start]:02x}); convert it first, as with iconv.") from None


def _prompted(file, prompt):
  if not prompt:
    yield from file
    return
  while True:
    sys.stderr.write(prompt)
    sys.stderr.flush()
    raw = file.readline()
    if not raw:
      return
    yield raw


@contextlib.contextmanager
def writing(path=""):
  """Gives a function that writes one line, to a file or, where `path` is empty, at once to standard output.

  A file has a temporary name until all is written: a half-written translation is never taken for a whole one.

  Raises:
    ValueError: for a folder.
  """
  if not path:
    yield lambda line: print(line, flush=True)
    return
  if tf.io.gfile.isdir(path):
    raise ValueError(f"{path} is a folder; give the name of a file to write.")
  tf.io.gfile.makedirs(os.path.dirname(path) or ".")
  with atomic.renamed(path) as partial, tf.io.gfile.GFile(partial, "w") as file:
    yield lambda line: file.write(line + "\n")


def encode(lines, vocab, longest):
  """Yields the ids of each line with EOS; a longer one is cut to `longest` tokens, warned of and counted."""
  cut = 0
  for number, line in enumerate(lines, 1):
    ids = vocab.encode(line)
    if len(ids) >= longest:
      cut += 1
      if cut == 1:
        logging.warning("Line %d has %d tokens with EOS, but the model takes %d: the rest is cut off, here "
                        "and of every such line.", number, len(ids) + 1, longest)
    yield ended(ids, longest)
  if cut:
    logging.warning("%d of %d lines were cut to %d tokens.", cut, number, longest)


def ended(ids, longest):
  """Returns the ids of words with EOS, cut to `longest` tokens."""
  return [*ids[:longest - 1], types.EOS]


def formatted(index, candidates, vocab, *, nbest=0, scores=False):
  """Returns the output lines of one sentence.

  With `nbest`: at most so many lines `index ||| text ||| score`, the index from 0. Otherwise one line, the
  best candidate's text (empty where there is none), with ` ||| score` behind it if `scores`.
  """
  text = [(vocab.decode(tokens), f"{score:z.6f}") for tokens, score in candidates]
  if nbest:
    return [f"{index} ||| {words} ||| {score}" for words, score in text[:nbest]]
  words, score = text[0] if text else ("", "-inf")
  return [f"{words} ||| {score}" if scores else words]


def paired(*paths):
  """Yields the lines of two parallel files together.

  Raises:
    ValueError: where one ends before the other.
  """
  (first, second), end = map(read, paths), object()
  count = 0
  while True:
    pair = next(first, end), next(second, end)
    if end in pair:
      break
    yield pair
    count += 1
  if pair != (end, end):
    left, right = (count + (line is not end) + sum(1 for _ in rest)
                   for line, rest in zip(pair, (first, second), strict=True))
    raise ValueError(f"{paths[0]} has {left} lines and {paths[1]} has {right}; parallel files have as many.")


def encode_pairs(pairs, vocab, longest):
  """Yields the ids, with EOS, of (source, target) texts. Only sources are cut: half a target is another."""
  left, right = itertools.tee(pairs)
  sources = encode((source for source, _ in left), vocab, longest)
  targets = ([*vocab.encode(target), types.EOS] for _, target in right)
  yield from zip(sources, targets, strict=True)
