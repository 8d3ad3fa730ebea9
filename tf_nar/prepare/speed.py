"""Measures the steps of preparing text, each in processor time of this process."""
import itertools
import statistics
import tempfile
import time
from typing import Any, Callable, Sequence

from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import vocab as vocab_lib
from tf_nar.prepare import bitext
from tf_nar.prepare import encode

_ANY = encode.Limits(max_length=1 << 30, max_ratio=0)  # Limits that keep all but empty pairs.


def measure(vocab: vocab_lib.Vocabulary, sources: Sequence[str], targets: Sequence[str], lines: int,
            rounds: int) -> tuple[int, int, dict[str, float]]:
  """Returns the number of pairs, that of their tokens, and {step: seconds}, the medians over the rounds.

  Args:
    vocab: the vocabulary.
    sources: paths of the source files.
    targets: paths of their translations.
    lines: number of pairs that are used, the first ones.
    rounds: number of measurements.

  Raises:
    ValueError: as `bitext.survey`.
  """
  bitext.survey(sources, targets)
  taken = []
  for _ in range(rounds):
    text, read = _timed(lambda: list(itertools.islice(bitext.pairs(sources, targets), lines)))
    ids, tokens = _timed(lambda text=text: [(vocab.source.encode(source), vocab.encode(target))
                                            for source, target in text])
    _, changes = _timed(lambda text=text: [(vocab.source.changes(source), vocab.changes(target))
                                           for source, target in text])
    _, serialize = _timed(lambda ids=ids: [
      records.serialize(records.Pair(source + [types.EOS], target + [types.EOS], 1.0, index))
      for index, (source, target) in enumerate(ids)])
    _, whole = _timed(lambda text=text: _write(text, vocab))
    rest = max(0.0, whole - tokens - changes - serialize)
    taken.append({"read": read, "tokens": tokens, "normalization": changes, "records": serialize,
                  "counts, writing": rest})
  count = sum(len(source) + len(target) for source, target in ids)
  return len(text), count, {step: statistics.median(each[step] for each in taken) for step in taken[0]}


def _write(text, vocab):
  with tempfile.TemporaryDirectory() as folder, corpus.Writer(folder, shards=1) as writer:
    for first, pairs in encode.tasks(text):
      for pair in encode.encode_lines(first, pairs, vocab, _ANY).pairs:
        writer.add(*pair)


def _timed(work: Callable[[], Any]) -> tuple[Any, float]:
  start = time.process_time()
  return work(), time.process_time() - start
