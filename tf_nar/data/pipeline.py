"""Batches for training: an endless stream that depends only on (seed, epoch) and can start at any position.

Each batch has one of a few static shapes (rows, length), as XLA compiles once for each, and about the same number of
positions, so that every update weighs about the same.
"""
import math
from typing import Any, NamedTuple

import tensorflow as tf
from absl import logging

from tf_nar import types
from tf_nar.data import corpus
from tf_nar.data import records

_SHUFFLED = 100_000  # Records in the shuffle buffer; a smaller corpus is shuffled uniformly.
_READ_AT_ONCE = 16  # Shards that are read in parallel.
_PARSED_TOGETHER = 256  # Records that are parsed in one call.
_AHEAD = 64  # Prefetched batches, so that training does not wait at the start of an epoch.
_MULTIPLE = 4  # Padded lengths are multiples of this.
_ROWS_MULTIPLE = 8  # Numbers of rows are multiples of this, the tile size of a TPU core.


class Position(NamedTuple):
  """A position in the stream: that of the next batch."""

  epoch: int = 0
  batch: int = 0  # Index within the epoch.


_START = Position()


def bucket_lengths(histogram: dict[int, int], count: int) -> list[int]:
  """Chooses the padded lengths that need the fewest padding positions.

  Each pair is padded to the least chosen length that it fits into. This is an exact dynamic programme over the
  multiples of 4 below the longest pair, and the length of the longest pair, in O(count * lengths^2).

  Args:
    histogram: dict, length -> number of pairs.
    count: largest number of lengths.

  Returns:
    Increasing list of at most `count` lengths; the last is the greatest of `histogram`.

  Raises:
    ValueError: if `count` is below 1 or `histogram` is empty.
  """
  if count < 1 or not histogram:
    raise ValueError("bucket_lengths needs count >= 1 and a histogram with lengths; "
                     f"got count={count} and {len(histogram)} lengths.")
  longest = max(histogram)
  # Candidates are lengths of pairs, rounded up: any other would only add padding compared with the next lower one.
  ends = [0, *sorted({min(-(-length // _MULTIPLE) * _MULTIPLE, longest) for length in histogram})]
  # pairs[j]: number of pairs of length up to ends[j]. The sum of their lengths is constant, so minimising the padding
  # is minimising the padded positions.
  pairs = [sum(n for length, n in histogram.items() if length <= end) for end in ends]
  # best[j]: (positions, chosen lengths) for all pairs up to ends[j], with at most k buckets after round k.
  best = [(0, ())] + [(float("inf"), ())] * (len(ends) - 1)
  for _ in range(min(count, len(ends) - 1)):
    best = [min([best[j]] + [(best[i][0] + ends[j] * (pairs[j] - pairs[i]), (*best[i][1], ends[j]))
                             for i in range(j)]) for j in range(len(ends))]
  return list(best[-1][1])


def rows(length: int, tokens_per_batch: int) -> int:
  """Returns the number of sentences of `length` in a batch: a multiple of 8, at least 8."""
  return max(_ROWS_MULTIPLE, tokens_per_batch // length // _ROWS_MULTIPLE * _ROWS_MULTIPLE)


def shapes(histogram: dict[int, int], train: Any) -> list[tuple[int, int]]:
  """Returns the shapes [(rows, length)] of the training batches, shortest first.

  Args:
    histogram: dict, length -> number of pairs.
    train: as for `training`.

  Raises:
    ValueError: if `train.max_length` leaves no pair.
  """
  lengths = bucket_lengths(_kept(histogram, train.max_length), train.buckets)
  return [(rows(length, train.tokens_per_batch), length) for length in lengths]


def padding_waste(folder: str, train: Any) -> float:
  """Returns the share of target positions that are PAD in an epoch, padding rows included.

  Computed from the manifest. Exact if no pair is left out; otherwise the target tokens are estimated by assuming the
  same ratio of target tokens to pair length as in all pairs.
  """
  split = corpus.read(folder).splits["train"]
  kept = _kept(split.lengths, train.max_length)
  lengths = bucket_lengths(kept, train.buckets)
  inside = _inside(lengths, kept)
  positions = 0
  for length, pairs in inside.items():
    count = rows(length, train.tokens_per_batch)
    positions += math.ceil(pairs / count) * count * length
  total = lambda histogram: sum(length * pairs for length, pairs in histogram.items())
  return 1 - split.target_tokens * total(kept) / total(split.lengths) / positions


def check(folder: str, train: Any, *, aligned: bool = False) -> None:
  """Checks that `training` can stream a data folder.

  Raises:
    ValueError: if `train.max_length` leaves no pair, or if `aligned` and the pairs have no fertilities.
  """
  _kept(corpus.read(folder).splits["train"].lengths, train.max_length)
  if aligned and not next(records.read(corpus.shards(folder, "train")[0])).fertility:
    raise ValueError(f"{folder} has no fertilities, which the model learns from; make a folder with them: "
                     f"python data_prep/align.py --data_dir={folder} --out=...")


def training(folder: str, train: Any, start: Position = _START, *, aligned: bool = False) -> tf.data.Dataset:
  """Streams the training pairs of a data folder, epoch after epoch, without end.

  Args:
    folder: a data folder.
    train: `config.Train`, of which `seed`, `tokens_per_batch`, `max_length` and `buckets` are used.
    start: `Position` of the first batch; from there on, batches equal those of a stream from the beginning.
    aligned: whether batches are `types.Aligned`, for a folder made by data_prep/align.py.

  Returns:
    Dataset of (epoch int64 [], index of the batch within the epoch int64 [], `types.Batch`), with src and tgt int32
    [rows(L), L] for the padded length L of its bucket. An epoch has each pair once; padding rows fill up the last
    batch of a bucket.

  Raises:
    ValueError: as `check`.
  """
  check(folder, train, aligned=aligned)
  split = corpus.read(folder).splits["train"]
  kept = _kept(split.lengths, train.max_length)
  if left_out := split.pairs - sum(kept.values()):
    logging.info("%d of %d pairs are longer than %d tokens and left out.", left_out, split.pairs, train.max_length)
  paths = corpus.shards(folder, "train")
  batched = _batching(bucket_lengths(kept, train.buckets), train.tokens_per_batch, aligned)

  def epoch_of(epoch):
    done = tf.where(epoch == start.epoch, tf.cast(start.batch, tf.int64), 0)
    batches = batched(_shuffled(paths, train.seed, epoch, min(split.pairs, _SHUFFLED)))
    return batches.enumerate().skip(done).map(lambda batch, value: (epoch, batch, value))

  dataset = tf.data.Dataset.counter(start.epoch).flat_map(epoch_of).prefetch(_AHEAD)
  options = tf.data.Options()
  options.deterministic = True
  # Its thread sleeps for up to a minute, which a program that is told to stop would wait for. AUTOTUNE is then as many
  # calls as there are cores.
  options.autotune.enabled = False
  return dataset.with_options(options)


def _kept(lengths, max_length):
  kept = {length: pairs for length, pairs in lengths.items() if length <= max_length}
  if not kept:
    raise ValueError(f"train.max_length={max_length} leaves no training pair; "
                     f"the shortest has {min(lengths)} tokens. Raise it.")
  return kept


def _inside(lengths, histogram):
  """Returns dict, padded length -> number of pairs of `histogram` that are padded to it."""
  inside = dict.fromkeys(lengths, 0)
  for length, pairs in histogram.items():
    inside[min(end for end in lengths if end >= length)] += pairs
  return inside


def _shuffled(paths, seed, epoch, size):
  """Returns the serialized records of one epoch: shards in random order, then records within a bounded buffer."""
  # Dataset.shuffle combines its own seed with the global one. This sets the global seed of the function that is being
  # traced, and no other, so that the order depends on the arguments only.
  tf.random.set_seed(1)
  key = tf.random.experimental.stateless_fold_in(tf.constant([seed, 0], tf.int64), epoch, alg="philox")  # [2]
  order = tf.random.experimental.stateless_shuffle(tf.constant(paths), key, alg="philox")
  draw = tf.random.stateless_uniform([], key, maxval=tf.int64.max, dtype=tf.int64, alg="philox")
  files = tf.data.Dataset.from_tensor_slices(order)
  lines = files.interleave(tf.data.TFRecordDataset, min(len(paths), _READ_AT_ONCE), block_length=16,
                           num_parallel_calls=tf.data.AUTOTUNE, deterministic=True)
  return lines.shuffle(size, seed=draw, reshuffle_each_iteration=False)


def _batching(lengths, tokens_per_batch, aligned):
  """Returns a function from serialized records to padded batches; it leaves out pairs beyond the longest length."""
  ends = tf.constant(lengths, tf.int64)
  counts = tf.constant([rows(length, tokens_per_batch) for length in lengths], tf.int64)

  def assign(serialized):  # string [P] -> int64 [P], index of the bucket; one past the last if the pair is too long.
    src, tgt, _ = records.parse_batch(serialized)
    longer = tf.maximum(src.row_lengths(), tgt.row_lengths())
    return serialized, tf.searchsorted(ends, longer, out_type=tf.int64)

  def pad(serialized, bucket):
    src, tgt, weight = records.parse_batch(serialized)
    count, length = counts[bucket[0]], ends[bucket[0]]
    filled = lambda tokens: tokens.to_tensor(types.PAD, shape=[count, length])
    batch = types.Batch(filled(src), filled(tgt), tf.pad(weight, [[0, count - tf.size(weight, tf.int64)]]))
    return types.Aligned(*batch, filled(records.parse_fertility(serialized))) if aligned else batch

  def batched(serialized):
    # Records stay serialized and are parsed twice, many at a time, which is faster than one by one.
    placed = serialized.batch(_PARSED_TOGETHER).map(assign, tf.data.AUTOTUNE).unbatch()
    return placed.filter(lambda _, bucket: bucket < len(lengths)).group_by_window(
        key_func=lambda _, bucket: bucket,
        reduce_func=lambda bucket, window: window.batch(counts[bucket]),
        window_size_func=lambda bucket: counts[bucket],
    ).map(pad, tf.data.AUTOTUNE)

  return batched
