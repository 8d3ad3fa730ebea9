"""Layer normalisation in float32 with a gradient of its own: half the passes over the activations that
differentiating it operation by operation takes, and those passes are what a small model's step is spent on.
"""
import keras
import tensorflow as tf

from tf_nar.ops import columns


class LayerNorm(keras.layers.LayerNormalization):
  """keras.layers.LayerNormalization over the last axis of rows; the weights and their names are Keras's."""

  no_decay = ("gamma", "beta")

  def call(self, x):
    """float [N, D] -> the same shape and type."""
    gain, shift = (tf.convert_to_tensor(w) for w in (self.gamma, self.beta))
    return tf.cast(layer_norm(tf.cast(x, tf.float32), gain, shift, self.epsilon), x.dtype)


def layer_norm(x, gain, shift, epsilon):
  """Returns gain n + shift with n = (x - mean(x)) / sqrt(var(x) + epsilon); float32 [N, D]; gain, shift [D].

  With u the gradient by y and v = gain u, the gradient by x is (v - mean(v) - n mean(n v)) / sqrt(var + epsilon).
  """

  @tf.custom_gradient
  def normalised(x, gain, shift):
    mean = lambda y: tf.reduce_mean(y, -1, keepdims=True)
    centred = x - mean(x)
    scale = tf.math.rsqrt(mean(tf.square(centred)) + epsilon)
    n = centred * scale

    def gradient(up):
      v = up * gain
      return scale * (v - mean(v) - n * mean(n * v)), columns.sums(up * n), columns.sums(up)

    return n * gain + shift, gradient

  return normalised(x, gain, shift)
