"""Symmetric divergences between several predictions of the same token, without storing their distributions.

K streams predict a token at every position: z_k = state_k table^T + bias, p_k = softmax(z_k).

  D(j, k) = 1/2 [KL(p_j || p_k) + KL(p_k || p_j)] = 1/2 Σ_v (p_j - p_k)(z_j - z_k)

The sums of the softmax cancel, as Σ_v (p_j - p_k) = 0. With weights c_jk of the pairs and u_k of logsumexp(z_k), let
A_k = Σ_j c_jk (z_k - z_j) / 2. The gradient of Σ u_k logsumexp(z_k) + Σ c_jk D(j, k) with respect to z_k is

  p_k (u_k + A_k - Σ_v p_k A_k) + Σ_j c_jk (p_k - p_j) / 2

and reaches both arguments of each divergence. All streams of some positions are computed together, and again in the
backward pass, so that no tensor of shape [positions, V] is needed, and one product gives cross-entropies and
divergences.
"""
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_nar.losses import cross_entropy

STREAMS = 4  # A chunk has `cross_entropy.ROWS / STREAMS` positions, each of K streams.


class Compared(NamedTuple):
  """Losses of every position and stream, or pair of streams."""

  nats: Any  # float32 [K, ...], -log p of the label.
  spread: Any  # float32 [K, ...], -log p averaged over all V tokens, for label smoothing.
  divergence: Any  # float32 [P, ...], D of each pair.

  def cross_entropy(self, smoothing: float) -> tf.Tensor:
    """Returns the label-smoothed losses, float32 [K, ...]; see `losses/cross_entropy.py`."""
    return (1 - smoothing) * self.nats + smoothing * self.spread


def compare(
    streams: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, labels: tf.Tensor, pairs: Sequence[tuple[int, int]],
    where: tf.Tensor | None = None) -> Compared:
  """Computes `Compared`; differentiable with respect to streams, table and bias.

  Args:
    streams: float [K, ..., D], the states of K streams; the products with the vocabulary run in its dtype, all else in
      float32.
    table: float32 [V, D], the token embeddings.
    bias: float32 [V].
    labels: int32 [...].
    pairs: a sequence of P pairs (j, k) of streams.
    where: bool [...], the positions that count; None: all. At others every result is 0, and nothing is computed: in
      chunks, so that a few positions take the time of one.

  Raises:
    ValueError: if a pair names a stream that does not exist, or the same stream twice.
  """
  count = streams.shape[0]
  if wrong := [pair for pair in pairs if len({*pair} & {*range(count)}) != 2]:
    raise ValueError(f"compare needs pairs of two of the streams 0 to {count - 1}; got {wrong[0]}.")
  table, bias = tf.convert_to_tensor(table), tf.convert_to_tensor(bias)  # tf.custom_gradient takes no variables.
  where = tf.ones(tf.shape(labels), tf.bool) if where is None else where
  order = cross_entropy.counting_first(tf.reshape(where, [-1]))
  chunks = _chunks(streams, order), _chunks(labels[None, ..., None], order)[:, 0, :, 0]
  found = _swept(*chunks, table, bias, pairs, tf.math.count_nonzero(where, dtype=tf.int32))
  back = tf.argsort(order)
  log_sum, divergence = (_shaped(x, back, tf.shape(labels)) for x in found)

  rounded = lambda x: tf.cast(tf.cast(x, streams.dtype), tf.float32)
  states = tf.cast(streams, tf.float32)
  hit = tf.reduce_sum(states * rounded(tf.gather(table, labels)), -1) + tf.gather(bias, labels)
  mean = tf.reduce_sum(states * tf.reduce_mean(table, 0), -1) + tf.reduce_mean(bias)
  return Compared(*(tf.where(where, x, 0.0) for x in (log_sum - hit, log_sum - mean, divergence)))


def _chunks(x, order):
  """[K, ..., D] -> [chunks, K, rows, D], with the positions in this order, and zeros at the end of the last chunk."""
  rows = cross_entropy.ROWS // STREAMS
  x = tf.gather(tf.reshape(x, [x.shape[0], -1, x.shape[-1]]), order, axis=1)
  x = tf.pad(x, [[0, 0], [0, -tf.shape(x)[1] % rows], [0, 0]])
  return tf.transpose(tf.reshape(x, [x.shape[0], -1, rows, x.shape[2]]), [1, 0, 2, 3])


def _shaped(x, back, shape):
  """Undoes `_chunks`: [chunks, K, rows] -> [K, *shape]; `back` undoes its order."""
  flat = tf.reshape(tf.transpose(x, [1, 0, 2]), [x.shape[1], -1])
  return tf.reshape(tf.gather(flat, back, axis=1), tf.concat([[x.shape[1]], shape], 0))


def _swept(chunks, labels, table, bias, pairs, positions):
  """Returns logsumexp(z) [n, K, rows] and D [n, P, rows] of states [n, K, rows, D] and labels [n, rows].

  Only the chunks with the first `positions` positions are computed; the rest of the results is 0.
  """
  tokens, width = table.shape

  @tf.custom_gradient
  def compared(chunks, table, bias):
    # The bias is the weight of a feature that is always one.
    output, chunks = cross_entropy.with_bias(table, bias, chunks.dtype), cross_entropy.with_one(chunks)
    count = tf.shape(chunks)[0]
    used = -(-positions // chunks.shape[2])
    array = lambda dtype, *shape: tf.TensorArray(dtype, count, element_shape=shape)

    def forward(i, *arrays):
      return i + 1, *(x.write(i, new) for x, new in zip(
        arrays, _forward(_logits(chunks[i], output), labels[i], pairs), strict=True))

    _, *found = tf.while_loop(
      lambda i, *_: i < used, forward,
      (0, array(tf.float32, *chunks.shape[1:3]), array(tf.float32, len(pairs), chunks.shape[2])), parallel_iterations=1)

    def gradient(up, apart):
      back = output[:, :-1]

      def sweep(i, d_states, d_table, d_bias):
        by_logits = _backward(_logits(chunks[i], output), up[i], apart[i], pairs)  # [K, rows, V']
        flat = tf.cast(tf.reshape(by_logits, [-1, output.shape[0]]), chunks.dtype)  # [K·rows, V']
        states = tf.reshape(chunks[i], [-1, width + 1])
        d_output = tf.cast(tf.matmul(flat, states, transpose_a=True), tf.float32)  # [V', D + 1]
        return i + 1, d_states.write(i, tf.matmul(flat, back)), d_table + d_output[:, :-1], d_bias + d_output[:, -1]

      _, written, d_table, d_bias = tf.while_loop(
        lambda i, *_: i < used, sweep,
        (0, array(chunks.dtype, chunks.shape[1] * chunks.shape[2], width), tf.zeros(back.shape),
         tf.zeros(back.shape[:1])), parallel_iterations=1)
      d_states = tf.reshape(written.stack(), [-1, *chunks.shape[1:3], width])
      return d_states, d_table[:tokens], d_bias[:tokens]

    return tuple(x.stack() for x in found), gradient

  return compared(chunks, table, bias)


def _logits(chunk, output):
  """[K, rows, D + 1] -> float32 [K, rows, V']; the tokens that pad the vocabulary have equal logits in all streams."""
  flat = tf.matmul(tf.reshape(chunk, [-1, chunk.shape[2]]), output, transpose_b=True)
  return tf.cast(tf.reshape(flat, [*chunk.shape[:2], output.shape[0]]), tf.float32)


def _forward(logits, labels, pairs):
  """Returns the logsumexp of logits [K, rows, V'], [K, rows], and the divergences of the pairs, [P, rows]."""
  prob = tf.nn.softmax(logits)
  # logsumexp = z_y - log p_y, which needs no second pass over the vocabulary.
  at = lambda x: tf.gather(x, tf.tile(labels[None], [x.shape[0], 1]), batch_dims=2)
  log_sum = at(logits) - tf.math.log(tf.maximum(at(prob), cross_entropy.LEAST))
  apart = [0.5 * tf.reduce_sum((prob[j] - prob[k]) * (logits[j] - logits[k]), -1) for j, k in pairs]
  return log_sum, tf.stack(apart)


def _backward(logits, up, apart, pairs):
  """Returns the gradient with respect to logits [K, rows, V'], given those of logsumexp [K, rows] and of D [P, rows].
  """
  prob = tf.nn.softmax(logits)
  found = []
  for k in range(logits.shape[0]):
    others = [(sum(pair) - k, 0.5 * apart[p][:, None]) for p, pair in enumerate(pairs) if k in pair]
    whole = up[k][:, None]
    if others:
      away = tf.add_n([c * (logits[k] - logits[j]) for j, c in others])  # A_k
      whole += away - tf.reduce_sum(prob[k] * away, -1, keepdims=True)
    found.append(tf.add_n([prob[k] * whole] + [c * (prob[k] - prob[j]) for j, c in others]))
  return tf.stack(found)
