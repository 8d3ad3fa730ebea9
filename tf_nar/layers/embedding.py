"""Token and position embeddings and the output layer.

By default they are those of the original program, one table for source, target and output layer. Sine positions, and
token tables that are not shared, are options.
"""
from typing import Any

import keras
import tensorflow as tf

from tf_nar.layers import sine
from tf_nar.layers import transformer
from tf_nar.losses import emissions
from tf_nar.ops import masking
from tf_nar.ops import products


def check_read(net: transformer.Config, reads: bool) -> None:
  """Checks that a model whose decoder `reads` target tokens or not has no table of them that it would never read.

  Raises:
    ValueError: for `net.tie` = "none" if it does not read them.
  """
  if net.tie == "none" and not reads:
    raise ValueError("net.tie=none separates the output layer from the embeddings of target tokens, which this model "
                     "never reads; choose net.tie=target.")


class Embedding(keras.layers.Layer):
  """sqrt(D) E[x] + sqrt(D) P[i], with one position table P for source and target.

  `Config.tied` says whether source, target and output layer share the token table E.
  """

  no_decay = ("output_bias",)

  def __init__(self, config: transformer.Config, *, of_text: bool = True, output: bool = True, **kw: Any):
    """Args:
      config: its sizes; see the class.
      of_text: whether its tokens are those of the vocabularies; False for others, such as latent codes.
      output: whether it has an output layer; without one it embeds target tokens alone, and `config.tied` is "all".
    """
    super().__init__(dtype=config.dtype, **kw)
    self.config, self.of_text = config, of_text
    init = lambda: keras.initializers.RandomNormal(stddev=config.width**-0.5)
    self.tokens = keras.layers.ReversibleEmbedding(
      config.vocab, config.width, embeddings_initializer=init(), name="tokens", dtype=config.dtype)
    bias = lambda: self.add_weight(name="output_bias", shape=(config.vocab,), initializer="zeros", dtype="float32")
    self.bias = bias() if output else None
    if config.positions == "learned":
      self.position_table = self.add_weight(
        name="positions", shape=(config.max_length + 1, config.width), initializer=init())
    apart = lambda name, vocab: self.add_weight(name=name, shape=(vocab, config.width), initializer=init())
    self.source_table = self.output_table = None  # None: the table of the target.
    if config.tied != "all":
      self.source_table = apart("source_tokens", config.source_vocab or config.vocab)
    if config.tied == "none":
      self.output_table = apart("output_tokens", config.vocab)
    self.build(None)

  def build(self, _: tuple | None) -> None:
    self.tokens.build()

  def tables(self) -> dict[str, list]:
    """Returns the variables with a value or row for each token of the "source" and of the "target" vocabulary.

    With a joint table both are the same; without `of_text` there are none.
    """
    if not self.of_text:
      return {"source": [], "target": []}
    if self.bias is None:
      return {"source": [], "target": [self.tokens.embeddings]}
    source = self.tokens.embeddings if self.source_table is None else self.source_table
    output = [] if self.output_table is None else [self.output_table]
    return {"source": [source], "target": [self.tokens.embeddings, *output, self.bias]}

  @property
  def table(self) -> tf.Tensor:
    """float [V, D], the weights of the output layer, which by default are also the token embeddings."""
    return tf.convert_to_tensor(self.tokens.embeddings if self.output_table is None else self.output_table)

  def look_up(self, tokens: tf.Tensor) -> tf.Tensor:
    """int32 [B, T] -> float [B, T, D], the embeddings of target tokens scaled by sqrt(D)."""
    return self._scaled(self.tokens.embeddings, tokens)

  def look_up_source(self, tokens: tf.Tensor) -> tf.Tensor:
    """int32 [B, S] -> float [B, S, D], the embeddings of source tokens scaled by sqrt(D)."""
    return self._scaled(self.tokens.embeddings if self.source_table is None else self.source_table, tokens)

  def at(self, positions: tf.Tensor, longest: int | tf.Tensor) -> tf.Tensor:
    """Returns the embeddings of positions int32 [B, T], all below `longest`: float [B, T, D]."""
    return tf.gather(self.positions(longest), positions)

  def positions(self, length: int | tf.Tensor) -> tf.Tensor:
    """Returns the embeddings of the first `length` positions, float [length, D]: sqrt(D) P, or unscaled sinusoids."""
    if self.config.positions == "learned":
      positions = tf.convert_to_tensor(self.position_table)[:length] * self.config.width**0.5
    else:
      positions = sine.positions(length, self.config.width)
    return tf.cast(positions, self.compute_dtype)

  def _scaled(self, table, tokens):
    found = tf.gather(tf.convert_to_tensor(table), tokens)
    return tf.cast(found * self.config.width**0.5, self.compute_dtype)

  def logits(self, states: tf.Tensor) -> tf.Tensor:
    """float [..., D] -> float32 [..., V]."""
    logits = products.by_rows(states, tf.cast(self.table, states.dtype))
    return tf.cast(logits, tf.float32) + tf.convert_to_tensor(self.bias)

  def token_log_probs(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns log p of each of the tokens int32 [B, T], given states [B, T, D]: float32 [B, T], 0 at PAD; no gradient.
    """
    each = emissions.label_log_probs(states, self.table, tf.convert_to_tensor(self.bias), labels)
    return tf.where(masking.valid(labels), each, 0.0)

  def log_prob(self, states: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Returns Σ log p of the tokens int32 [B, T] without PAD, given states [B, T, D]: float32 [B]; no gradient."""
    return tf.reduce_sum(self.token_log_probs(states, labels), -1)
