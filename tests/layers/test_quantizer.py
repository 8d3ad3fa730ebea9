"""Bottlenecks: no vote of padding, codes of a batch and one by one, state by sums, and refused settings."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.layers import quantizer
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import quantize
from tf_nar.ops import schedule

DRAW = np.random.default_rng(1)
X = tf.constant(DRAW.normal(size=(3, 4, 8)), tf.float32)  # [B, M, D]
VOTERS = tf.cast(tf.sequence_mask([4, 2, 0], 4), tf.float32)
KINDS = {
  "hard": dict(codes=16), "soft": dict(codes=16, samples=6), "slices": dict(codes=16, slices=2, samples=3),
  "hash": dict(kind="hash", codes=16),
  "gumbel": dict(kind="gumbel", codes=16, temperature=schedule.Linear(1.0, 0.5, 10))}
EVERY = pytest.mark.parametrize("kind", sorted(KINDS))


def build(**settings):
  keras.utils.set_random_seed(0)
  return quantizer.build(quantizer.Config(**settings), 8)


@EVERY
def test_embedded_codes_are_what_is_looked_up(kind):
  bottleneck = build(**KINDS[kind])
  found = bottleneck(X, VOTERS)
  assert found.labels.shape == (3, 4, 1) and found.embedded.shape == (3, 4, 8)
  assert 0 <= found.labels.numpy().min() and found.labels.numpy().max() < 16
  np.testing.assert_allclose(found.embedded, bottleneck.embed(found.labels[..., 0]), rtol=1e-4, atol=1e-5)


@EVERY
def test_codes_of_a_batch_are_those_of_each_vector_alone(kind):
  bottleneck = build(**KINDS[kind])
  together = bottleneck(X, VOTERS).labels.numpy()
  for row in range(3):
    for at in range(4):
      alone = bottleneck(X[row:row + 1, at:at + 1], tf.ones([1, 1])).labels.numpy()
      np.testing.assert_array_equal(alone[0, 0], together[row, at])


@EVERY
def test_padding_has_no_vote(kind):
  bottleneck = build(**KINDS[kind])
  other = tf.where(VOTERS[..., None] > 0, X, 7.0 - X)
  one, same = (bottleneck(x, VOTERS, seed=[1, 2]) for x in (X, other))
  for name, value in one.statistics.items():
    np.testing.assert_allclose(value, same.statistics[name], rtol=1e-6, err_msg=name)
  slices = bottleneck.counts.shape[0]
  np.testing.assert_allclose(one.statistics["counts"].numpy().sum(1), [6.0] * slices, rtol=1e-5)


@EVERY
def test_noise_is_a_function_of_the_seed(kind):
  bottleneck = build(**KINDS[kind])
  one, same, other = (bottleneck(X, VOTERS, seed=seed).embedded.numpy() for seed in ([1, 2], [1, 2], [1, 3]))
  np.testing.assert_array_equal(one, same)
  assert kind == "hard" or (one != other).any()


@EVERY
def test_every_weight_and_the_vectors_have_a_gradient(kind):
  bottleneck = build(**KINDS[kind])
  with tf.GradientTape() as tape:
    tape.watch(X)
    found = bottleneck(X, VOTERS, seed=[1, 2])
    loss = tf.reduce_sum(found.embedded**2) + tf.reduce_sum(found.distance)
  for gradient in tape.gradient(loss, [X, *(v.value for v in bottleneck.trainable_variables)]):
    assert np.isfinite(tf.convert_to_tensor(gradient)).all()
  assert bool(bottleneck.trainable_variables) == (kind in ("hash", "gumbel"))


def test_the_labels_of_soft_em_are_its_samples():
  found = build(codes=16, samples=6)(X, VOTERS, seed=[1, 2])
  assert found.labels.shape == (3, 4, 6)
  bottleneck = build(codes=16, samples=6)
  mean = tf.reduce_mean(tf.stack([bottleneck.embed(found.labels[..., n]) for n in range(6)]), 0)
  np.testing.assert_allclose(found.embedded, mean, rtol=1e-4, atol=1e-5)


def test_commitment_pulls_a_vector_to_its_code():
  bottleneck = build(codes=16)
  with tf.GradientTape() as tape:
    tape.watch(X)
    found = bottleneck(X, VOTERS)
    loss = tf.reduce_sum(found.distance)
  code = bottleneck.embed(found.labels[..., 0])
  np.testing.assert_allclose(found.distance, tf.reduce_mean((X - code)**2, -1), rtol=1e-4)
  np.testing.assert_allclose(tape.gradient(loss, X), 2 * (X - code) / 8, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("slices", [1, 2])
def test_the_codebook_follows_the_sums_of_all_parts(slices):
  whole, parts = (build(codes=16, slices=slices, decay=0.5, restart=0.01) for _ in range(2))
  statistics = whole(X, VOTERS).statistics
  before = whole.codebook.numpy()
  whole.absorb(statistics)
  each = [parts(X[row:row + 1], VOTERS[row:row + 1]).statistics for row in range(3)]
  parts.absorb({name: tf.add_n([one[name] for one in each]) for name in each[0]})
  np.testing.assert_allclose(parts.codebook, whole.codebook, rtol=1e-5, atol=1e-6)
  np.testing.assert_allclose(parts.counts, whole.counts, rtol=1e-5)
  assert int(whole.updates) == 1
  # By hand: a code keeps half of its count of 1 and its sum, and gains half of its new votes.
  counts, sums = statistics["counts"].numpy(), statistics["sums"].numpy()
  expected = (0.5 * before + 0.5 * sums) / (0.5 + 0.5 * counts)[..., None]
  np.testing.assert_allclose(whole.codebook, expected, rtol=1e-5, atol=1e-6)


def test_unused_codes_stay_where_they_are():
  # The trap of the original program: counts that start at 0 make them thousands of times too long.
  bottleneck = build(codes=16)
  before = bottleneck.codebook.numpy()
  for _ in range(50):
    bottleneck.absorb(bottleneck(X[:, :1], VOTERS[:, :1]).statistics)
  unused = np.setdiff1d(range(16), bottleneck(X[:, :1], VOTERS[:, :1]).labels.numpy())
  np.testing.assert_allclose(bottleneck.codebook.numpy()[0, unused], before[0, unused], rtol=1e-3)
  assert 1 < float(bottleneck.use()["perplexity"]) <= 16
  assert float(bottleneck.use()["unused"]) == np.count_nonzero(bottleneck.counts < 0.1)


@pytest.mark.parametrize("kind", ["hash", "gumbel"])
def test_noise_makes_no_code_look_used(kind):
  bottleneck = build(**KINDS[kind], decay=0.0)
  bottleneck.logits.kernel.assign(tf.zeros_like(bottleneck.logits.kernel))
  bottleneck.logits.bias.assign(1e-3 * tf.range(1.0, bottleneck.logits.bias.shape[0] + 1))
  found = bottleneck(X, VOTERS, seed=[1, 2])
  assert len(np.unique(found.labels)) > 2  # What the noise makes of equal vectors,
  bottleneck.absorb(found.statistics)
  assert float(bottleneck.use()["perplexity"]) == pytest.approx(1)  # though they have a single code.


def test_the_gradient_of_semantic_hashing_is_that_of_its_surrogate():
  bottleneck, weight = build(**KINDS["hash"]), tf.constant(DRAW.normal(size=(3, 4, 8)), tf.float32)
  noise = noise_lib.normal([3, 4, 4], noise_lib.stream(tf.constant([1, 2]), quantizer._DRAW))

  def surrogate(x):
    return tf.reduce_sum(weight * bottleneck.vectors(quantize.saturating(bottleneck.logits(x) + noise)))

  with tf.GradientTape() as tape:
    tape.watch(X)
    value = tf.reduce_sum(weight * bottleneck(X, VOTERS, seed=[1, 2]).embedded)
  gradient, direction = tape.gradient(value, X), tf.constant(DRAW.normal(size=X.shape), tf.float32)
  slope = (surrogate(X + 1e-3 * direction) - surrogate(X - 1e-3 * direction)) / 2e-3
  np.testing.assert_allclose(tf.reduce_sum(gradient * direction), slope, rtol=0.01, atol=0.02)


@pytest.mark.parametrize("step, temperature", [(0, 1.0), (5, 0.75), (20, 0.5)])
def test_gumbel_softmax_mixes_codes_by_its_temperature(step, temperature):
  bottleneck = build(**KINDS["gumbel"])
  noise = quantize.gumbel([3, 4, 16], noise_lib.stream(tf.constant([1, 2]), quantizer._DRAW))
  found = bottleneck(X, VOTERS, seed=[1, 2], step=step)
  logits = bottleneck.logits(X) + noise
  mixed = tf.einsum("bmk,kd->bmd", tf.nn.softmax(logits / temperature), bottleneck.vectors)
  np.testing.assert_allclose(found.embedded, mixed, rtol=1e-4, atol=1e-5)
  np.testing.assert_array_equal(found.labels[..., 0], tf.argmax(logits, -1))


def test_a_dead_code_is_restarted_and_counted():
  bottleneck = build(codes=4, decay=0.0, restart=0.5)
  bottleneck.sums.assign(tf.constant([0.0, 1e3, 2e3, 3e3])[None, :, None] + tf.zeros_like(bottleneck.sums))
  bottleneck.absorb(bottleneck(X, VOTERS).statistics)  # All vectors vote for the first, the only one to be halved.
  assert {name: float(value) for name, value in bottleneck.use().items()} == {
    "perplexity": pytest.approx(2), "restarted": 1}
  bottleneck.absorb(bottleneck(X[:, :1], VOTERS[:, :1]).statistics | {"counts": tf.ones([1, 4])})
  assert not bottleneck.use()["restarted"]  # Of the last update.


def test_the_first_batch_initialises_an_untrained_codebook_only():
  bottleneck = build(codes=16, slices=2)
  bottleneck.initialise(X, VOTERS, seed=[0, 2])
  real = X.numpy()[VOTERS.numpy() > 0].reshape(-1, 2, 4)
  for part in range(2):
    near = np.abs(bottleneck.codebook.numpy()[part][:, None] - real[None, :, part]).max(-1).min(-1)
    np.testing.assert_allclose(near, 0, atol=1e-5)
  bottleneck.absorb(bottleneck(X, VOTERS).statistics)
  trained = bottleneck.codebook.numpy()
  bottleneck.initialise(2.0 * X, VOTERS, seed=[0, 3])
  np.testing.assert_array_equal(bottleneck.codebook, trained)


@pytest.mark.parametrize("settings, message", [
  (dict(kind="vae"), "bottleneck.kind is one of vq, hash, gumbel; got 'vae'"),
  (dict(codes=0), "bottleneck.codes is at least 1; got 0"),
  (dict(decay=1.0), "bottleneck.decay must be at least 0 and below 1, such as 0.999; got 1.0"),
  (dict(codes=10, slices=2), "bottleneck.codes must be .* to the power of bottleneck.slices=2, .* got 10; take 9"),
  (dict(kind="hash", codes=9), "bottleneck.codes must be a power of 2 for kind=hash, .* got 9; take 16"),
  (dict(kind="gumbel", samples=3), "are of kind=vq alone; got kind=gumbel with others than samples=0; "
                                   "set bottleneck.samples=0 too"),
  (dict(kind="hash", slices=2, codes=256, restart=0.1), "set bottleneck.slices=1, bottleneck.restart=0 too"),
  (dict(kind="gumbel", temperature=schedule.Linear(1.0, 0.0, 5)), "temperature must be above 0 .*1.0 to 0.0"),
])
def test_refuses(settings, message):
  with pytest.raises(ValueError, match=message):
    quantizer.Config(**settings)


def test_refuses_slices_of_unequal_width():
  with pytest.raises(ValueError, match=r"bottleneck.slices must divide net.width \(8\); got 3"):
    build(codes=8, slices=3)
