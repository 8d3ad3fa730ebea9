"""Divergences and cross-entropies of several streams against those of the whole distributions."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.losses import divergence

STREAMS, ROWS, POSITIONS, WIDTH, WORDS = 3, 2, 5, 6, 11
LABELS = tf.constant([[1, 2, 2, 0, 4], [10, 3, 0, 0, 7]], tf.int32)
PAIRS = (0, 1), (2, 1), (0, 2)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", 4 * divergence.STREAMS)  # Of ten positions the last chunk has two.


def parts(dtype=tf.float32):
  draw = np.random.default_rng(0)
  normal = lambda *shape: draw.normal(size=shape).astype(np.float32)
  states, table, bias = normal(STREAMS, ROWS, POSITIONS, WIDTH), normal(WORDS, WIDTH), normal(WORDS)
  return tf.cast(states, dtype), tf.constant(table), tf.constant(bias)


def plain(states, table, bias, pairs=PAIRS):
  """The definitions, from all logits."""
  log_p = tf.nn.log_softmax(tf.einsum("kbtd,vd->kbtv", tf.cast(states, tf.float32), table) + bias)
  kl = lambda j, k: tf.reduce_sum(tf.exp(log_p[j]) * (log_p[j] - log_p[k]), -1)
  nats = -tf.gather(log_p, tf.tile(LABELS[None], [STREAMS, 1, 1]), batch_dims=3)
  apart = [(kl(j, k) + kl(k, j)) / 2 for j, k in pairs]
  return divergence.Compared(nats, -tf.reduce_mean(log_p, -1), tf.stack(apart))


def ours(states, table, bias, pairs=PAIRS):
  return divergence.compare(states, table, bias, LABELS, pairs)


def weighted(found):
  """A scalar in which every number of a `Compared` has another weight."""
  waves = lambda x, n: tf.math.sin(n + tf.range(tf.cast(tf.size(x), tf.float32)))
  weigh = lambda x, n: tf.reduce_sum(x * tf.reshape(waves(x, n), tf.shape(x)))
  return tf.add_n([weigh(x, float(n)) for n, x in enumerate(found)])


def gradients(function, learned):
  with tf.GradientTape() as tape:
    tape.watch(learned)
    value = weighted(function(*learned))
  return [tf.convert_to_tensor(g) for g in tape.gradient(value, learned)]


@pytest.mark.parametrize("pairs", [PAIRS, ((0, 1),)])
def test_values_and_gradients_are_those_of_all_words(pairs):
  function, by_definition = (lambda *learned, f=f: f(*learned, pairs=pairs) for f in (ours, plain))
  for mine, theirs in zip(tf.function(function, autograph=False)(*parts()), by_definition(*parts()), strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
  for mine, theirs in zip(gradients(function, parts()), gradients(by_definition, parts()), strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("where", [[[0, 1, 1, 0, 0], [1, 0, 0, 1, 1]], [[0] * 5, [0, 0, 1, 0, 0]], [[0] * 5] * 2])
def test_other_positions_are_left_out(where):
  where = tf.cast(where, tf.bool)
  some = lambda *learned: divergence.compare(*learned, LABELS, PAIRS, where)
  zeroed = lambda *learned: divergence.Compared(*(tf.where(where, x, 0.0) for x in plain(*learned)))
  for function in (some, tf.function(some, autograph=False), tf.function(some, jit_compile=True, autograph=False)):
    for mine, theirs in zip(function(*parts()), zeroed(*parts()), strict=True):
      np.testing.assert_allclose(mine, theirs, rtol=1e-5, atol=1e-5)
    for mine, theirs in zip(gradients(function, parts()), gradients(zeroed, parts()), strict=True):
      np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-4)


def test_gradient_is_that_of_finite_differences():
  learned, step = parts(), 1e-2
  found = gradients(ours, learned)
  for which, at in ((0, (0, 1, 3, 2)), (0, (1, 0, 0, 0)), (0, (2, 1, 4, 5)), (1, (10, 3)), (2, (0,))):
    def moved(by, which=which, at=at):
      return weighted(ours(*(tf.tensor_scatter_nd_add(x, [at], [by]) if n == which else x
                             for n, x in enumerate(learned))))
    np.testing.assert_allclose((moved(step) - moved(-step)) / (2 * step), found[which][at], rtol=2e-3, atol=2e-3)


def test_equal_streams_do_not_diverge():
  states, table, bias = parts()
  found = divergence.compare(tf.tile(states[:1], [3, 1, 1, 1]), table, bias, LABELS, PAIRS)
  assert not np.any(found.divergence)
  assert (ours(*parts()).divergence.numpy() > 0).all()


def test_smoothed_cross_entropy_is_that_of_the_other_module():
  states, table, bias = parts()
  found = tf.reduce_sum(ours(*parts()).cross_entropy(0.1)[1])
  np.testing.assert_allclose(
    found, cross_entropy.tied_cross_entropy(states[1], table, bias, LABELS, tf.ones(LABELS.shape), 0.1), rtol=1e-5)


def test_bfloat16_is_close():
  half, whole = (tf.function(ours, autograph=False)(*parts(dtype)) for dtype in (tf.bfloat16, tf.float32))
  for mine, theirs in zip(half, whole, strict=True):
    assert mine.dtype == tf.float32
    np.testing.assert_allclose(mine, theirs, rtol=0.1, atol=0.1)
  assert gradients(ours, parts(tf.bfloat16))[0].dtype == tf.bfloat16


def test_xla_computes_the_same():
  compiled = tf.function(lambda *learned: gradients(ours, learned), jit_compile=True, autograph=False)(*parts())
  for mine, theirs in zip(compiled, gradients(ours, parts()), strict=True):
    np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("pair", [(0, 3), (1, 1)])
def test_refuses_pairs_of_no_two_streams(pair):
  with pytest.raises(ValueError, match="pairs of two of the streams 0 to 2; got"):
    divergence.compare(*parts(), LABELS, [pair])
