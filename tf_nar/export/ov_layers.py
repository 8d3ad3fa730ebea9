"""What the graphs for OpenVINO are made of: their inputs, the memory of an encoded source, and the output layer.

# Differs: logits are computed for all positions at once; the program keeps batches small.
"""
from typing import Any, Callable, Sequence

import numpy as np
import tensorflow as tf

from tf_nar.layers import attention
from tf_nar.layers import encoder_decoder
from tf_nar.losses import emissions
from tf_nar.ops import masking
from tf_nar.ops import odd
from tf_nar.ops import tokens as tokens_lib

IDS = tf.TensorSpec([None, None], tf.int32)


def graph(function: Callable, **inputs: tf.TensorSpec) -> Any:
  """Returns a concrete function of inputs of these types, with the operators that OpenVINO can convert."""
  with attention.transposed():
    return tf.function(function, autograph=False).get_concrete_function(**inputs)


def inputs(model: Any) -> dict[str, tf.TensorSpec]:
  """Returns the types of ids, states, lengths and canvas, by name."""
  return {"ids": IDS, "states": tf.TensorSpec([None, None, model.config.net.width]),
          "lengths": tf.TensorSpec([None], tf.int32), "canvas": IDS}


def memory(ids: tf.Tensor, states: tf.Tensor) -> encoder_decoder.Memory:
  """Returns the `Memory` that `EncoderDecoder.encode` made of ids int32 [B, S]."""
  seen = tf.sequence_mask(masking.lengths(ids), tf.shape(states)[1])
  return encoder_decoder.Memory(states, seen[:, None])


def encoder(model: Any) -> Callable:
  """Returns the function of ids, int32 [B, S], to the logits of lengths and the encoder states."""
  def encode(ids):
    memory = model.net.encode(ids)
    return {"length": model.net.length_logits(memory), "states": memory.states}

  return encode


def read(net: Any, states: tf.Tensor, search: Any, among: tf.Tensor | None = None,
         never: tuple[int, ...] = ()) -> dict[str, tf.Tensor]:
  """float [R, T, D] -> the best tokens at each position and their log p, as many as a search with or without ODD needs.

  `never` are tokens that are not output, beside those of `search`; `among` is as for `best`.
  """
  count = odd.KEPT if getattr(search, "odd", False) else 1
  found = best(net, states, count, (*tokens_lib.forbidden(search.unknown), *never), among)
  return dict(zip(("token", "log_prob"), found, strict=True))


def best(net: Any, states: tf.Tensor, count: int, forbid: Sequence[int],
         among: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
  """float [B, T, D] -> the best tokens at each position and their log p, int32 and float32 [B, T, count].

  `among` is as for `emissions.top_among`; None: all tokens.
  """
  if among is not None:
    return emissions.top_among(states, net.embed.table, tf.convert_to_tensor(net.embed.bias), among, count, forbid)
  return best_of(logits(net, states), count, forbid)


def best_of(every: tf.Tensor, count: int, forbid: Sequence[int]) -> tuple[tf.Tensor, tf.Tensor]:
  """Does what `best` does, for the logits of every token, float32 [B, T, V]."""
  never = np.where(np.isin(np.arange(every.shape[-1]), forbid), -attention.HIDDEN, 0).astype(np.float32)
  top, token = tokens_lib.largest(every + never, min(count, every.shape[-1]))
  return token, top - tf.reduce_logsumexp(every, -1, keepdims=True)


def logits(net: Any, states: tf.Tensor) -> tf.Tensor:
  """float [B, T, D] -> float32 [B, T, at least V], by a copy of the table of tokens; the logits from V on never count.

  OpenVINO computes a product in 8 bits only if nothing else reads its weights, as embeddings do. It copies all logits
  for `tokens_lib.largest` unless they are whole runs.
  """
  with tf.init_scope():
    table, bias = (tf.convert_to_tensor(each).numpy() for each in (net.embed.table, net.embed.bias))
  more = -len(bias) % tokens_lib.RUN
  bias = np.pad(bias, [0, more], constant_values=-attention.HIDDEN)
  return tf.matmul(states, tf.constant(np.pad(table, [(0, more), (0, 0)])), transpose_b=True) + bias
