"""Cross-entropy of a student's distributions under those of a teacher, without storing either.

  L_t = -Σ_v p_t(v) log q_t(v)        p = softmax(z), the student's; q = softmax(z'), the teacher's

Its gradient with respect to the student's logits is p_t(v) (-log q_t(v) - L_t); the teacher has none. Logits of a few
positions exist at a time, and are computed again in the backward pass.
"""
import tensorflow as tf

from tf_nar.losses import chunks as chunks_lib
from tf_nar.losses import cross_entropy


def soft_cross_entropy(
    student: tuple[tf.Tensor, tf.Tensor, tf.Tensor], teacher: tuple[tf.Tensor, tf.Tensor, tf.Tensor]) -> tf.Tensor:
  """Returns L of every position in nats, float32 [B, T]; differentiable with respect to the student.

  Args:
    student: states float [B, T, D], token embeddings float32 [V, D] and bias float32 [V]; the products with the
      vocabulary run in the dtype of the states, all else in float32.
    teacher: the same, of states [B, T, D'].
  """
  # The bias is the weight of a feature that is always one.
  outputs = [cross_entropy.with_bias(table, tf.convert_to_tensor(bias), tf.float32)
             for _, table, bias in (student, teacher)]

  chunks = tuple(cross_entropy.with_one(chunks_lib.chunks(states, cross_entropy.ROWS))
                 for states in (student[0], teacher[0]))
  found = tf.map_fn(
    lambda states: _losses(states[0], outputs[0], states[1], outputs[1]), chunks,
    fn_output_signature=tf.float32, parallel_iterations=1)
  return chunks_lib.shaped(found, student[0])


def _losses(states, output, others, other_output):
  """L of states [R, D + 1] with an output layer [V', D + 1], given those of the teacher: float32 [R]."""

  def parts():
    """Returns p and -log q, float32 [R, V']."""
    logits = (tf.cast(tf.matmul(x, tf.cast(layer, x.dtype), transpose_b=True), tf.float32)
              for x, layer in ((states, output), (others, other_output)))
    return tf.nn.softmax(next(logits)), -tf.nn.log_softmax(next(logits))

  @tf.custom_gradient
  def losses(states, output):

    def gradient(up):
      prob, surprise = parts()
      mean = tf.reduce_sum(prob * surprise, -1, keepdims=True)
      by_logits = tf.cast(up[:, None] * prob * (surprise - mean), states.dtype)
      by_output = tf.cast(tf.matmul(by_logits, states, transpose_a=True), tf.float32)
      return tf.matmul(by_logits, tf.cast(output, states.dtype)), by_output

    prob, surprise = parts()
    return tf.reduce_sum(prob * surprise, -1), gradient

  return losses(states, output)
