"""The predictor of codes: an autoregressive prior over the codes of a target, given the source.

As in Kaiser et al., "Fast Decoding in Sequence Models Using Discrete Latent Variables", ICML 2018. It has embeddings of
its own, which are its output layer too.
"""
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import embedding
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib


class CodePrior(keras.layers.Layer):
  """p(c_m | c_<m, x), a stack of decoder blocks over codes."""

  def __init__(self, net: transformer.Config, codes: int, depth: int):
    """Args:
      net: the sizes of its blocks; as many positions as a sentence, which has fewer codes.
      codes: K.
      depth: number of blocks.
    """
    super().__init__(name="code_prior", dtype=net.dtype)
    own = dataclasses.replace(net, vocab=codes, source_vocab=0, tie="all")
    self.codes = embedding.Embedding(own, of_text=False, name="codes")
    self.stack = transformer.Stack(net, depth, cross=True, name="prior")
    self.built = True

  def log_probs(
      self, labels: tf.Tensor, memory: encoder_decoder.Memory, dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Returns the mean log p of the labels int32 [B, M, m] of each code, given those before it: float32 [B, M].

    `memory` is a `Memory` with unprojected states.
    """
    states = self._states(tf.reduce_mean(self.codes.look_up(labels), 2), memory, dropout)
    table = tf.cast(self.codes.table, states.dtype)
    logits = tf.matmul(tf.reshape(states, [-1, table.shape[1]]), table, transpose_b=True)
    log_prob = tf.nn.log_softmax(tf.cast(logits, tf.float32) + tf.convert_to_tensor(self.codes.bias))
    flat = tf.reshape(labels, [-1, labels.shape[2]])
    return tf.reshape(tf.reduce_mean(tf.gather(log_prob, flat, batch_dims=1), -1), tf.shape(labels)[:2])

  def following(self, codes: tf.Tensor, memory: encoder_decoder.Memory) -> tf.Tensor:
    """Returns log p of every code at each position, given codes int32 [R, M] before it: float32 [R, M, K].

    `memory` has unprojected states, of R sentences or of R / N with N adjacent rows each.
    """
    return tf.nn.log_softmax(self.codes.logits(self._states(self.codes.look_up(codes), memory)))

  def _states(self, embedded, memory, dropout=NO_DROPOUT):
    """Returns the states float [R, M, D] at each code, given those before it, of embedded codes float [R, M, D]."""
    x = masking.shift_right(embedded) + self.codes.positions(tf.shape(embedded)[1])
    return self.stack(x, masking.causal(tf.shape(embedded)[1]), memory.states, memory.mask, dropout=dropout)

  def steps(
      self, memory: encoder_decoder.Memory, rows: int | tf.Tensor, steps: int | tf.Tensor) -> tuple[Callable, Any]:
    """Returns the step function of `code_beam.search`, and the cache of `rows` hypotheses of at most `steps` codes."""
    table, keys = self.codes.positions(steps), self.stack.project(memory.states)

    def step(codes, t, cache):
      x = tf.where(t == 0, 0.0, 1.0) * tf.cast(self.codes.look_up(codes[:, None]), tf.float32)
      x = tf.cast(x, table.dtype) + table[t]
      states, cache = self.stack.step(x, t, cache, keys, memory.mask)
      return self.codes.logits(states[:, 0]), cache

    return step, self.stack.start_cache(rows, steps)
