"""Longest chains of matrix products, counted by hand."""
import pytest
import tensorflow as tf

from tf_nar.ops import depth

X = tf.eye(3)


def of(fn):
  return depth.longest(tf.function(fn, autograph=False).get_concrete_function(tf.TensorSpec([3, 3])).graph)


def looped(x):
  return tf.while_loop(lambda i, _: i < 5, lambda i, x: (i + 1, x @ X @ X), (0, x))[1]


@pytest.mark.parametrize(("fn", "products"), [
  (lambda x: x + X, 0),
  (lambda x: (x @ X) + (x @ x), 1),  # Beside each other.
  (lambda x: tf.einsum("ab,bc->ac", x @ X, X) + x @ X, 2),
  (lambda x: looped(x @ X) @ X, 4),  # One turn of the loop, of two.
  (lambda x: tf.cond(x[0, 0] > 0, lambda: x @ X @ X @ X, lambda: x @ X), 3),
  (lambda x: tf.switch_case(tf.cast(x[0, 0], tf.int32), [lambda: x, lambda: x @ X @ X]) @ X, 3),
  (lambda x: tf.function(lambda x: x @ X @ X, autograph=False)(x) @ X, 3)])
def test_by_hand(fn, products):
  assert of(fn) == products


def test_gradients_come_after_the_forward_part():
  def gradient(x):
    with tf.GradientTape() as tape:
      tape.watch(x)
      y = tf.reduce_sum(tf.tanh(tf.tanh(x @ X) @ X))
    return tape.gradient(y, x)

  assert of(gradient) == 4
