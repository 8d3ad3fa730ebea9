"""Encodes text as records, in one process or several; the result does not depend on their number."""
import collections
import concurrent.futures
import contextlib
import itertools
import multiprocessing
from typing import Iterable, Iterator, NamedTuple, Sequence

import numpy as np

from tf_nar import types
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import mixing

_LINES = 2_000  # Lines of a task: enough to be worth sending, few enough to hold several tasks for each process.
_TASKS = 4  # Tasks that wait for each process.


class Limits(NamedTuple):
  """What decides which pairs are kept, and their weights."""

  max_length: int  # Largest number of tokens with EOS, on either side.
  max_ratio: float  # Largest ratio of the tokens of the longer side to those of the shorter, without EOS; 0: any.
  doubles: np.ndarray = np.zeros(0, np.int64)  # int [n], in order: numbers of the lines that occur before.
  weights: mixing.Weights = mixing.Weights((), ())

  def within(self, first: int, lines: int) -> "Limits":
    """Returns those of a range of lines alone."""
    start, end = np.searchsorted(self.doubles, (first, first + lines))
    return self._replace(doubles=self.doubles[start:end])


class Encoded(NamedTuple):
  """An encoded range of lines."""

  pairs: list  # (serialized record, source length, target length) of each kept pair, lengths with EOS.
  dropped: list  # (number, reason) of each dropped line.
  lines: int  # Number of lines in the range.
  unknown: int = 0  # Number of UNK tokens in the kept pairs.
  changed: int = 0  # Number of lines of the kept pairs that normalization changes, apart from white space.
  tokens: collections.Counter = collections.Counter()  # Target token -> how often it is in the kept pairs;
  repeats: collections.Counter = collections.Counter()  # and how often it stands right after itself.


def reason(source: Sequence[int], target: Sequence[int], limits: Limits) -> str | None:
  """Returns the reason for dropping a pair of id lists (without EOS), or None."""
  short, long = sorted((len(source), len(target)))
  if not short:
    return "empty source" if not source else "empty target"
  if long + 1 > limits.max_length:
    return "too long"
  if limits.max_ratio and long > limits.max_ratio * short:
    return "length ratio"
  return None


def encode_lines(first: int, pairs: Sequence[tuple[str, str]], vocab: vocab_lib.Vocabulary, limits: Limits) -> Encoded:
  """Encodes a range of lines.

  Args:
    first: number of the first line in the whole text.
    pairs: list of (source, target) strings.
    vocab: `WordList` or `Pieces`.
    limits: `Limits`.

  Returns:
    `Encoded`.
  """
  kept, dropped, tokens, repeats = [], [], collections.Counter(), collections.Counter()
  unknown = changed = 0
  doubles = set(limits.within(first, len(pairs)).doubles.tolist())
  for index, (source, target) in enumerate(pairs, first):
    src, tgt = vocab.source.encode(source), vocab.encode(target)
    why = reason(src, tgt, limits) or "duplicate" * (index in doubles)
    if why:
      dropped.append((index, why))
      continue
    unknown += src.count(types.UNK) + tgt.count(types.UNK)
    changed += vocab.source.changes(source) + vocab.changes(target)
    tokens.update(tgt)
    repeats.update(token for token, following in itertools.pairwise(tgt) if token == following)
    pair = records.Pair(src + [types.EOS], tgt + [types.EOS], limits.weights.of(index), index)
    kept.append((records.serialize(pair), len(pair.src), len(pair.tgt)))
  return Encoded(kept, dropped, len(pairs), unknown, changed, tokens, repeats)


def encode(pairs: Iterable[tuple[str, str]], folder: str, limits: Limits, processes: int = 1) -> Iterator[Encoded]:
  """Encodes a text in order, a range of lines at a time.

  Args:
    pairs: iterator of (source, target) strings, read only a little ahead of the results.
    folder: the folder of the vocabulary.
    limits: `Limits`.
    processes: number of processes; 1: this process does the work.

  Yields:
    `Encoded`.

  Raises:
    ValueError: if `processes` is below 1.
  """
  if processes < 1:
    raise ValueError(f"--processes must be at least 1; got {processes}.")
  if processes == 1:
    vocab = vocab_lib.load(folder)
    for first, chunk in tasks(pairs):
      yield encode_lines(first, chunk, vocab, limits)
    return
  # Not "fork", as TensorFlow may have started threads here, which a forked child would lack.
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(["tensorflow"])
  with contextlib.closing(tasks(pairs)) as todo, concurrent.futures.ProcessPoolExecutor(
      processes, context, _start, (folder, limits)) as pool:
    waiting = collections.deque()
    for task in todo:
      waiting.append(pool.submit(_work, *task))
      if len(waiting) == processes * _TASKS:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()


def tasks(pairs: Iterable[tuple[str, str]]) -> Iterator[tuple[int, list[tuple[str, str]]]]:
  """Yields (number of the first line, pairs of lines), a task at a time."""
  numbered = iter(pairs)
  first = 0
  while chunk := list(itertools.islice(numbered, _LINES)):
    yield first, chunk
    first += len(chunk)


def _start(folder, limits):
  # The vocabulary is loaded once in each process instead of being sent with each task.
  global _state
  _state = vocab_lib.load(folder), limits


def _work(first, pairs):
  return encode_lines(first, pairs, *_state)
