"""The fused loss against the definition, and what CTC can and cannot learn."""
import itertools

import numpy as np
import pytest
import tensorflow as tf

from tests.ops import alignments
from tf_nar import types
from tf_nar.losses import cross_entropy
from tf_nar.losses import ctc as loss_lib
from tf_nar.ops import ctc

WIDTH, POSITIONS = 3, 4
# The third has too few positions, the fourth no tokens, the fifth is a padding row.
WORDS = tf.constant([[2, 5, 1, 0], [6, 6, 5, 1], [5, 5, 1, 0], [1, 0, 0, 0], [0, 0, 0, 0]])
COUNT, REAL = tf.constant([2, 3, 2, 0, 0]), tf.constant([4, 4, 2, 3, 0])
WEIGHT = tf.constant([1.0, 0.5, 2.0, 1.5, 1.0])
GIVEN = dict(tokens=WORDS, count=COUNT, positions=REAL)
CAN = [0, 1, 3, 4]


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", 8)


def parts(dtype=tf.float32):
  """Returns states [B, P, D], table [V, D] and bias [V]."""
  draw = np.random.default_rng(0)
  normal = lambda *shape: tf.constant(draw.normal(size=shape), tf.float32)
  states = normal(len(WEIGHT), POSITIONS, WIDTH)
  return tf.cast(states, dtype), normal(alignments.VOCAB, WIDTH), normal(alignments.VOCAB)


def with_gradients(loss, learned):
  with tf.GradientTape() as tape:
    tape.watch(learned)
    value = loss(*learned)
  return [value, *map(tf.convert_to_tensor, tape.gradient(value, learned))]


def fused(*learned, weight=WEIGHT):
  return loss_lib.tied_ctc(*learned, **GIVEN, weight=weight)


def of_logits(logits, tokens, count, positions):
  """log p(y | x), float32 [B], of all logits [B, P, V]."""
  log_prob = tf.nn.log_softmax(logits)
  of_words = tf.gather(log_prob, tokens, axis=2, batch_dims=1)
  return ctc.log_prob(ctc.lattice(of_words, log_prob[..., ctc.BLANK], tokens, count, positions))


def plain(states, table, bias, weight=WEIGHT):
  found = of_logits(tf.einsum("bpd,vd->bpv", states, table) + bias, **GIVEN)
  return -tf.reduce_sum(tf.gather(weight * found, CAN))


def test_fused_equals_plain():
  for ours, theirs in zip(with_gradients(fused, parts()), with_gradients(plain, parts()), strict=True):
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def by_hand(states, table, bias):
  log_prob = alignments.log_softmax(np.einsum("bpd,vd->bpv", states, table) + bias)
  said = [alignments.sentences(one[:positions]) for one, positions in zip(log_prob, REAL.numpy(), strict=True)]
  sentence = lambda row: tuple(WORDS.numpy()[row, :COUNT[row]].tolist())
  return -sum(float(WEIGHT[row]) * said[row][sentence(row)] for row in CAN)


def test_gradient_is_the_slope_of_the_definition():
  found = with_gradients(fused, parts())
  arrays = [x.numpy().astype(np.float64) for x in parts()]
  np.testing.assert_allclose(found[0], by_hand(*arrays), rtol=1e-5)
  for array, gradient in zip(arrays, found[1:], strict=True):
    for at in itertools.islice(np.ndindex(*array.shape), 0, None, 4):  # Every fourth number.
      here, sides = array[at], []
      for array[at] in (here + 1e-5, here - 1e-5):
        sides.append(by_hand(*arrays))
      array[at] = here
      np.testing.assert_allclose(gradient[at], (sides[0] - sides[1]) / 2e-5, rtol=1e-3, atol=1e-4)


def test_impossible_pairs_give_exactly_nothing():
  only = tf.constant([0.0, 0.0, 2.0, 0.0, 0.0])
  assert not any(np.any(x) for x in with_gradients(lambda *parts: fused(*parts, weight=only), parts()))
  states = with_gradients(fused, parts())[1].numpy()
  assert not states[2].any() and states[[0, 1, 3]].any((1, 2)).all()
  assert not states[3, 3:].any() and not states[4].any()  # Past the positions.


def test_log_prob_is_that_of_all_logits():
  states, table, bias = parts()
  found = loss_lib.log_prob(states, table, bias, **GIVEN)
  np.testing.assert_allclose(
    tf.gather(found, CAN), tf.gather(of_logits(tf.matmul(states, table, transpose_b=True) + bias, **GIVEN), CAN),
    rtol=1e-5)
  assert np.isneginf(found).tolist() == [False, False, True, False, False]


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
def test_xla_says_the_same(dtype):
  run = lambda *learned: with_gradients(fused, list(learned))
  ours, theirs = tf.function(run, jit_compile=True, autograph=False)(*parts(dtype)), run(*parts(dtype))
  assert [x.dtype for x in ours] == [tf.float32, dtype, tf.float32, tf.float32]
  for mine, other in zip(ours, theirs, strict=True):
    np.testing.assert_allclose(
      tf.cast(mine, tf.float32), tf.cast(other, tf.float32), **(
        dict(rtol=1e-4, atol=1e-5) if dtype == tf.float32 else dict(rtol=0.05, atol=0.15)))


def test_logits_never_exist_at_once():
  states = tf.repeat(parts()[0], 4, 0)  # 80 positions.
  given = {name: tf.repeat(value, 4, 0) for name, value in GIVEN.items()}
  run = tf.function(
    lambda *learned: with_gradients(
      lambda *parts: loss_lib.tied_ctc(*parts, **given, weight=tf.repeat(WEIGHT, 4)), list(learned)),
    jit_compile=True, autograph=False)
  program = run.experimental_get_compiler_ir(states, *parts()[1:])(stage="hlo")
  whole = [f"f32[{positions},{tokens}]" for positions in ("80", "20,4") for tokens in (7, 64)]
  assert "f32[8,64]" in program and not any(shape in program for shape in whole)


def optimum(sentences, positions):
  """The least mean -log p of equally frequent sentences of one source, with free logits at each position."""
  tokens = tf.constant([[*tokens] + [types.PAD] * (3 - len(tokens)) for tokens in sentences])
  given = tokens, tf.constant([len(one) for one in sentences]), tf.fill([len(sentences)], positions)
  logits = tf.Variable(alignments.logits(1, positions, seed=3, scale=0.3))
  adam = tf.keras.optimizers.Adam(0.3)
  adam.build([logits])

  @tf.function(autograph=False)
  def update():
    with tf.GradientTape() as tape:
      loss = -tf.reduce_mean(of_logits(tf.repeat(logits, len(sentences), 0), *given))
    adam.apply_gradients([(tape.gradient(loss, logits), logits)])
    return loss

  return min(float(update()) for _ in range(150))


@pytest.mark.parametrize("positions", [3, 4, 5])
@pytest.mark.parametrize("sentences, excess", [
  ([(2, 5, 6), (5, 6)], 0.0),  # A shift: a blank stands for the missing token.
  ([(2, 5), (5, 2)], np.log(2)),  # Another order.
  ([(2, 5), (6, 3)], np.log(2)),  # Other tokens.
  ([(2, 5), (6, 3), (2, 3)], 0.174),
])
def test_what_alignments_can_and_cannot_explain(sentences, excess, positions):
  np.testing.assert_allclose(optimum(sentences, positions) - np.log(len(sentences)), excess, atol=0.01)
