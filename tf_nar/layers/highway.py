"""The decoder block of iterative refinement (Lee, Mansimov & Cho, EMNLP 2018)."""
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_nar.layers import dense
from tf_nar.layers import positional
from tf_nar.layers import shards
from tf_nar.layers import transformer


class Block(transformer.Block):
  """A block with positional attention after self-attention, and a feed-forward sub-layer behind a highway gate.

    x <- g x + (1 - g) FFN(x),   g = sigmoid(FFN'(x))

  # Differs: the gate is 1/2 at first, with which a block with post-norm is a residual one.
  """

  sharded = (*transformer.Block.sharded, "position_attend", "gate_in", "gate_out")

  def __init__(self, config: transformer.Config, cross: bool, **kw: Any):
    super().__init__(config, cross, **kw)
    self.norms.insert(1, self.norms.pop())  # The others keep the names, and so the weights, of a plain block.
    named = lambda name: [dict(name=each, dtype=config.dtype) for each in shards.names(name, config.shards)]
    sizes = config.width, config.heads, config.attention_dropout, config.shards
    self.position_attend = [positional.PositionalAttention(*sizes, **each) for each in named("position_attend")]
    self.gate_in = [dense.Dense(config.ffn // config.shards, projections=1, activation="relu", **each)
                    for each in named("gate_in")]
    self.gate_out = [dense.Dense(config.width, kernel_initializer="zeros", **each) for each in named("gate_out")]

  def build(self, shape: tuple) -> None:
    for part in (*self.position_attend, *self.gate_in):
      part.build(shape)
    for part in self.gate_out:
      part.build((*shape[:-1], self.config.ffn // self.config.shards))
    super().build(shape)

  def branches(self, context: transformer.Context) -> list[Callable]:
    """Returns the sub-layers in order."""
    own, *rest = super().branches(context)
    return [own, lambda y: [
      (part(y, context.penalty, sentences=context.sentences, dropout=context.dropout), None)
      for part in self.position_attend], *rest]

  def join(self, number: int, x: tf.Tensor, out: tf.Tensor) -> tf.Tensor:
    """Adds the output of attention; mixes that of the last sub-layer by the gate."""
    if number < len(self.norms) - 1:
      return x + out
    gate = tf.sigmoid(tf.add_n([last(first(x)) for first, last in zip(self.gate_in, self.gate_out, strict=True)]))
    return gate * x + (1 - gate) * out
