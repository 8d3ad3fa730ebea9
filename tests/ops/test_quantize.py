"""Assignments and codebooks by hand, on average over seeds, and by finite differences."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.ops import quantize

DRAW = np.random.default_rng(0)
X = tf.constant(DRAW.normal(size=(4, 2, 3)), tf.float32)  # [R, G, d]
CODEBOOK = tf.constant(DRAW.normal(size=(2, 5, 3)), tf.float32)  # [G, K, d]


def test_distances_and_the_nearest():
  expected = ((X.numpy()[:, :, None] - CODEBOOK.numpy()[None]) ** 2).sum(-1)
  found = quantize.distances(X, CODEBOOK)
  np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(quantize.nearest(found)[..., 0], expected.argmin(-1))
  chosen = quantize.look_up(CODEBOOK, quantize.nearest(found))
  np.testing.assert_allclose(((X - chosen[:, :, 0])**2).numpy().sum(-1), expected.min(-1), rtol=1e-4)


def test_votes_and_the_average_by_hand():
  # One slice of two codes; the third vector is padding and votes for nothing.
  x = tf.constant([[[1.0]], [[3.0]], [[100.0]], [[4.0]]])
  codes = tf.constant([[[0]], [[0]], [[0]], [[1]]])
  new = quantize.votes(codes, x, tf.constant([1.0, 1.0, 0.0, 1.0]), 2)
  np.testing.assert_allclose(new.counts, [[2.0, 1.0]])
  np.testing.assert_allclose(new.sums, [[[4.0], [4.0]]])
  old = quantize.Votes(tf.constant([[1.0, 1.0]]), tf.constant([[[10.0], [20.0]]]))
  book = quantize.averaged(old, new, 0.9)
  np.testing.assert_allclose(book.counts, [[1.1, 1.0]], rtol=1e-6)
  np.testing.assert_allclose(quantize.vectors(book), [[[9.4 / 1.1], [18.4]]], rtol=1e-6)


def test_a_code_without_votes_keeps_its_vector():
  book = quantize.Votes(tf.fill([2, 5], 1e-29), 1e-29 * CODEBOOK)
  none = quantize.Votes(tf.zeros([2, 5]), tf.zeros([2, 5, 3]))
  for _ in range(40):
    book = quantize.averaged(book, none, 0.5)
  np.testing.assert_allclose(quantize.vectors(book), CODEBOOK, rtol=1e-4)
  np.testing.assert_allclose(book.counts, 1e-30, rtol=1e-4)


def test_samples_share_a_vote():
  new = quantize.votes(tf.constant([[[0, 0, 1, 0]]]), tf.constant([[[8.0]]]), tf.ones([1]), 3)
  np.testing.assert_allclose(new.counts, [[0.75, 0.25, 0.0]])
  np.testing.assert_allclose(new.sums, [[[6.0], [2.0], [0.0]]])


def test_votes_of_samples_are_the_softmax_on_average():
  logits = -quantize.distances(X, CODEBOOK)
  draw = tf.function(lambda seed: quantize.votes(quantize.draw(seed, logits, 50), X, tf.ones([4]), 5), autograph=False)
  found = [draw(tf.constant([0, n])) for n in range(200)]
  expected = tf.nn.softmax(logits).numpy()  # [R, G, K]
  np.testing.assert_allclose(np.mean([one.counts for one in found], 0), expected.sum(0), atol=0.02)
  sums = np.einsum("rgk,rgd->gkd", expected, X.numpy())
  np.testing.assert_allclose(np.mean([one.sums for one in found], 0), sums, atol=0.03)


def test_far_codes_are_never_drawn():
  logits = -quantize.distances(30 * X, 30 * CODEBOOK)
  drawn = quantize.draw([3, 4], logits, 20).numpy()
  assert (drawn == logits.numpy().argmax(-1)[..., None]).all()


def test_draws_are_a_function_of_the_seed():
  logits = -quantize.distances(X, CODEBOOK)
  one, same, other = (quantize.draw(seed, logits, 9).numpy() for seed in ([1, 2], [1, 2], [1, 3]))
  assert (one == same).all() and (one != other).any()
  compiled = tf.function(lambda: quantize.draw([1, 2], logits, 9), jit_compile=True, autograph=False)
  np.testing.assert_array_equal(compiled(), one)


def test_a_dead_code_takes_half_of_the_most_used_one():
  counts = tf.constant([[0.01, 6.0, 0.02, 8.0, 2.0]])
  vectors = tf.constant([[[0.0], [1.0], [2.0], [3.0], [4.0]]])
  book, count = quantize.split(quantize.Votes(counts, counts[..., None] * vectors), 0.1, tf.constant(0.0), [0, 0])
  assert float(count) == 2
  np.testing.assert_allclose(book.counts, [[4.0, 3.0, 3.0, 4.0, 2.0]], rtol=1e-6)
  np.testing.assert_allclose(quantize.vectors(book)[0, :, 0], [3.0, 1.0, 1.0, 3.0, 4.0], rtol=1e-6)
  noisy, _ = quantize.split(quantize.Votes(counts, counts[..., None] * vectors), 0.1, tf.constant(0.5), [0, 0])
  moved = quantize.vectors(noisy)[0, :, 0] - [3.0, 1.0, 1.0, 3.0, 4.0]
  np.testing.assert_allclose(moved.numpy()[[1, 3, 4]], 0.0, atol=1e-6)
  assert (np.abs(moved.numpy()[[0, 2]]) > 1e-3).all()


@pytest.mark.parametrize("counts", [[1.0, 1.0, 1.0], [0.0, 0.0, 0.15], [0.0, 0.0, 0.0]])
def test_without_a_code_to_halve_nothing_is_replaced(counts):
  old = quantize.Votes(tf.constant([counts]), tf.zeros([1, 3, 2]))
  book, count = quantize.split(old, 0.1, tf.constant(1.0), [0, 0])
  assert not count
  np.testing.assert_array_equal(book.counts, old.counts)


def test_perplexity():
  assert float(quantize.perplexity(tf.constant([[2.0, 2.0, 0.0, 0.0]]))) == pytest.approx(2)
  assert float(quantize.perplexity(tf.constant([[1.0, 1.0], [3.0, 3.0]]))) == pytest.approx(4)


@pytest.mark.parametrize("base, count", [(2, 5), (4, 3), (1, 2)])
def test_digits_and_numbers(base, count):
  numbers = tf.range(base**count)
  found = quantize.digits(numbers, base, count)
  assert found.shape[-1] == count
  np.testing.assert_array_equal(quantize.number(found, base), numbers)
  if base > 1:
    assert found[1].numpy().tolist() == [1] + [0] * (count - 1)  # The least significant first.


def slopes(function, at, by=1e-3):
  """The derivative of a scalar function by central differences."""
  found = np.zeros(at.shape)
  for index in np.ndindex(*at.shape):
    step = np.zeros(at.shape, np.float32)
    step[index] = by
    found[index] = (function(at + step) - function(at - step)) / (2 * by)
  return found


def test_a_straight_gradient_is_that_of_the_loss_at_the_code():
  weights = tf.constant(DRAW.normal(size=(3,)), tf.float32)
  loss = lambda z: tf.reduce_sum(tf.sin(z * weights) ** 2)
  x, code = tf.constant([0.3, -1.0, 2.0]), tf.constant([0.5, -0.5, 1.5])
  with tf.GradientTape() as tape:
    tape.watch(x)
    value = loss(quantize.straight_through(code, x))
  assert float(value) == pytest.approx(float(loss(code)), rel=1e-5)
  surrogate = lambda at: float(loss(code + at - x))  # The code moves as its vector does.
  np.testing.assert_allclose(tape.gradient(value, x), slopes(surrogate, x.numpy()), atol=2e-3)


def test_bits_have_the_gradient_of_the_saturating_sigmoid():
  logits = tf.constant([-4.0, -1.0, 0.2, 1.5, 4.0])
  with tf.GradientTape() as tape:
    tape.watch(logits)
    soft = quantize.saturating(logits)
    bits = quantize.straight_through(tf.cast(soft > 0.5, tf.float32), soft)
    value = tf.reduce_sum(bits * [1.0, 2.0, 3.0, 4.0, 5.0])
  np.testing.assert_allclose(bits, [0, 0, 1, 1, 1], atol=1e-6)
  surrogate = lambda at: float(tf.reduce_sum(quantize.saturating(at) * [1.0, 2.0, 3.0, 4.0, 5.0]))
  gradient = tape.gradient(value, logits)
  np.testing.assert_allclose(gradient, slopes(surrogate, logits.numpy()), atol=2e-3)
  assert gradient[0] == gradient[-1] == 0  # Saturated.


def test_gumbel_noise_is_finite_and_has_its_mean():
  found = quantize.gumbel([100_000], [0, 1]).numpy()
  assert np.isfinite(found).all() and found.mean() == pytest.approx(np.euler_gamma, abs=0.02)
