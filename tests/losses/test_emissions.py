"""Log probabilities of selected tokens against those of the whole vocabulary."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.losses import emissions

ROWS, POSITIONS, WIDTH, WORDS = 3, 5, 6, 11
LABELS = tf.constant([[1, 2, 2, 0], [10, 3, 0, 0], [7, 7, 8, 1]], tf.int32)


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", 4)


def parts(dtype=tf.float32):
  draw = np.random.default_rng(0)
  normal = lambda *shape: draw.normal(size=shape).astype(np.float32)
  states, table, bias = normal(ROWS, POSITIONS, WIDTH), normal(WORDS, WIDTH), normal(WORDS)
  return tf.cast(states, dtype), tf.constant(table), tf.constant(bias)


def plain(states, table, bias):
  logits = tf.matmul(tf.cast(states, tf.float32), table, transpose_b=True) + bias
  return tf.gather(tf.nn.log_softmax(logits), tf.tile(LABELS[:, None], [1, POSITIONS, 1]), batch_dims=2)


def gathered(states, table, bias):
  return emissions.gathered_log_probs(states, table, bias, LABELS)


def with_gradients(function, learned):
  with tf.GradientTape() as tape:
    tape.watch(learned)
    value = function(*learned)
    mixed = tf.reduce_sum(value * tf.reshape(tf.range(tf.cast(tf.size(value), tf.float32)), value.shape))
  return [value, *(tf.convert_to_tensor(g) for g in tape.gradient(mixed, learned))]


def assert_alike(found, expected, **tolerance):
  for mine, theirs in zip(found, expected, strict=True):
    np.testing.assert_allclose(tf.cast(mine, tf.float32), tf.cast(theirs, tf.float32), **tolerance)


def test_log_probs_and_gradients_are_those_of_all_words():
  found = with_gradients(gathered, parts())
  assert found[0].shape == (ROWS, POSITIONS, LABELS.shape[1])
  assert_alike(found, with_gradients(plain, parts()), rtol=1e-4, atol=1e-4)


def test_exact_log_probs_do_not_round_the_sum():
  assert_alike([emissions.exact_log_probs(*parts(), LABELS)], [plain(*parts())], rtol=1e-5)
  # The probabilities of all tokens at a position sum to one.
  states, table, bias = parts(tf.bfloat16)
  every = tf.tile(tf.range(WORDS)[None], [ROWS, 1])
  total = lambda function: tf.reduce_sum(tf.exp(function(states, table, bias, every)), -1)
  np.testing.assert_allclose(total(emissions.exact_log_probs), 1.0, atol=0.03)
  assert np.std(total(emissions.exact_log_probs)) <= np.std(total(emissions.gathered_log_probs))


def test_log_probs_at_a_place():
  states, table, bias = parts()
  token, log_prob = (x[..., 0] for x in emissions.top_tokens(states, table, bias, 1))
  at = emissions.log_probs_at(states, table, bias, token, log_prob)
  expected = plain(states, table, bias)
  for position in range(POSITIONS):
    np.testing.assert_allclose(at(tf.constant(position), LABELS), expected[:, position], rtol=1e-5)


def test_bfloat16_is_close():
  found = with_gradients(gathered, parts(tf.bfloat16))
  assert [x.dtype for x in found] == [tf.float32, tf.bfloat16, tf.float32, tf.float32]
  assert_alike(found[:1], with_gradients(plain, parts())[:1], atol=0.1)
  assert_alike(found[1:], with_gradients(plain, parts())[1:], rtol=0.1, atol=4.0)  # Of up to 200.


def test_compiled_says_the_same():
  expected = with_gradients(gathered, parts())
  run = lambda *learned: with_gradients(gathered, learned)
  assert_alike(tf.function(run, jit_compile=True, autograph=False)(*parts()), expected, rtol=1e-4, atol=1e-4)
  signature = [tf.TensorSpec([None, None, WIDTH]), tf.TensorSpec([WORDS, WIDTH]), tf.TensorSpec([WORDS])]
  likely = tf.zeros([ROWS, POSITIONS], tf.int32)
  open_shapes = tf.function(
    lambda *learned: emissions.log_sums(*learned, likely), input_signature=signature, autograph=False)
  assert_alike([open_shapes(*parts())], [emissions.log_sums(*parts(), likely)], rtol=1e-5)


@pytest.mark.parametrize("dtype, tail, swept", [
  (tf.float32, 0.0, 1), (tf.float32, 1e-6, 4), (tf.bfloat16, 0.0, 1), (tf.bfloat16, 1e-6, 1), (tf.bfloat16, 0.1, 4),
  (tf.float32, np.nan, 4)])
def test_the_way_back_leaves_out_places_that_do_not_count(dtype, tail, swept, monkeypatch):
  weight = np.full([ROWS, POSITIONS], tail, np.float32)
  weight[0, 1], weight[1, 2], weight[2, 3] = 1.0, -2.0, 3.0  # Three of 15 positions, in chunks of four.
  states, table, bias = parts(dtype)

  def gradients(sums):
    with tf.GradientTape() as tape:
      tape.watch([states, table, bias])
      total = tf.reduce_sum(weight * sums())
    return tape.gradient(total, [states, table, bias])

  sweeps, heaviest = [], emissions._heaviest
  monkeypatch.setattr(emissions, "_heaviest", lambda *args: sweeps.append(heaviest(*args)) or sweeps[-1])
  likely = emissions.likeliest(states, table, bias)
  found = gradients(lambda: emissions.log_sums(states, table, bias, likely))
  expected = gradients(lambda: tf.reduce_logsumexp(
    tf.matmul(tf.cast(states, tf.float32), table, transpose_b=True) + bias, -1))
  assert [int(count) for _, count in sweeps] == [swept]
  rounding = 1e-5 if dtype == tf.float32 else 0.03
  assert_alike(found, expected, rtol=rounding, atol=rounding)


def test_any_word_that_is_not_hopeless_gives_the_sum():
  states, table, bias = parts()
  expected = tf.reduce_logsumexp(tf.matmul(states, table, transpose_b=True) + bias, -1)
  for token in range(WORDS):
    found = emissions.log_sums(states, table, bias, tf.fill([ROWS, POSITIONS], token))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
  hopeless = tf.tensor_scatter_nd_sub(bias, [[3]], [200.0])
  found = emissions.log_sums(states, table, hopeless, tf.fill([ROWS, POSITIONS], 3))
  assert np.isfinite(found).all()


def test_likeliest_is_the_first_of_top_words():
  states, table, bias = parts()
  np.testing.assert_array_equal(
    emissions.likeliest(states, table, bias), emissions.top_tokens(states, table, bias, 1)[0][..., 0])


def test_samples_are_as_frequent_as_likely(monkeypatch):
  monkeypatch.setattr(emissions, "LOGITS", 100 * WORDS)  # So that there are several chunks, whose samples differ.
  states, table, bias = parts()
  many = tf.tile(states[:1, :1], [1, 4_000, 1])
  found = emissions.sampled(many, table, bias, [1, 2]).numpy()
  expected = tf.nn.softmax(tf.matmul(states[0, :1], table, transpose_b=True) + bias)[0]
  np.testing.assert_allclose(np.bincount(found[0], minlength=WORDS) / 4_000, expected, atol=0.03)
  assert (found[0, :100] != found[0, 100:200]).any()


def test_logits_never_exist_at_once():
  positions = ROWS * POSITIONS

  def program(function):
    run = tf.function(lambda *learned: with_gradients(function, learned), jit_compile=True, autograph=False)
    return run.experimental_get_compiler_ir(*parts())(stage="hlo")

  whole = (f"f32[{ROWS},{POSITIONS},{WORDS}]", f"f32[{positions},{WORDS}]", f"f32[{positions + 1},{WORDS}]")
  assert any(shape in program(plain) for shape in whole)
  assert not any(shape in program(gathered) for shape in whole) and "f32[4,64]" in program(gathered)


def test_top_words(monkeypatch):
  monkeypatch.setattr(emissions, "LOGITS", 4 * WORDS)  # So that there are several chunks.
  states, table, bias = parts()
  logits = (tf.matmul(states, table, transpose_b=True) + bias).numpy()
  best = lambda *a, **kw: (x[..., 0] for x in emissions.top_tokens(states, table, bias, 1, *a, **kw))
  token, log_prob = best()
  np.testing.assert_array_equal(token, logits.argmax(-1))
  expected = tf.nn.log_softmax(logits).numpy()
  np.testing.assert_allclose(log_prob, expected.max(-1), rtol=1e-5)
  forbid = (0, int(token[0, 0]))
  token, log_prob = best(forbid)
  assert not set(forbid) & set(np.unique(token))
  expected[..., list(forbid)] = -np.inf
  np.testing.assert_allclose(log_prob, expected.max(-1), rtol=1e-5)
  in_shards, its_log_prob = best(forbid, shards=3)
  np.testing.assert_array_equal(in_shards, token)
  np.testing.assert_allclose(its_log_prob, log_prob, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("positions", [1, 3, 4, 9])
def test_label_log_probs_are_those_of_a_softmax(positions, monkeypatch):
  monkeypatch.setattr(emissions, "LOGITS", 4 * 11)
  draw = np.random.default_rng(positions)
  normal = lambda *shape: tf.constant(draw.normal(size=shape) * 3, tf.float32)
  states, table, bias = normal(positions, 6), normal(11, 6), normal(11)
  labels = tf.constant(draw.integers(0, 11, positions), tf.int32)
  found = emissions.label_log_probs(states, table, bias, labels)
  every = tf.nn.log_softmax(tf.matmul(states, table, transpose_b=True) + bias)
  np.testing.assert_allclose(found, tf.gather(every, labels, batch_dims=1), rtol=1e-4, atol=1e-5)
  half = emissions.label_log_probs(tf.cast(states, tf.bfloat16), table, bias, labels)
  assert half.dtype == tf.float32 and (half.numpy() <= 0.01).all()
  np.testing.assert_allclose(half, found, rtol=0.03, atol=0.5)
