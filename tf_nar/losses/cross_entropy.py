"""Label-smoothed cross-entropy, over logits or fused with the output layer that makes them.

Smoothing e spreads evenly over all V words, the right one included: q = (1 - e) onehot + e / V.
With z the logits and y the label the loss of one place is

  logsumexp(z) - (1 - e) z_y - e mean(z)        and its gradient by z is        softmax(z) - q.
"""
import tensorflow as tf

from tf_nar.ops import columns

ROWS = 1_024  # Places whose logits exist at one time; at 10k words and bfloat16 that is 20 MB.
LEAST = 1e-37  # For what is divided by, or a logarithm: near the smallest number of float32.
NEVER = -1e9  # The logit of a word that is not there.
WIDE = 64  # The words are filled up to a multiple: on a CPU a product to 9,713 words takes 1.7 times that to 9,728.


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
  width, tokens = table.shape[1], tf.cast(tf.shape(table)[0], tf.float32)

  @tf.custom_gradient
  def total(states, table, bias):
    # The bias is the weight of a feature that is always one.
    output, states = with_bias(table, bias, states.dtype), with_one(states)  # [V', D + 1], [places, D + 1]
    back = output[:, :-1]

    # An index, unlike a slice from a computed place, has a shape that XLA knows.
    chunks = [tf.reshape(x, [-1, ROWS, *x.shape[1:]]) for x in (states, labels, weight)]
    count = tf.shape(chunks[0])[0]

    def sweep(i, loss, d_states, d_table, d_bias):
      of_states, of_labels, of_weight = (x[i] for x in chunks)
      chunk = _chunk(of_states, output, back, of_labels, of_weight)
      return i + 1, loss + chunk[0], d_states.write(i, chunk[1]), d_table + chunk[2], d_bias + chunk[3]

    # What the smoothed target q takes away needs no [places, V] tensor: of all words the same, and more of the labels.
    hits, even = (1 - smoothing) * weight, smoothing * weight
    flat = tf.cast(states, tf.float32)
    of_all = -tf.linalg.matvec(flat, even, transpose_a=True) / tokens  # [D + 1]
    start = tf.broadcast_to(of_all[:width], back.shape), tf.broadcast_to(of_all[width], back.shape[:1])
    gradients = tf.TensorArray(states.dtype, count, element_shape=[ROWS, width])
    _, loss, d_states, d_table, d_bias = tf.while_loop(
      lambda i, *_: i < count, sweep, (0, 0.0, gradients, *start), parallel_iterations=1)
    d_states = tf.cast(tf.reshape(d_states.stack(), [-1, width]), tf.float32)
    d_table, d_bias = d_table[:table.shape[0]], d_bias[:table.shape[0]]

    right = tf.concat([tf.gather(table, labels), tf.gather(bias, labels)[:, None]], 1)  # [places, D + 1]
    mean = tf.concat([columns.sums(table) / tokens, tf.reduce_mean(bias, keepdims=True)], 0)  # [D + 1]
    loss -= tf.reduce_sum(hits * tf.reduce_sum(flat * right, -1) + even * tf.linalg.matvec(flat, mean))
    d_states -= hits[:, None] * right[:, :width] + even[:, None] * mean[:width]
    d_table = tf.tensor_scatter_nd_sub(d_table, labels[:, None], hits[:, None] * flat[:, :width])
    d_bias = tf.tensor_scatter_nd_sub(d_bias, labels[:, None], hits)

    def gradient(up):
      return tf.cast(up * d_states, states.dtype), up * d_table, up * d_bias

    return loss, gradient

  return total(states, table, bias)


def with_bias(table, bias, dtype):
  """Returns the output layer [V', D + 1] for states with a feature that is always one, whose weight is the bias.

  V' is V, filled up to a multiple of `WIDE` with words of no probability.
  """
  more = -table.shape[0] % WIDE
  table, bias = tf.pad(table, [[0, more], [0, 0]]), tf.pad(bias, [[0, more]], constant_values=NEVER)
  return tf.concat([tf.cast(table, dtype), tf.cast(bias[:, None], dtype)], 1)


def with_one(states):
  """float [..., D] -> float [..., D + 1]."""
  return tf.concat([states, tf.ones_like(states[..., :1])], -1)


def _chunk(states, output, back, labels, weight):
  """The logsumexp part of one chunk: its weighted sum, and the gradients by states, table and bias."""
  logits = tf.matmul(states, output, transpose_b=True)  # [ROWS, V']
  prob = tf.nn.softmax(logits)
  # logsumexp = z_y - log p_y, from the numbers at hand; no second sweep over the words.
  at = lambda x: tf.cast(tf.gather(x, labels, batch_dims=1), tf.float32)
  log_sum = at(logits) - tf.math.log(tf.maximum(at(prob), LEAST))
  d_states = weight[:, None] * tf.cast(tf.matmul(prob, back), tf.float32)
  d_states = tf.cast(d_states, states.dtype)
  return tf.reduce_sum(weight * log_sum), d_states, *by_output(prob, weight, states)


def by_output(prob, weight, states):
  """Returns the gradients by table and bias, float32 [V', D] and [V'], of places with softmax `prob` [R, V'] under
  `weight` float32 [R] and states [R, D + 1].
  """
  scaled = tf.cast(weight[:, None] * tf.cast(states[:, :-1], tf.float32), states.dtype)
  d_table = tf.matmul(prob, scaled, transpose_a=True)
  d_bias = tf.matmul(tf.cast(weight[None], states.dtype), prob)[0]
  return tf.cast(d_table, tf.float32), tf.cast(d_bias, tf.float32)


def of_rows(logits, labels, weight):
  """Returns the unsmoothed losses of each row, float32 [B]: logits float32 [B, T, V], labels [B, T]."""
  right = tf.gather(logits, labels, batch_dims=2)
  return tf.reduce_sum(weight * (tf.reduce_logsumexp(logits, -1) - right), -1)
