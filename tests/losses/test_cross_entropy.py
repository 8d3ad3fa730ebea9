import numpy as np
import pytest
import tensorflow as tf

from tf_nar.losses import cross_entropy

WIDTH, WORDS = 6, 11
EXACT = dict(rtol=1e-5, atol=1e-5)


@pytest.fixture
def small_chunks(monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", 8)


def parts(positions, dtype=tf.float32, width=WIDTH, tokens=WORDS):
  """Returns (states, table, bias), labels and weight; every third position does not count."""
  draw = np.random.default_rng(positions)
  normal = lambda *shape: draw.normal(size=shape).astype(np.float32)
  weight = draw.uniform(0.5, 2.0, positions) * (np.arange(positions) % 3 > 0)
  states, table, bias = normal(positions, width), normal(tokens, width), normal(tokens)
  labels = tf.constant(draw.integers(0, tokens, positions), tf.int32)
  learned = (tf.cast(states, dtype), tf.constant(table), tf.constant(bias))
  return learned, labels, tf.constant(weight, tf.float32)


def with_gradients(loss, learned):
  with tf.GradientTape() as tape:
    tape.watch(learned)
    value = loss(*learned)
  return [value, *tape.gradient(value, learned)]


def tied(learned, labels, weight, smoothing):
  return with_gradients(
    lambda *parts: 3.0 * cross_entropy.tied_cross_entropy(*parts, labels, weight, smoothing), learned)


def plain(learned, labels, weight, smoothing):
  logits = lambda states, table, bias: tf.matmul(tf.cast(states, tf.float32), table, transpose_b=True) + bias
  return with_gradients(
    lambda *parts: 3.0 * cross_entropy.cross_entropy(logits(*parts), labels, weight, smoothing), learned)


def assert_alike(found, expected, **tolerance):
  for name, mine, theirs in zip(("loss", "states", "table", "bias"), found, expected, strict=True):
    as_float32 = lambda x: tf.cast(x, tf.float32).numpy()
    np.testing.assert_allclose(as_float32(mine), as_float32(theirs), err_msg=name, **tolerance)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("positions", [1, 7, 8, 9, 16, 17])
def test_fused_equals_plain(small_chunks, positions, smoothing):
  given = parts(positions)
  assert_alike(tied(*given, smoothing), plain(*given, smoothing), **EXACT)


def test_fused_equals_plain_beyond_one_real_chunk():
  given = parts(cross_entropy.ROWS + 3)
  assert_alike(tied(*given, 0.1), plain(*given, 0.1), rtol=1e-4, atol=1e-4)


def test_any_shape_of_places(small_chunks):
  (states, table, bias), labels, weight = parts(12)
  flat = tied((states, table, bias), labels, weight, 0.1)
  shape = lambda x: tf.reshape(x, [3, 4, *x.shape[1:]])
  shaped = tied((shape(states), table, bias), shape(labels), shape(weight), 0.1)
  assert shaped[1].shape == (3, 4, WIDTH)
  assert_alike([shaped[0], tf.reshape(shaped[1], [12, WIDTH]), *shaped[2:]], flat, **EXACT)


def test_weights_of_zero_give_nothing(small_chunks):
  learned, labels, weight = parts(9)
  assert all(not np.any(value) for value in tied(learned, labels, 0 * weight, 0.1))


@pytest.mark.parametrize("counting", [0, 1, 8, 9, 24])
def test_chunks_of_weight_zero_are_not_computed(small_chunks, monkeypatch, counting):
  computed, compute = [], cross_entropy._chunk
  monkeypatch.setattr(cross_entropy, "_chunk", lambda *given: computed.append(0) or compute(*given))
  learned, labels, weight = parts(24)
  weight = tf.constant(np.random.default_rng(0).permutation(np.arange(24) < counting), tf.float32)
  found = tied(learned, labels, weight, 0.1)
  assert len(computed) == -(-counting // 8)
  assert_alike(found, plain(learned, labels, weight, 0.1), **EXACT)


def test_bfloat16_is_close(small_chunks):
  given = parts(17, tf.bfloat16)
  found = tied(*given, 0.1)
  assert [value.dtype for value in found] == [tf.float32, tf.bfloat16, tf.float32, tf.float32]
  assert_alike(found, plain(*given, 0.1), rtol=0.05, atol=0.15)


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_xla_says_the_same(small_chunks, dtype):
  learned, labels, weight = parts(17, dtype)
  run = lambda *learned: tied(learned, labels, weight, 0.1)
  tolerance = EXACT if dtype == tf.float32 else dict(rtol=0.05, atol=0.15)
  assert_alike(tf.function(run, jit_compile=True, autograph=False)(*learned), run(*learned), **tolerance)


def test_logits_never_exist_at_once(small_chunks):
  learned, labels, weight = parts(40, tokens=23)

  def program(loss):
    run = tf.function(lambda *learned: loss(learned, labels, weight, 0.1), jit_compile=True, autograph=False)
    return run.experimental_get_compiler_ir(*learned)(stage="hlo")

  assert "f32[40,23]" in program(plain)
  assert not any(shape in program(tied) for shape in ("f32[40,23]", "f32[40,64]")) and "f32[8,64]" in program(tied)


def by_hand(states, table, bias, labels, weight, smoothing):
  """The definition in float64: cross-entropy between q and softmax."""
  logits = states @ table.T + bias
  log_prob = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
  q = (1 - smoothing) * np.eye(len(table))[labels] + smoothing / len(table)
  return -(weight * (q * log_prob).sum(-1)).sum()


def test_gradient_is_the_slope_of_the_definition(small_chunks):
  learned, labels, weight = parts(9)
  arrays = [x.numpy().astype(np.float64) for x in learned]
  loss = lambda: by_hand(*arrays, labels.numpy(), weight.numpy(), 0.1)
  fused = lambda *parts: cross_entropy.tied_cross_entropy(*parts, labels, weight, 0.1)
  found = with_gradients(fused, learned)
  np.testing.assert_allclose(found[0], loss(), rtol=1e-6)
  for array, gradient in zip(arrays, found[1:], strict=True):
    for at in np.ndindex(*array.shape):
      here, sides = array[at], []
      for array[at] in (here + 1e-5, here - 1e-5):
        sides.append(loss())
      array[at] = here
      np.testing.assert_allclose(gradient[at], (sides[0] - sides[1]) / 2e-5, rtol=1e-4, atol=1e-5)


def test_of_rows_adds_up_log_probabilities():
  logits = tf.math.log([[[0.5, 0.25, 0.25], [0.1, 0.1, 0.8]], [[0.2, 0.2, 0.6], [1.0, 0.0, 0.0]]]) + 7.0
  found = cross_entropy.of_rows(logits, tf.constant([[1, 2], [0, 0]]), tf.constant([[1.0, 1.0], [1.0, 0.0]]))
  np.testing.assert_allclose(found, [-np.log(0.25 * 0.8), -np.log(0.2)], rtol=1e-5)


def optimum(sentences):
  """The least mean -log p of equally frequent sentences of one source, with free logits of length and positions."""
  of_length = tf.Variable(tf.zeros([1, 4]))
  of_word = tf.Variable(tf.zeros([4, 3, 5]))  # Given the length, 0 to 3 tokens.
  lengths = tf.constant([len(one) for one in sentences])
  tokens = tf.ragged.constant(sentences).to_tensor(shape=[None, 3])
  there = tf.sequence_mask(lengths, 3, tf.float32)
  adam = tf.keras.optimizers.Adam(0.3)
  adam.build([of_length, of_word])

  @tf.function(autograph=False)
  def update():
    with tf.GradientTape() as tape:
      length = cross_entropy.cross_entropy(tf.repeat(of_length, len(sentences), 0), lengths, tf.ones([len(sentences)]))
      token = cross_entropy.cross_entropy(tf.gather(of_word, lengths), tokens, there)
      loss = (length + token) / len(sentences)
    adam.apply(tape.gradient(loss, [of_length, of_word]))
    return loss

  return min(float(update()) for _ in range(150))


@pytest.mark.parametrize("sentences, excess", [
  ([[1, 2], [3, 4]], np.log(2)),
  ([[1, 2], [2, 1]], np.log(2)),
  ([[1, 2], [3, 4], [1, 4]], 0.174),
  ([[1, 2, 3], [2, 3]], 0.0),  # The length tells them apart.
])
def test_what_places_that_do_not_know_of_each_other_can_and_cannot_explain(sentences, excess):
  np.testing.assert_allclose(optimum(sentences) - np.log(len(sentences)), excess, atol=0.01)
