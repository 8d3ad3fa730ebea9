"""Text to records, in one process or several; the result is the same for any number."""
import collections
import concurrent.futures
import contextlib
import itertools
import multiprocessing
from typing import NamedTuple

from tf_nar import types
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib

_LINES = 2_000  # A task: long enough to be worth sending, short enough to hold several for each process.
_TASKS = 4  # Held for each process.


class Limits(NamedTuple):
  """Which pairs are kept."""

  max_length: int  # Tokens with EOS, on either side.
  max_ratio: float  # Tokens of the longer side over those of the shorter, without EOS; 0: any.


class Encoded(NamedTuple):
  """A range of lines. `pairs` holds (serialized record, source length, target length), lengths with EOS."""

  pairs: list
  dropped: collections.Counter  # Reason -> lines.
  lines: int
  unknown: int = 0  # Tokens of the pairs that are UNK.
  changed: int = 0  # Lines of the pairs that normalization changes, white space apart.


def reason(source, target, limits):
  """Returns why a pair of id lists (without EOS) is dropped, or None."""
  short, long = sorted((len(source), len(target)))
  if not short:
    return "empty source" if not source else "empty target"
  if long + 1 > limits.max_length:
    return "too long"
  if limits.max_ratio and long > limits.max_ratio * short:
    return "length ratio"
  return None


def encode_lines(first, pairs, vocab, limits):
  """Encodes a range of lines.

  Args:
    first: number of the first line in the whole text.
    pairs: list of (source, target) strings.
    vocab: `WordList` or `Pieces`.
    limits: `Limits`.

  Returns:
    `Encoded`.
  """
  kept, dropped = [], collections.Counter()
  unknown = changed = 0
  for index, (source, target) in enumerate(pairs, first):
    src, tgt = vocab.encode(source), vocab.encode(target)
    why = reason(src, tgt, limits)
    if why:
      dropped[why] += 1
      continue
    unknown += src.count(types.UNK) + tgt.count(types.UNK)
    changed += sum(map(vocab.changes, (source, target)))
    pair = records.Pair(src + [types.EOS], tgt + [types.EOS], index=index)
    kept.append((records.serialize(pair), len(pair.src), len(pair.tgt)))
  return Encoded(kept, dropped, len(pairs), unknown, changed)


def encode(pairs, folder, limits, processes=1):
  """Encodes a text, a range of lines at a time and in order.

  Args:
    pairs: iterator of (source, target) strings, read only a little ahead of what is yielded.
    folder: where the vocabulary is.
    limits: `Limits`.
    processes: how many work; 1 is this one.

  Yields:
    `Encoded`.

  Raises:
    ValueError: if `processes` is below 1.
  """
  if processes < 1:
    raise ValueError(f"--processes wants at least 1, got {processes}.")
  if processes == 1:
    vocab = vocab_lib.load(folder)
    for first, chunk in _ranges(pairs):
      yield encode_lines(first, chunk, vocab, limits)
    return
  # Not fork: TensorFlow may have started threads here, which a forked child would lack.
  context = multiprocessing.get_context("forkserver")
  context.set_forkserver_preload(["tensorflow"])
  with contextlib.closing(_ranges(pairs)) as ranges, concurrent.futures.ProcessPoolExecutor(
      processes, context, _start, (folder, limits)) as pool:
    waiting = collections.deque()
    for task in ranges:
      waiting.append(pool.submit(_work, *task))
      if len(waiting) == processes * _TASKS:
        yield waiting.popleft().result()
    while waiting:
      yield waiting.popleft().result()


def _ranges(pairs):
  numbered = iter(pairs)
  first = 0
  while chunk := list(itertools.islice(numbered, _LINES)):
    yield first, chunk
    first += len(chunk)


def _start(folder, limits):
  # A vocabulary is loaded once in a process, not sent with each task.
  global _state
  _state = vocab_lib.load(folder), limits


def _work(first, pairs):
  return encode_lines(first, pairs, *_state)
