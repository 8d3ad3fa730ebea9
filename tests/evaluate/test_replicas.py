"""Several devices give the results of one to the bit, whatever the shapes of the batches."""
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import models
from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.evaluate import cost
from tf_nar.evaluate import replicas

EOS = types.EOS
OPTIONS = dict(tokens_per_batch=40, longest=12)


def sentences(count, seed):
  draw = np.random.default_rng(seed)
  return [[*draw.integers(5, 20, draw.integers(1, 8)).tolist(), EOS] for _ in range(count)]


SOURCES = [*sentences(25, 0), [EOS]]
PAIRS = list(zip(sentences(23, 1), sentences(23, 2), strict=True))


def results(name):
  """Translations, scores, mean terms, and what the meter counts of a tiny model made in the present scope."""
  model = families.build(name)
  search = cost.Meter(corpus.searcher(model, families.TINY[name].search))
  assert search.devices.count == replicas.devices(corpus.scorer(model)).count
  said = corpus.translate(search, SOURCES, **OPTIONS)
  scores = corpus.score(corpus.scorer(model), PAIRS, **OPTIONS)
  return said, scores.tolist(), corpus.mean_terms(corpus.terms(model), PAIRS, **OPTIONS), search.calls, search.passes


@pytest.mark.parametrize("name", [
  name if name == "ar" else pytest.param(name, marks=pytest.mark.slow) for name in sorted(models.FAMILIES)])
def test_two_devices_are_one(two, name):
  alone = results(name)
  with two.scope():
    assert results(name) == alone


def test_a_group_for_each_device(two):
  shapes = []
  note = lambda src: tf.py_function(lambda x: shapes.append(tuple(x.shape)) or x, [src], tf.int32)
  with two.scope():
    double = replicas.spread(lambda src: 2 * tf.ensure_shape(note(src), [None, None]),
                             [tf.TensorSpec([None, None], tf.int32)])
  batches = [(np.full(shape, number, np.int32),) for number, shape in enumerate([(1, 4), (2, 3), (3, 2)])]
  found = list(replicas.each(double, iter(batches)))
  for (batch,), made in zip(batches, found, strict=True):
    np.testing.assert_array_equal(made, 2 * batch)
  assert sorted(shapes) == [(1, 4), (2, 3), (3, 2)]
  np.testing.assert_array_equal(double(batches[1][0]), 2 * batches[1][0])


class Alike:
  """A search for `count` devices that need one shape; returns its sources."""

  def __init__(self, count):
    self.devices, self.waves = replicas.Devices(count, alike=True), []

  def together(self, batches):
    self.waves.append([batch[0].shape for batch in batches])
    return [types.Translation(src[:, None], np.zeros([len(src), 1]), 1) for src, in batches]


@pytest.mark.parametrize("count", [3, 57, 200])
def test_a_tpu_gets_equal_shapes(count):
  search, sources = Alike(4), sentences(count, 3)
  found = corpus.translate(search, sources, tokens_per_batch=64, longest=12)
  assert [[best.tokens for best in each] for each in found] == [[source] for source in sources]
  assert all(len(set(wave)) == 1 for wave in search.waves)
  assert [len(wave) for wave in search.waves[:-1]] == [4] * (len(search.waves) - 1)
  assert {rows * length <= 64 for wave in search.waves for rows, length in wave} == {True}
  last = search.waves[-1][0][0]
  assert last & (last - 1) == 0 or last == 64 // search.waves[-1][0][1]


def test_a_replica_that_is_known_only_when_it_runs(two, monkeypatch):
  # As in the one program of all cores of a TPU.
  monkeypatch.setattr(replicas.tf, "get_static_value", lambda tensor: None)
  monkeypatch.setattr(replicas, "_devices", lambda strategy: replicas.Devices(2, alike=True))
  with two.scope():
    total = replicas.spread(lambda src, tgt: {"sum": (tf.reduce_sum(src, 1), tgt)},
                            [tf.TensorSpec([2, 3], tf.int32)] * 2)
  batches = [(np.full([2, 3], n, np.int32), np.full([2, 3], -n, np.int32)) for n in range(3)]
  for n, made in enumerate(replicas.each(total, batches)):
    np.testing.assert_array_equal(made["sum"][0], [3 * n] * 2)
    np.testing.assert_array_equal(made["sum"][1], batches[n][1])
  np.testing.assert_array_equal(total(*batches[1])["sum"][0], [3, 3])
