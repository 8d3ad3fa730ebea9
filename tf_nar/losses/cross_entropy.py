"""Label-smoothed cross-entropy, of given logits or fused with the output layer.

Label smoothing e is uniform over all V tokens, the label included: q = (1 - e) onehot + e / V.
With logits z and label y the loss of one position is

  logsumexp(z) - (1 - e) z_y - e mean(z)        with the gradient        softmax(z) - q        with respect to z.
"""
import tensorflow as tf

from tf_nar.ops import columns

ROWS = 512  # Positions per chunk, whose logits exist at one time; with V = 10k and bfloat16 they take 10 MB.
LEAST = 1e-37  # Lower bound of probabilities before a logarithm: near the smallest number of float32.
NEVER = -1e9  # The logit of the tokens that pad the vocabulary.
WIDE = 64  # V is padded to a multiple: on a CPU a matrix product with V = 9,713 takes 1.7 times that with V = 9,728.


def cross_entropy(logits: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor, smoothing: float = 0.0) -> tf.Tensor:
  """Returns the weighted sum of the losses of logits [..., V] at labels int32 [...], float32 []."""
  logits = tf.cast(logits, tf.float32)
  log_prob = tf.nn.log_softmax(logits)
  hit = tf.gather(log_prob, labels, batch_dims=labels.shape.rank)
  losses = -(1 - smoothing) * hit - smoothing * tf.reduce_mean(log_prob, -1)
  return tf.reduce_sum(losses * weight)


def tied_cross_entropy(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor,
    smoothing: float = 0.0) -> tf.Tensor:
  """Returns the weighted sum of the losses of logits = states table^T + bias, without storing the logits.

  The gradients are computed together with the loss, `ROWS` positions at a time, so that no tensor of shape
  [positions, V] is needed. Those that do not count come last, and nothing is computed for `ROWS` of them. The matrix
  products run in the dtype of `states`; sums over the vocabulary are float32.

  Args:
    states: float [..., D].
    table: float32 [V, D], the token embeddings.
    bias: float32 [V].
    labels: int32 [...].
    weight: float32 [...], 0 at positions that do not count.
    smoothing: e above.
  """
  width = states.shape[-1]
  states = tf.reshape(states, [-1, width])
  labels, weight = tf.reshape(labels, [-1]), tf.reshape(weight, [-1])
  order = counting_first(weight != 0)
  states, labels, weight = (tf.gather(x, order) for x in (states, labels, weight))
  blank = -tf.shape(labels)[0] % ROWS  # Rows that pad the last chunk.
  states = tf.pad(states, [[0, blank], [0, 0]])
  labels, weight = tf.pad(labels, [[0, blank]]), tf.pad(weight, [[0, blank]])
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)  # tf.custom_gradient takes no variables.
  return _swept(states, table, bias, labels, weight, smoothing)


def counting_first(where: tf.Tensor) -> tf.Tensor:
  """Returns the indices of bool [n], int32 [n]: those where it is True, then the others, each in their order."""
  return tf.argsort(tf.cast(~where, tf.int32), stable=True)


def _swept(states, table, bias, labels, weight, smoothing):
  """`tied_cross_entropy` of states [k·ROWS, D]; differentiable with respect to states, table and bias.

  Positions of weight 0 are behind the others.
  """
  width, tokens = table.shape[1], tf.cast(tf.shape(table)[0], tf.float32)

  @tf.custom_gradient
  def total(states, table, bias):
    # The bias is the weight of a feature that is always one.
    output, states = with_bias(table, bias, states.dtype), with_one(states)  # [V', D + 1], [positions, D + 1]
    back = output[:, :-1]

    # Chunks are indexed, since a slice with a computed start has a shape that XLA does not know.
    chunks = [tf.reshape(x, [-1, ROWS, *x.shape[1:]]) for x in (states, labels, weight)]
    count = tf.shape(chunks[0])[0]
    used = -(-tf.math.count_nonzero(weight, dtype=tf.int32) // ROWS)

    def sweep(i, loss, d_states, d_table, d_bias):
      of_states, of_labels, of_weight = (x[i] for x in chunks)
      chunk = _chunk(of_states, output, back, of_labels, of_weight)
      return i + 1, loss + chunk[0], d_states.write(i, chunk[1]), d_table + chunk[2], d_bias + chunk[3]

    # The part of the gradient from q needs no [positions, V] tensor: it is the same for all tokens but the labels.
    hits, even = (1 - smoothing) * weight, smoothing * weight
    flat = tf.cast(states, tf.float32)
    of_all = -tf.linalg.matvec(flat, even, transpose_a=True) / tokens  # [D + 1]
    start = tf.broadcast_to(of_all[:width], back.shape), tf.broadcast_to(of_all[width], back.shape[:1])
    gradients = tf.TensorArray(states.dtype, count, element_shape=[ROWS, width])
    _, loss, d_states, d_table, d_bias = tf.while_loop(
      lambda i, *_: i < used, sweep, (0, 0.0, gradients, *start), parallel_iterations=1)
    d_states = tf.cast(tf.reshape(d_states.stack(), [-1, width]), tf.float32)
    d_table, d_bias = d_table[:table.shape[0]], d_bias[:table.shape[0]]

    right = tf.concat([tf.gather(table, labels), tf.gather(bias, labels)[:, None]], 1)  # [positions, D + 1]
    mean = tf.concat([columns.sums(table) / tokens, tf.reduce_mean(bias, keepdims=True)], 0)  # [D + 1]
    loss -= tf.reduce_sum(hits * tf.reduce_sum(flat * right, -1) + even * tf.linalg.matvec(flat, mean))
    d_states -= hits[:, None] * right[:, :width] + even[:, None] * mean[:width]
    d_table = tf.tensor_scatter_nd_sub(d_table, labels[:, None], hits[:, None] * flat[:, :width])
    d_bias = tf.tensor_scatter_nd_sub(d_bias, labels[:, None], hits)

    def gradient(up):
      return tf.cast(up * d_states, states.dtype), up * d_table, up * d_bias

    return loss, gradient

  return total(states, table, bias)


def with_bias(table: tf.Tensor, bias: tf.Tensor, dtype: tf.DType) -> tf.Tensor:
  """Returns the output layer [V', D + 1] for states with an additional feature of one, whose weight is the bias.

  V' is V padded to a multiple of `WIDE` with tokens of probability 0.
  """
  more = -table.shape[0] % WIDE
  table, bias = tf.pad(table, [[0, more], [0, 0]]), tf.pad(bias, [[0, more]], constant_values=NEVER)
  return tf.concat([tf.cast(table, dtype), tf.cast(bias[:, None], dtype)], 1)


def with_one(states: tf.Tensor) -> tf.Tensor:
  """Appends a feature that is one: float [..., D] -> float [..., D + 1]."""
  return tf.concat([states, tf.ones_like(states[..., :1])], -1)


def _chunk(states, output, back, labels, weight):
  """Returns the weighted sum of logsumexp(z) over one chunk, and its gradients with respect to states, table and bias.
  """
  logits = tf.matmul(states, output, transpose_b=True)  # [ROWS, V']
  prob = tf.nn.softmax(logits)
  # logsumexp = z_y - log p_y, which needs no second pass over the vocabulary.
  at = lambda x: tf.cast(tf.gather(x, labels, batch_dims=1), tf.float32)
  log_sum = at(logits) - tf.math.log(tf.maximum(at(prob), LEAST))
  d_states = weight[:, None] * tf.cast(tf.matmul(prob, back), tf.float32)
  d_states = tf.cast(d_states, states.dtype)
  return tf.reduce_sum(weight * log_sum), d_states, *by_output(prob, weight, states)


def by_output(prob: tf.Tensor, weight: tf.Tensor, states: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the gradients of Σ weight logsumexp with respect to table and bias, float32 [V', D] and [V'].

  Args:
    prob: [R, V'], the softmax at each position.
    weight: float32 [R].
    states: [R, D + 1].
  """
  scaled = tf.cast(weight[:, None] * tf.cast(states[:, :-1], tf.float32), states.dtype)
  d_table = tf.matmul(prob, scaled, transpose_a=True)
  d_bias = tf.matmul(tf.cast(weight[None], states.dtype), prob)[0]
  return tf.cast(d_table, tf.float32), tf.cast(d_bias, tf.float32)


def of_rows(logits: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
  """Returns the unsmoothed losses of each row, float32 [B]: logits float32 [B, T, V], labels [B, T]."""
  right = tf.gather(logits, labels, batch_dims=2)
  return tf.reduce_sum(weight * (tf.reduce_logsumexp(logits, -1) - right), -1)
