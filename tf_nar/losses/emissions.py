"""What places would give for certain words, without keeping what they give for all: losses over alignments need it.

  log p(w | place) = z_w - logsumexp(z)        z = state table^T + bias, V logits

Only the logsumexp looks at every word. It is made `cross_entropy.ROWS` places at a time, and once more on the way
back, so memory does not grow with places x words.
"""
import itertools

import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.ops import tokens as tokens_lib

LOGITS = 1 << 22  # How many exist at one time in a search: 16 MB, which a processor's cache and allocator keep at hand.
ROUNDED = {tf.bfloat16: 2.0**-9, tf.float16: 2.0**-12, tf.float32: 2.0**-25}  # The most that rounding takes of 1.


def gathered_log_probs(states, table, bias, labels):
  """Returns log p of every label of a row at every place of the row, float32 [B, L, T].

  Args:
    states: float [B, L, D]; the products with all words run in its type.
    table: float32 [V, D], the word embeddings.
    bias: float32 [V].
    labels: int32 [B, T].
  """
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)
  logits, likely = _gathered(states, table, bias, labels)
  return logits - log_sums(states, table, bias, likely)[..., None]


def exact_log_probs(states, table, bias, labels):
  """As `gathered_log_probs`, with float32 sums whatever the type of `states`: for scores; not differentiable."""
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)
  logits, likely = _gathered(states, table, bias, labels)
  over = logits - tf.reduce_max(logits, -1, keepdims=True)
  return over + label_log_probs(states, table, bias, likely)[..., None]


def log_probs_at(states, table, bias, token, log_prob):
  """Returns a map of a place, int32 [], and words int32 [B, N], to their log p there, float32 [B, N].

  Args:
    states: float [B, L, D].
    table: float32 [V, D].
    bias: float32 [V].
    word, log_prob: of each place a word and its log p, int32 and float32 [B, L], as `top_words` finds the best.
  """
  rows = lambda tokens: _rows(table, tokens, states.dtype)
  at = tf.cast(states, tf.float32)
  sums = tf.einsum("bld,bld->bl", at, rows(token)) + tf.gather(bias, token) - log_prob

  def found(position, tokens):
    logits = tf.einsum("bd,bnd->bn", at[:, position], rows(tokens)) + tf.gather(bias, tokens)
    return logits - sums[:, position, None]

  return found


def _gathered(states, table, bias, labels):
  """Returns the logits of every label, float32 [B, L, T], and the likeliest label of each place, int32 [B, L]."""
  logits = tf.matmul(tf.cast(states, tf.float32), _rows(table, labels, states.dtype), transpose_b=True)
  logits += tf.gather(bias, labels)[:, None]
  return logits, tf.gather(labels, tf.argmax(logits, -1), batch_dims=1)


def _rows(table, tokens, dtype):
  """Returns the rows of `words`, float32, rounded as the products with all words round them."""
  return tf.cast(tf.cast(tf.gather(table, tokens), dtype), tf.float32)


def log_sums(states, table, bias, likely):
  """Returns the logsumexp of the logits of each place, float32 [...].

  Args:
    states: float [..., D].
    table: float32 [V, D].
    bias: float32 [V].
    likely: int32 [...], a word of each place that is not hopeless, so that z - log p of it gives the sum: a
      probability below `cross_entropy.LEAST` counts as that.
  """
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)  # Not variables: see tf.custom_gradient.
  chunks = (_chunks(x, cross_entropy.ROWS) for x in (states, likely[..., None]))
  return _shaped(_swept(*chunks, table, bias), states)


def likeliest(states, table, bias):
  """Returns the likeliest word of each place, int32 [...]: as `top_words`, without probabilities."""
  output = cross_entropy.with_bias(tf.convert_to_tensor(table), tf.convert_to_tensor(bias), states.dtype)
  found = tf.map_fn(
    lambda chunk: tokens_lib.likeliest(tf.matmul(chunk, output, transpose_b=True)),
    cross_entropy.with_one(_chunks(tf.stop_gradient(states), _few(states, LOGITS // table.shape[0]))),
    parallel_iterations=1, fn_output_signature=tf.int32)
  return _shaped(found, states)


def top_tokens(states, table, bias, count, forbid=(), shards=1):
  """Returns the likeliest words of each place, int32 [..., count], and their log p, float32; not differentiable.

  Args:
    states: float [..., D].
    table: float [V, D].
    bias: float32 [V].
    count, forbid: as `tokens_lib.best` takes them.
    shards: into how many the words are cut, to be looked through beside each other.
  """
  count = min(count, table.shape[0])
  ends = [table.shape[0] * i // shards for i in range(shards + 1)]
  # Rows of a tensor are cut off without copying them.
  parts = [(a, _of_chunks(table[a:b], bias[a:b], states.dtype), [w - a for w in forbid if a <= w < b])
           for a, b in itertools.pairwise(ends)]

  def best(chunk):
    found = [(first, tokens_lib.best_and_log_sum(logits(chunk), count, never)) for first, logits, never in parts]
    return tokens_lib.best_of_shards([(first + token, *rest) for first, (token, *rest) in found], count)

  found = tf.map_fn(
    best, _chunks(tf.stop_gradient(states), _few(states, LOGITS // table.shape[0])),
    parallel_iterations=1, fn_output_signature=(tf.int32, tf.float32))
  return tuple(_shaped(x, states, count) for x in found)


def label_log_probs(states, table, bias, labels):
  """Returns log p of the one label of each place, float32 [...]; not differentiable.

  Args:
    states: float [..., D]; the products with all words run in its type.
    table: float32 [V, D].
    bias: float32 [V].
    labels: int32 [...].
  """
  logits_of, few = _of_chunks(table, bias, states.dtype), _few(states, LOGITS // table.shape[0])

  def log_probs(chunk):
    rows, label = chunk
    logits = logits_of(rows)
    # From the same rounded logits, so that log p is 0 at most; the sum over words is softmax's.
    at = lambda x, token: tf.gather(x, token, batch_dims=1)
    best = tf.argmax(logits, -1, tf.int32)
    return at(logits, label) - at(logits, best) + tf.math.log(at(tf.nn.softmax(logits), best))

  chunks = _chunks(tf.stop_gradient(states), few), _chunks(labels[..., None], few)[..., 0]
  found = tf.map_fn(log_probs, chunks, parallel_iterations=1, fn_output_signature=tf.float32)
  return _shaped(found, states)


def _of_chunks(table, bias, dtype):
  """Returns a map of states [R, D] of `dtype`, in which the products run, to logits float32 [R, V]; no gradient."""
  table, bias = tf.cast(tf.convert_to_tensor(table), dtype), tf.convert_to_tensor(bias)
  # einsum reads the table as it lies; tf.matmul would turn it first.
  return lambda states: tf.cast(tf.einsum("rd,vd->rv", states, table), tf.float32) + bias


def _swept(chunks, likely, table, bias):
  """`log_sums` of [k, ROWS, D] and [k, ROWS, 1] -> [k, ROWS]; differentiable by all but the words."""
  count, width = table.shape

  @tf.custom_gradient
  def sums(chunks, table, bias):
    # The bias is the weight of a feature that is always one.
    output, chunks = cross_entropy.with_bias(table, bias, chunks.dtype), cross_entropy.with_one(chunks)
    back = output[:, :-1]
    found = tf.map_fn(
      lambda x: _log_sum(*x, output), (chunks, likely), parallel_iterations=1, fn_output_signature=tf.float32)

    def gradient(up):
      # Most vertices of a graph say nothing of the target: those that count come first, and the sweep ends with them.
      order, sweeps = _heaviest(up, chunks.dtype)
      states, weight = (_chunks(tf.gather(tf.reshape(x, [-1, w]), order), cross_entropy.ROWS)
                        for x, w in ((chunks, width + 1), (up, 1)))

      def sweep(i, d_states, d_table, d_bias):
        prob = tf.nn.softmax(tf.matmul(states[i], output, transpose_b=True))  # By the logits of a place, its gradient.
        d_chunk = weight[i] * tf.cast(tf.matmul(prob, back), tf.float32)
        by_table, by_bias = cross_entropy.by_output(prob, weight[i][:, 0], states[i])
        return i + 1, d_states.write(i, tf.cast(d_chunk, states.dtype)), d_table + by_table, d_bias + by_bias

      d_states = tf.TensorArray(states.dtype, tf.shape(states)[0], element_shape=[cross_entropy.ROWS, width])
      _, d_states, *d_output = tf.while_loop(
        lambda i, *_: i < sweeps, sweep, (0, d_states, tf.zeros(back.shape), tf.zeros(back.shape[:1])),
        parallel_iterations=1)
      d_states = tf.reshape(d_states.stack(), [-1, width])  # 0 where no sweep was.
      d_states = tf.scatter_nd(order[:, None], d_states, tf.shape(d_states))
      return tf.reshape(d_states, [-1, cross_entropy.ROWS, width]), *(x[:count] for x in d_output)

    return found, gradient

  return sums(chunks, table, bias)


def _heaviest(weight, dtype):
  """Returns places by falling |weight|, int32 [k ROWS], and how many chunks hold all but a part too small for `dtype`.

  # Differs: what is left out weighs, all together, less than the last bit of a product in `dtype`.
  """
  heavy, order = tf.math.top_k(tf.abs(tf.reshape(weight, [-1])), tf.size(weight))
  tail = tf.cumsum(heavy, reverse=True)
  count = tf.math.count_nonzero(~(tail <= ROUNDED[dtype] * tail[0]), dtype=tf.int32)  # Not `>`: a nan shall be seen.
  return order, -(-count // cross_entropy.ROWS)


def _log_sum(chunk, likely, output):
  """The logsumexp of the logits [ROWS, V']: z - log p of the words [ROWS, 1], which needs no float32 sweep."""
  logits = tf.matmul(chunk, output, transpose_b=True)
  at = lambda x: tf.cast(tf.gather(x, likely, batch_dims=1), tf.float32)[:, 0]
  return at(logits) - tf.math.log(tf.maximum(at(tf.nn.softmax(logits)), cross_entropy.LEAST))


def _few(states, most):
  """Returns how many places make a chunk: not more than there are, for one that is filled up costs as a full one."""
  positions = tf.reduce_prod(tf.shape(states)[:-1])
  return tf.clip_by_value(positions, 1, max(1, most))


def _chunks(states, rows):
  """float [..., D] -> [k, rows, D], the last chunk filled up."""
  states = tf.reshape(states, [-1, states.shape[-1]])
  states = tf.pad(states, [[0, -tf.shape(states)[0] % rows], [0, 0]])
  return tf.reshape(states, [-1, rows, states.shape[-1]])


def _shaped(x, states, *count):
  """[k, ROWS, ...] -> [..., ...], the shape of states [..., D] but for D, and then the `count` of each place."""
  shape = tf.shape(states)[:-1]
  return tf.reshape(tf.reshape(x, [-1, *count])[:tf.reduce_prod(shape)], tf.concat([shape, count], 0))
