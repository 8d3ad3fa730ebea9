"""What places would give for certain words, without keeping what they give for all: losses over alignments need it.

  log p(w | place) = z_w - logsumexp(z)        z = state table^T + bias, V logits

Only the logsumexp looks at every word. It is made `cross_entropy.ROWS` places at a time, and once more on the way
back, so memory does not grow with places x words.
"""
import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.ops import words


def gathered_log_probs(states, table, bias, labels):
  """Returns log p of every label of a row at every place of the row, float32 [B, L, T].

  Args:
    states: float [B, L, D]; the products with all words run in its type.
    table: float32 [V, D], the word embeddings.
    bias: float32 [V].
    labels: int32 [B, T].
  """
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)
  rows = tf.cast(tf.cast(tf.gather(table, labels), states.dtype), tf.float32)  # Rounded as in the logsumexp.
  logits = tf.matmul(tf.cast(states, tf.float32), rows, transpose_b=True) + tf.gather(bias, labels)[:, None]
  return logits - log_sums(states, table, bias)[..., None]


def log_sums(states, table, bias):
  """Returns the logsumexp of the logits of each place: states float [..., D] -> float32 [...]."""
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)  # Not variables: see tf.custom_gradient.
  return _shaped(_swept(_chunks(states), table, bias), states)


def best_words(states, table, bias, forbid=()):
  """Returns the likeliest word of each place, int32 [...], and its log p, float32 [...]; not differentiable.

  Args:
    states: float [..., D].
    table: float32 [V, D].
    bias: float32 [V].
    forbid: ids that are never said. The probabilities of the others stay what they were.
  """
  output, bias = tf.cast(tf.convert_to_tensor(table), states.dtype), tf.convert_to_tensor(bias)

  def best(chunk):
    logits = _logits(chunk, output, bias)
    sayable = words.without(logits, forbid)
    return tf.argmax(sayable, -1, tf.int32), tf.reduce_max(sayable, -1) - tf.reduce_logsumexp(logits, -1)

  found = tf.map_fn(best, tf.stop_gradient(_chunks(states)), (tf.int32, tf.float32), parallel_iterations=1)
  return tuple(_shaped(x, states) for x in found)


def _swept(chunks, table, bias):
  """`log_sums` of [k, ROWS, D] -> [k, ROWS]; differentiable by all three."""

  @tf.custom_gradient
  def sums(chunks, table, bias):
    output = tf.cast(table, chunks.dtype)
    of_chunk = lambda chunk: tf.reduce_logsumexp(_logits(chunk, output, bias), -1)
    found = tf.map_fn(of_chunk, chunks, tf.float32, parallel_iterations=1)

    def gradient(up):
      def sweep(i, d_chunks, d_table, d_bias):
        # By the logits of a place, the gradient is its softmax.
        prob = tf.exp(_logits(chunks[i], output, bias) - found[i][:, None]) * up[i][:, None]
        pull = tf.cast(prob, chunks.dtype)
        d_table += tf.cast(tf.matmul(pull, chunks[i], transpose_a=True), tf.float32)
        return i + 1, d_chunks.write(i, tf.matmul(pull, output)), d_table, d_bias + tf.reduce_sum(prob, 0)

      count = tf.shape(chunks)[0]
      start = (0, tf.TensorArray(chunks.dtype, count, element_shape=chunks.shape[1:]))
      zeros = (tf.zeros_like(table), tf.zeros_like(bias))
      _, d_chunks, *rest = tf.while_loop(lambda i, *_: i < count, sweep, start + zeros, parallel_iterations=1)
      return d_chunks.stack(), *rest

    return found, gradient

  return sums(chunks, table, bias)


def _logits(chunk, output, bias):
  return tf.cast(tf.matmul(chunk, output, transpose_b=True), tf.float32) + bias


def _chunks(states):
  """float [..., D] -> [k, ROWS, D], the last chunk filled up."""
  states = tf.reshape(states, [-1, states.shape[-1]])
  states = tf.pad(states, [[0, -tf.shape(states)[0] % cross_entropy.ROWS], [0, 0]])
  return tf.reshape(states, [-1, cross_entropy.ROWS, states.shape[-1]])


def _shaped(x, states):
  """[k, ROWS] -> [...], the shape of states [..., D] but for D."""
  shape = tf.shape(states)[:-1]
  return tf.reshape(tf.reshape(x, [-1])[:tf.reduce_prod(shape)], shape)
