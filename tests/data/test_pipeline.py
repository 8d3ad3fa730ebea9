import collections
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.data import folders
from tf_nar import config
from tf_nar import types
from tf_nar.data import pipeline

PAIRS = folders.random_pairs(300)
BEGIN = pipeline.Position()
TRAIN = config.Train(tokens_per_batch=256, buckets=3, seed=5)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  return folders.make(tmp_path_factory.mktemp("pipeline") / "data", PAIRS)


def take(folder, count, train=TRAIN, start=BEGIN):
  found = []
  for epoch, batch, value in pipeline.training(folder, train, start).take(count):
    found.append((pipeline.Position(int(epoch), int(batch)), *(field.numpy() for field in value)))
  return found


def epochs(folder, count, train=TRAIN):
  """Returns the batches of the first epochs, a list each."""
  stream = itertools.takewhile(lambda one: int(one[0]) < count, pipeline.training(folder, train))
  batches = [[] for _ in range(count)]
  for epoch, _, value in stream:
    batches[int(epoch)].append(value)
  return batches


def sentences(batches):
  """Returns the pairs of batches as tuples of ids, in order."""
  found = []
  for batch in batches:
    for src, tgt, weight in zip(*(field.numpy().tolist() for field in batch), strict=True):
      if weight:
        found.append((tuple(i for i in src if i != types.PAD), tuple(i for i in tgt if i != types.PAD)))
      else:
        assert not any(src) and not any(tgt)
  return found


def assert_equal(some, others):
  assert [one[0] for one in some] == [one[0] for one in others]
  for one, other in zip(some, others, strict=True):
    for a, b in zip(one[1:], other[1:], strict=True):
      np.testing.assert_array_equal(a, b)


def cost(lengths, histogram):
  return sum(pairs * min(end for end in lengths if end >= length) for length, pairs in histogram.items())


@pytest.mark.parametrize("seed", range(8))
def test_bucket_lengths_waste_the_least(seed):
  draw = np.random.default_rng(seed)
  lengths = draw.choice(np.arange(1, 35), 9, replace=False).tolist()
  histogram = {length: int(draw.integers(1, 50)) for length in lengths}
  longest = max(histogram)
  candidates = [*range(4, longest, 4), longest]
  for count in (1, 2, 3, 5):
    chosen = pipeline.bucket_lengths(histogram, count)
    possible = [[*few, longest] for size in range(count)
                for few in itertools.combinations(candidates[:-1], size)]
    assert cost(chosen, histogram) == min(cost(lengths, histogram) for lengths in possible)
    assert chosen == sorted(set(chosen)) and set(chosen) <= set(candidates) and len(chosen) <= count


def test_no_bucket_is_empty():
  assert pipeline.bucket_lengths({5: 3}, 4) == [5]
  assert pipeline.bucket_lengths({3: 1, 17: 9, 18: 1}, 9) == [4, 18]


@pytest.mark.parametrize("length, expected", [(32, 32), (30, 32), (60, 16), (500, 8)])
def test_rows_come_in_eights(length, expected):
  assert pipeline.rows(length, 1024) == expected


def test_every_pair_comes_once_an_epoch(folder):
  expected = collections.Counter((tuple(pair.src), tuple(pair.tgt)) for pair in PAIRS)
  orders = [sentences(batches) for batches in epochs(folder, 2)]
  assert [collections.Counter(order) for order in orders] == [expected, expected]
  assert orders[0] != orders[1]


def test_shapes_are_those_of_the_buckets(folder):
  lengths = pipeline.bucket_lengths(collections.Counter(max(len(p.src), len(p.tgt)) for p in PAIRS), 3)
  shapes = {(tuple(batch.src.shape), tuple(batch.tgt.shape)) for batch in epochs(folder, 1)[0]}
  assert shapes == {((pipeline.rows(length, 256), length),) * 2 for length in lengths}


def test_elements_are_batches(folder):
  epoch, batch, value = next(iter(pipeline.training(folder, TRAIN)))
  assert isinstance(value, types.Batch)
  assert [x.dtype for x in (epoch, batch, *value)] == [tf.int64, tf.int64, tf.int32, tf.int32, tf.float32]


def test_aligned_batches_have_the_fertilities_of_their_pairs(folder, tmp_path):
  aligned = folders.make(tmp_path / "data", folders.aligned(PAIRS))
  for (*_, plain), (*_, batch) in zip(pipeline.training(folder, TRAIN).take(5),
                                      pipeline.training(aligned, TRAIN, aligned=True).take(5), strict=True):
    assert isinstance(batch, types.Aligned) and batch.fertility.dtype == tf.int32
    for one, other in zip(plain, batch, strict=False):  # The same pairs in the same order.
      np.testing.assert_array_equal(one, other)
    lengths = np.count_nonzero(batch.tgt, 1)[:, None]
    np.testing.assert_array_equal(batch.fertility, np.where(batch.src == types.EOS, lengths, 0))


def test_weights_are_those_of_the_records(tmp_path):
  pairs = [pair._replace(weight=0.25) for pair in PAIRS[:5]]
  batches = epochs(folders.make(tmp_path / "data", pairs), 1)[0]
  assert sum(float(tf.reduce_sum(batch.weight)) for batch in batches) == 1.25


def test_the_stream_starts_anywhere(folder):
  count = len(epochs(folder, 1)[0])
  whole = take(folder, 2 * count + 3)
  for start in (1, count - 1, count, count + 2, 2 * count + 1):
    assert_equal(take(folder, len(whole) - start, start=whole[start][0]), whole[start:])
  # The position after the last batch of an epoch is the start of the next epoch.
  assert_equal(take(folder, 2, start=pipeline.Position(0, count)), whole[count:count + 2])


def test_the_order_depends_on_the_seed_and_on_nothing_else(folder):
  before = take(folder, 8)
  tf.random.set_seed(123)
  numbers = tf.random.uniform([4])
  tf.random.set_seed(123)
  assert_equal(take(folder, 8), before)
  np.testing.assert_array_equal(tf.random.uniform([4]), numbers)  # The program's own seeds are unchanged.
  other = take(folder, 8, config.Train(tokens_per_batch=256, buckets=3, seed=6))
  assert any(not np.array_equal(a[1], b[1]) for a, b in zip(before, other, strict=True))


def test_a_small_shuffle_buffer_still_gives_each_pair_once(folder, monkeypatch):
  monkeypatch.setattr(pipeline, "_SHUFFLED", 10)
  orders = [sentences(batches) for batches in epochs(folder, 2)]
  assert sorted(orders[0]) == sorted(orders[1]) and orders[0] != orders[1]


def test_long_pairs_are_left_out(folder):
  train = config.Train(tokens_per_batch=256, max_length=10)
  expected = [(tuple(p.src), tuple(p.tgt)) for p in PAIRS if max(len(p.src), len(p.tgt)) <= 10]
  assert sorted(sentences(epochs(folder, 1, train)[0])) == sorted(expected)


def test_padding_waste_is_what_the_stream_wastes(folder):
  targets = np.concatenate([batch.tgt.numpy().ravel() for batch in epochs(folder, 1)[0]])
  assert pipeline.padding_waste(folder, TRAIN) == pytest.approx(np.mean(targets == types.PAD))


def test_refusals(folder, tmp_path):
  with pytest.raises(ValueError, match="count >= 1 and a histogram with lengths; got count=0 and 1 lengths"):
    pipeline.bucket_lengths({3: 1}, 0)
  with pytest.raises(ValueError, match="got count=2 and 0 lengths"):
    pipeline.bucket_lengths({}, 2)
  with pytest.raises(ValueError, match="train.max_length=1 leaves no training pair; the shortest has"):
    pipeline.training(folders.make(tmp_path / "long", [PAIRS[0]]), config.Train(max_length=1))
  with pytest.raises(ValueError, match="data has no fertilities.*: python data_prep/align.py --data_dir=.*/data --out"):
    pipeline.training(folder, TRAIN, aligned=True)
