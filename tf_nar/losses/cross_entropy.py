"""Label-smoothed cross-entropy, over logits or fused with the output layer that makes them.

Smoothing e spreads evenly over all V words, the right one included: q = (1 - e) onehot + e / V.
With z the logits and y the label the loss of one place is

  logsumexp(z) - (1 - e) z_y - e mean(z)        and its gradient by z is        softmax(z) - q.
"""
import tensorflow as tf

ROWS = 1_024  # Places whose logits exist at one time; at 10k words and bfloat16 that is 20 MB.


def cross_entropy(logits, labels, weight, smoothing=0.0):
  """Returns the weighted sum of the losses of logits [..., V] at labels int32 [...], float32 []."""
  logits = tf.cast(logits, tf.float32)
  log_prob = tf.nn.log_softmax(logits)
  hit = tf.gather(log_prob, labels, batch_dims=labels.shape.rank)
  losses = -(1 - smoothing) * hit - smoothing * tf.reduce_mean(log_prob, -1)
  return tf.reduce_sum(losses * weight)


def tied_cross_entropy(states, table, bias, labels, weight, smoothing=0.0):
  """Returns the weighted sum of the losses of logits = states table^T + bias, without keeping logits.

  The gradients are made in the same sweep as the loss, `ROWS` places at a time, so memory does not
  grow with places x words. The products run in the type of `states`; sums over words are float32.

  Args:
    states: float [..., D].
    table: float32 [V, D], the word embeddings.
    bias: float32 [V].
    labels: int32 [...].
    weight: float32 [...], 0 where a place does not count.
    smoothing: e above.
  """
  width = states.shape[-1]
  states = tf.reshape(states, [-1, width])
  labels, weight = tf.reshape(labels, [-1]), tf.reshape(weight, [-1])
  blank = -tf.shape(labels)[0] % ROWS  # Fill up the last chunk.
  states = tf.pad(states, [[0, blank], [0, 0]])
  labels, weight = tf.pad(labels, [[0, blank]]), tf.pad(weight, [[0, blank]])
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)  # Not variables: see tf.custom_gradient.
  return _swept(states, table, bias, labels, weight, smoothing)


def _swept(states, table, bias, labels, weight, smoothing):
  """`tied_cross_entropy` on [k ROWS, D]; differentiable by states, table and bias."""

  @tf.custom_gradient
  def total(states, table, bias):
    words = tf.cast(table, states.dtype)

    chunks = [tf.reshape(x, [-1, ROWS, *x.shape[1:]]) for x in (states, labels, weight)]
    count = tf.shape(chunks[0])[0]

    def sweep(i, loss, d_states, d_table, d_bias):
      states, labels, weight = (x[i] for x in chunks)
      chunk = _chunk(states, words, bias, labels, weight)
      return i + 1, loss + chunk[0], d_states.write(i, chunk[1]), d_table + chunk[2], d_bias + chunk[3]

    gradients = tf.TensorArray(states.dtype, count, element_shape=[ROWS, states.shape[-1]])
    start = (0, 0.0, gradients, tf.zeros_like(table), tf.zeros_like(bias))
    _, loss, d_states, d_table, d_bias = tf.while_loop(
      lambda i, *_: i < count, sweep, start, parallel_iterations=1)
    d_states = tf.reshape(d_states.stack(), tf.shape(states))  # XLA has no `concat` of a TensorArray.

    # What the smoothed target q takes away needs no [places, V] tensor.
    hits, even = (1 - smoothing) * weight, smoothing * weight
    mean_word = tf.reduce_mean(table, 0)  # [D]
    flat = tf.cast(states, tf.float32)
    z_mean = tf.linalg.matvec(flat, mean_word) + tf.reduce_mean(bias)
    right = tf.cast(tf.gather(words, labels), tf.float32)  # [places, D]
    z_right = tf.reduce_sum(flat * right, -1) + tf.gather(bias, labels)
    loss -= tf.reduce_sum(hits * z_right + even * z_mean)
    d_states = tf.cast(d_states, tf.float32) - hits[:, None] * right - even[:, None] * mean_word
    spread = tf.reduce_sum(even[:, None] * flat, 0) / tf.cast(tf.shape(table)[0], tf.float32)
    at = labels[:, None]
    d_table = tf.tensor_scatter_nd_sub(d_table - spread, at, hits[:, None] * flat)
    d_bias = tf.tensor_scatter_nd_sub(d_bias - tf.reduce_mean(even) * _ratio(weight, bias), at, hits)

    def gradient(up):
      return tf.cast(up * d_states, states.dtype), up * d_table, up * d_bias

    return loss, gradient

  return total(states, table, bias)


def _ratio(a, b):
  return tf.cast(tf.size(a), tf.float32) / tf.cast(tf.size(b), tf.float32)


def _chunk(states, words, bias, labels, weight):
  """The logsumexp part of one chunk: weighted sum, and its gradients by states, words and bias."""
  logits = tf.nn.bias_add(tf.matmul(states, words, transpose_b=True), tf.cast(bias, states.dtype))  # [ROWS, V]
  prob = tf.nn.softmax(logits)
  # logsumexp = z_y - log p_y, from the numbers at hand; no second sweep over the words.
  at = lambda x: tf.cast(tf.gather(x, labels, batch_dims=1), tf.float32)
  log_sum = at(logits) - tf.math.log(tf.maximum(at(prob), 1e-37))
  d_states = weight[:, None] * tf.cast(tf.matmul(prob, words), tf.float32)
  scaled = tf.cast(weight[:, None] * tf.cast(states, tf.float32), states.dtype)
  d_words = tf.cast(tf.matmul(prob, scaled, transpose_a=True), tf.float32)
  d_bias = tf.cast(tf.linalg.matvec(prob, tf.cast(weight, prob.dtype), transpose_a=True), tf.float32)
  return tf.reduce_sum(weight * log_sum), tf.cast(d_states, states.dtype), d_words, d_bias


def of_rows(logits, labels, weight):
  """Returns the unsmoothed losses of each row, float32 [B]: logits float32 [B, T, V], labels [B, T]."""
  right = tf.gather(logits, labels, batch_dims=2)
  return tf.reduce_sum(weight * (tf.reduce_logsumexp(logits, -1) - right), -1)
