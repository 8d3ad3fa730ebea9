"""Log probabilities of selected tokens at every position, for losses over alignments, without storing all logits.

  log p(w | position) = z_w - logsumexp(z)        z = state table^T + bias, V logits

Only the logsumexp needs the whole vocabulary. It is computed for `cross_entropy.ROWS` positions at a time, and again in
the backward pass, so that no tensor of shape [positions, V] is needed.
"""
import itertools
from collections.abc import Callable
from collections.abc import Sequence

import tensorflow as tf

from tf_nar.losses import chunks as chunks_lib
from tf_nar.losses import cross_entropy
from tf_nar.ops import noise
from tf_nar.ops import products
from tf_nar.ops import tokens as tokens_lib

LOGITS = 1 << 22  # Logits per chunk in a search: 16 MB, which suits a processor's cache and allocator.
ROUNDED = {tf.bfloat16: 2.0**-9, tf.float16: 2.0**-12, tf.float32: 2.0**-25}  # Greatest rounding error relative to 1.


def gathered_log_probs(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Returns log p of every label of a row at every position of the row, float32 [B, L, T].

  Args:
    states: float [B, L, D]; the products with the whole vocabulary run in its dtype.
    table: float32 [V, D], the token embeddings.
    bias: float32 [V].
    labels: int32 [B, T].
  """
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)
  logits, likely = _gathered(states, table, bias, labels)
  return logits - log_sums(states, table, bias, likely)[..., None]


def exact_log_probs(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Like `gathered_log_probs`, with float32 sums whatever the dtype of `states`: for scores; not differentiable."""
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)
  logits, likely = _gathered(states, table, bias, labels)
  over = logits - tf.reduce_max(logits, -1, keepdims=True)
  return over + label_log_probs(states, table, bias, likely)[..., None]


def log_probs_at(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, token: tf.Tensor,
    log_prob: tf.Tensor) -> Callable[..., tf.Tensor]:
  """Returns a function from a position, int32 [], and tokens int32 [B, N], to their log p there, float32 [B, N].

  Args:
    states: float [B, L, D].
    table: float32 [V, D].
    bias: float32 [V].
    token, log_prob: a token at each position and its log p, int32 and float32 [B, L], such as the best of `top_tokens`.
  """
  rows = lambda tokens: _rows(table, tokens, states.dtype)
  at = tf.cast(states, tf.float32)
  sums = tf.einsum("bld,bld->bl", at, rows(token)) + tf.gather(bias, token) - log_prob

  def found(position, tokens):
    logits = tf.einsum("bd,bnd->bn", at[:, position], rows(tokens)) + tf.gather(bias, tokens)
    return logits - sums[:, position, None]

  return found


def _gathered(states, table, bias, labels):
  """Returns the logits of every label, float32 [B, L, T], and the best label at each position, int32 [B, L]."""
  logits = tf.matmul(tf.cast(states, tf.float32), _rows(table, labels, states.dtype), transpose_b=True)
  logits += tf.gather(bias, labels)[:, None]
  return logits, tf.gather(labels, tf.argmax(logits, -1), batch_dims=1)


def _rows(table, tokens, dtype):
  """Returns the embeddings of `tokens`, float32, rounded as in the products with the whole vocabulary."""
  return tf.cast(tf.cast(tf.gather(table, tokens), dtype), tf.float32)


def log_sums(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, likely: tf.Tensor) -> tf.Tensor:
  """Returns the logsumexp of the logits at each position, float32 [...].

  Args:
    states: float [..., D].
    table: float32 [V, D].
    bias: float32 [V].
    likely: int32 [...], a token at each position whose probability is not too small, as the logsumexp is computed as
      z - log p of it; a probability below `cross_entropy.LEAST` is replaced by that.
  """
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)  # tf.custom_gradient takes no variables.
  chunks = (chunks_lib.chunks(x, cross_entropy.ROWS) for x in (states, likely[..., None]))
  return chunks_lib.shaped(_swept(*chunks, table, bias), states)


def likeliest(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor) -> tf.Tensor:
  """Returns the most probable token at each position, int32 [...], like `top_tokens` without probabilities."""
  output = cross_entropy.with_bias(tf.convert_to_tensor(table), tf.convert_to_tensor(bias), states.dtype)
  found = tf.map_fn(
    lambda chunk: tokens_lib.likeliest(tf.matmul(chunk, output, transpose_b=True)),
    cross_entropy.with_one(chunks_lib.chunks(tf.stop_gradient(states), _few(states, LOGITS // table.shape[0]))),
    parallel_iterations=1, fn_output_signature=tf.int32)
  return chunks_lib.shaped(found, states)


def sampled(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
  """Returns a token at each position, int32 [...], drawn from its distribution by the Gumbel trick; no gradient."""
  output = cross_entropy.with_bias(tf.convert_to_tensor(table), tf.convert_to_tensor(bias), states.dtype)

  def draw(chunk):
    rows, number = chunk
    logits = tf.cast(tf.matmul(rows, output, transpose_b=True), tf.float32)
    share = noise.uniform(tf.shape(logits), noise.stream(seed, number))
    return tokens_lib.likeliest(logits - tf.math.log(-tf.math.log(tf.maximum(share, cross_entropy.LEAST))))

  chunks = cross_entropy.with_one(chunks_lib.chunks(tf.stop_gradient(states), _few(states, LOGITS // table.shape[0])))
  numbers = tf.range(tf.shape(chunks)[0])
  found = tf.map_fn(draw, (chunks, numbers), parallel_iterations=1, fn_output_signature=tf.int32)
  return chunks_lib.shaped(found, states)


def top_tokens(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, count: int, forbid: Sequence[int] = (),
    shards: int = 1) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the best tokens at each position, int32 [..., count], and their log p, float32; not differentiable.

  Args:
    states: float [..., D].
    table: float [V, D].
    bias: float32 [V].
    count, forbid: as for `tokens_lib.best`.
    shards: the number of parts of the vocabulary that are searched in parallel.
  """
  count = min(count, table.shape[0])
  ends = [table.shape[0] * i // shards for i in range(shards + 1)]
  # A slice of rows does not copy them.
  parts = [(a, _of_chunks(table[a:b], bias[a:b], states.dtype), [w - a for w in forbid if a <= w < b])
           for a, b in itertools.pairwise(ends)]

  def best(chunk):
    found = [(first, tokens_lib.best_and_log_sum(logits(chunk), count, never)) for first, logits, never in parts]
    return tokens_lib.best_of_shards([(first + token, *rest) for first, (token, *rest) in found], count)

  found = tf.map_fn(
    best, chunks_lib.chunks(tf.stop_gradient(states), _few(states, LOGITS // table.shape[0])),
    parallel_iterations=1, fn_output_signature=(tf.int32, tf.float32))
  return tuple(chunks_lib.shaped(x, states, count) for x in found)


def top_among(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, among: tf.Tensor, count: int,
    forbid: Sequence[int] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Does what `top_tokens` does, where only some tokens of each sentence have a probability.

  Args:
    states: float [R, T, D], of as many adjacent rows for each of B sentences.
    table, bias, count, forbid: as for `top_tokens`.
    among: int32 [B, C], tokens in increasing order; one that is repeated counts once.
  """
  count = min(count, table.shape[0])
  among = tf.concat([among, tf.repeat(among[:, -1:], count, 1)], 1)  # At least `count`.
  rows = tf.reshape(states, [tf.shape(among)[0], -1, states.shape[-1]])
  weights = tf.cast(tf.gather(table, among), states.dtype)
  logits = tf.cast(products.by_rows(rows, weights), tf.float32) + tf.gather(bias, among)[:, None]
  again = tf.pad(among[:, 1:] == among[:, :-1], [[0, 0], [1, 0]])[:, None]
  log_prob = tf.nn.log_softmax(tf.where(again, -float("inf"), logits))
  never = tf.reduce_any(among[..., None] == tf.constant(forbid, tf.int32, [len(forbid)]), -1)[:, None]
  top, at = tf.math.top_k(tf.where(never, -float("inf"), log_prob), count)
  shape = tf.concat([tf.shape(states)[:-1], [count]], 0)
  return tf.reshape(tf.gather(among, at, batch_dims=1), shape), tf.reshape(top, shape)


def label_log_probs(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
  """Returns log p of the one label of each position, float32 [...]; not differentiable.

  Args:
    states: float [..., D]; the products with the whole vocabulary run in its dtype.
    table: float32 [V, D].
    bias: float32 [V].
    labels: int32 [...].
  """
  logits_of, few = _of_chunks(table, bias, states.dtype), _few(states, LOGITS // table.shape[0])

  def log_probs(chunk):
    rows, label = chunk
    logits = logits_of(rows)
    # All terms are from the same rounded logits, so that log p is at most 0; softmax has the sum over the vocabulary.
    at = lambda x, token: tf.gather(x, token, batch_dims=1)
    best = tf.argmax(logits, -1, tf.int32)
    return at(logits, label) - at(logits, best) + tf.math.log(at(tf.nn.softmax(logits), best))

  chunks = chunks_lib.chunks(tf.stop_gradient(states), few), chunks_lib.chunks(labels[..., None], few)[..., 0]
  found = tf.map_fn(log_probs, chunks, parallel_iterations=1, fn_output_signature=tf.float32)
  return chunks_lib.shaped(found, states)


def _of_chunks(table, bias, dtype):
  """Returns a function from states [R, D] to logits float32 [R, V]; the products run in `dtype`, that of the states."""
  table, bias = tf.cast(tf.convert_to_tensor(table), dtype), tf.convert_to_tensor(bias)
  return lambda states: tf.cast(products.by_rows(states, table), tf.float32) + bias


def _swept(chunks, likely, table, bias):
  """`log_sums` of states [k, ROWS, D] and tokens [k, ROWS, 1] -> [k, ROWS]; not differentiable with respect to tokens.
  """
  count, width = table.shape

  @tf.custom_gradient
  def sums(chunks, table, bias):
    # The bias is the weight of a feature that is always one.
    output, chunks = cross_entropy.with_bias(table, bias, chunks.dtype), cross_entropy.with_one(chunks)
    back = output[:, :-1]
    found = tf.map_fn(
      lambda x: _log_sum(*x, output), (chunks, likely), parallel_iterations=1, fn_output_signature=tf.float32)

    def gradient(up):
      # Most vertices of a graph hardly contribute to the target: positions are sorted by weight, and the loop ends
      # where the remaining weights are negligible.
      order, sweeps = _heaviest(up, chunks.dtype)
      states, weight = (chunks_lib.chunks(tf.gather(tf.reshape(x, [-1, w]), order), cross_entropy.ROWS)
                        for x, w in ((chunks, width + 1), (up, 1)))

      def sweep(i, d_states, d_table, d_bias):
        prob = tf.nn.softmax(tf.matmul(states[i], output, transpose_b=True))  # The gradient with respect to the logits.
        d_chunk = weight[i] * tf.cast(tf.matmul(prob, back), tf.float32)
        by_table, by_bias = cross_entropy.by_output(prob, weight[i][:, 0], states[i])
        return i + 1, d_states.write(i, tf.cast(d_chunk, states.dtype)), d_table + by_table, d_bias + by_bias

      d_states = tf.TensorArray(states.dtype, tf.shape(states)[0], element_shape=[cross_entropy.ROWS, width])
      _, d_states, *d_output = tf.while_loop(
        lambda i, *_: i < sweeps, sweep, (0, d_states, tf.zeros(back.shape), tf.zeros(back.shape[:1])),
        parallel_iterations=1)
      d_states = tf.reshape(d_states.stack(), [-1, width])  # 0 where left out.
      d_states = tf.scatter_nd(order[:, None], d_states, tf.shape(d_states))
      return tf.reshape(d_states, [-1, cross_entropy.ROWS, width]), *(x[:count] for x in d_output)

    return found, gradient

  return sums(chunks, table, bias)


def _heaviest(weight, dtype):
  """Returns positions by falling |weight|, int32 [k·ROWS], and the number of chunks to the last that is not negligible.

  # Differs: the weights left out are, all together, less than the last bit of a product in `dtype`.
  """
  heavy, order = tf.math.top_k(tf.abs(tf.reshape(weight, [-1])), tf.size(weight))
  tail = tf.cumsum(heavy, reverse=True)
  count = tf.math.count_nonzero(~(tail <= ROUNDED[dtype] * tail[0]), dtype=tf.int32)  # Not `>`, so that nan counts.
  return order, -(-count // cross_entropy.ROWS)


def _log_sum(chunk, likely, output):
  """Returns the logsumexp of the logits [ROWS, V'], as z - log p of tokens [ROWS, 1], without a pass in float32."""
  logits = tf.matmul(chunk, output, transpose_b=True)
  at = lambda x: tf.cast(tf.gather(x, likely, batch_dims=1), tf.float32)[:, 0]
  return at(logits) - tf.math.log(tf.maximum(at(tf.nn.softmax(logits)), cross_entropy.LEAST))


def _few(states, most):
  """Returns the number of positions per chunk, at most all there are, since a padded chunk costs as much as a full one.
  """
  positions = tf.reduce_prod(tf.shape(states)[:-1])
  return tf.clip_by_value(positions, 1, max(1, most))
