"""The cross-entropy of a student's distributions under a teacher's, against its definition with all logits at once."""
import numpy as np
import pytest
import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.losses import soft_cross_entropy

WORDS = 7


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
  monkeypatch.setattr(cross_entropy, "ROWS", 4)  # Of ten positions the last chunk has two.


def output(seed, width, dtype=tf.float32):
  draw = np.random.default_rng(seed)
  normal = lambda *shape: tf.constant(draw.normal(size=shape), tf.float32)
  return tf.cast(normal(2, 5, width), dtype), normal(WORDS, width), normal(WORDS)


def plain(student, teacher):
  logits = lambda states, table, bias: tf.einsum("btd,vd->btv", tf.cast(states, tf.float32), table) + bias
  return -tf.reduce_sum(tf.nn.softmax(logits(*student)) * tf.nn.log_softmax(logits(*teacher)), -1)


def gradients(loss, student, teacher):
  up = tf.constant(np.random.default_rng(2).uniform(size=(2, 5)), tf.float32)
  with tf.GradientTape() as tape:
    tape.watch((student, teacher))
    found = loss(student, teacher)
    total = tf.reduce_sum(found * up)
  return found, *tape.gradient(total, (student, teacher))


@pytest.mark.parametrize("dtype", [tf.float32, tf.bfloat16])
@pytest.mark.parametrize("how", ["eager", "graph", "xla"])
def test_is_its_definition_and_leaves_the_teacher_alone(dtype, how):
  given = output(0, 6, dtype), output(1, 3, dtype)
  run = lambda *given: gradients(soft_cross_entropy.soft_cross_entropy, *given)
  run = run if how == "eager" else tf.function(run, jit_compile=how == "xla", autograph=False)
  found, by_student, by_teacher = run(*given)
  expected, by_plain, _ = gradients(plain, *given)
  close = dict(rtol=1e-4, atol=1e-5) if dtype == tf.float32 else dict(rtol=0.05, atol=0.1)
  as_float32 = lambda x: tf.cast(x, tf.float32).numpy()
  np.testing.assert_allclose(found, expected, **close)
  for mine, theirs in zip(by_student, by_plain, strict=True):
    np.testing.assert_allclose(as_float32(mine), as_float32(theirs), **close)
  assert not any(np.any(as_float32(x)) for x in by_teacher if x is not None)


def test_is_least_for_a_student_that_is_sure_of_the_teachers_favourite():
  teacher = output(1, 3)
  favourite = tf.argmax(tf.einsum("btd,vd->btv", *teacher[:2]) + teacher[2], -1)
  sure = tf.one_hot(favourite, WORDS, 100.0), tf.eye(WORDS), tf.zeros([WORDS])
  found = soft_cross_entropy.soft_cross_entropy(sure, teacher)
  np.testing.assert_allclose(found, -tf.reduce_max(
    tf.nn.log_softmax(tf.einsum("btd,vd->btv", *teacher[:2]) + teacher[2]), -1), rtol=1e-4)
  assert np.all(found < soft_cross_entropy.soft_cross_entropy(output(0, 6), teacher))
