"""The encoder-decoder of the non-autoregressive families: encoder, bidirectional decoder, optional length head.

The decoder's input is called a canvas: one vector per target position, which may be a PAD or MASK embedding, a copy of
a source state, or the embedding of a revealed target token. How the decoder states are used is up to each family.
"""
import contextlib
from collections.abc import Iterator
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import types
from tf_nar.layers import attention
from tf_nar.layers import embedding
from tf_nar.layers import lengths as lengths_lib
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.losses import cross_entropy
from tf_nar.losses import emissions
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib

LENGTHS = "absolute", "offset", "none"  # The length heads.


class Memory(NamedTuple):
  """An encoded source."""

  # float [B, S, D], the [LEN] slot first for the length head "absolute"; a list of the states after each encoder block
  # if the decoder attends to all of them; or the result of `EncoderDecoder.project`.
  states: Any
  mask: tf.Tensor  # bool [B, 1 or T, S], True at the positions that cross-attention may attend to.


class EncoderDecoder(keras.layers.Layer):
  """See the module docstring. The length head "absolute" reads a slot before the source, as in Sun & Yang (2020)."""

  no_decay = ("source_bias",)

  def __init__(
      self, config: transformer.Config, *, decoder_layers: int, length: str,
      block: type[transformer.Block] = transformer.Block, layerwise: bool = False):
    """Args:
      config: a `transformer.Config`.
      decoder_layers: number of decoder blocks.
      length: the length head. "absolute": classes of the length, predicted from a slot before the source; "offset":
        classes of the difference to the source length, predicted from the mean of the encoder states; "none".
      block: class of the decoder's blocks; see `transformer.Stack`.
      layerwise: whether each decoder block attends to the encoder block of the same depth; there are as many of both.
    """
    super().__init__(name="net", dtype=config.dtype)
    core_config.check_choice("length", length, LENGTHS)
    self.config, self.layerwise = config, layerwise
    # bool [V]: True for tokens of which two in a row are parts of one word (between spaces); None: not known.
    self.repeatable = None
    self.among = None  # int32 [B, C], what `top_tokens` chooses from within `only`; None: all tokens.
    self.embed = embedding.Embedding(config, name="embed")
    self.source_bias = self.add_weight(name="source_bias", shape=(config.width,), initializer="zeros")
    self.length = self.offsets = None
    if length == "offset":
      self.offsets = lengths_lib.Offsets(config, name="offsets")
    elif length == "absolute":
      self.length = self.add_weight(
        name="length", shape=(config.max_length + 1, config.width), dtype="float32",
        initializer=keras.initializers.RandomNormal(stddev=config.width**-0.5))
    self.encoder = transformer.Stack(config, config.encoder_layers, name="encoder")
    self.decoder = transformer.Stack(config, decoder_layers, cross=True, block=block, name="decoder")
    self.built = True

  def encode(self, src: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT) -> Memory:
    """int32 [B, S] -> `Memory`.

    # Differs: the original program dropped the last padded position, so that a source of full length lost its EOS.
    """
    slot = int(self.length is not None)  # 1: the [LEN] slot, a zero vector before the source.
    positions = slot + tf.shape(src)[1]
    x = tf.pad(self.embed.look_up_source(src), [[0, 0], [slot, 0], [0, 0]]) + self.embed.positions(positions)
    x += tf.cast(tf.convert_to_tensor(self.source_bias), x.dtype)
    seen = tf.pad(masking.valid(src), [[0, 0], [slot, 0]], constant_values=True)[:, None]
    states = (self.encoder.layers if self.layerwise else self.encoder)(x, seen, dropout=dropout)
    # With a slot, the decoder attends to the slot and the tokens but not to the source's EOS.
    return Memory(states, tf.sequence_mask(masking.lengths(src), positions)[:, None])

  def project(self, memory: Memory) -> Memory:
    """Returns the `Memory` with the keys and values of every block as states, to be computed once per sentence."""
    return memory._replace(states=self.decoder.project(memory.states))

  def length_logits(self, memory: Memory) -> tf.Tensor:
    """`Memory` with unprojected states -> float32 [B, max_length + 1]; class n is a target of length n with EOS."""
    states = memory.states[-1] if self.layerwise else memory.states
    if self.offsets is not None:
      return self.offsets(states, memory.mask[:, 0])
    slot = tf.cast(states[:, 0], tf.float32)
    return tf.matmul(slot, tf.convert_to_tensor(self.length), transpose_b=True)

  def length_term(
      self, memory: Memory, lengths: tf.Tensor, weight: tf.Tensor, *, scale: float,
      smoothing: float = 0.0) -> types.Term:
    """Returns the `Term` of the length loss, for lengths int32 [B] and weights float32 [B], without padding rows.

    A length without a class counts as the nearest that has one.
    """
    weight = weight * tf.cast(lengths > 0, tf.float32)
    if self.offsets is not None:
      lengths = self.offsets.nearest(lengths, memory.mask[:, 0])
    total = cross_entropy.cross_entropy(self.length_logits(memory), lengths, weight, smoothing)
    return types.Term(total, tf.reduce_sum(weight), scale)

  def length_log_prob(self, memory: Memory, lengths: tf.Tensor) -> tf.Tensor:
    """Returns log p(T = lengths | x), float32 [R]; -inf for lengths without a class, as those above `max_length`.

    `lengths`, int32 [R], has as many rows as the memory, or N adjacent ones for each of its sentences.
    """
    logits, mask = self.length_logits(memory), memory.mask[:, 0]
    count = tf.shape(lengths)[0] // tf.shape(logits)[0]
    logits, mask = (tf.repeat(x, count, axis=0) for x in (logits, mask))
    known = lengths <= self.config.max_length
    if self.offsets is not None:
      known &= (lengths > 0) & (self.offsets.nearest(lengths, mask) == lengths)
    one = tf.ones_like(lengths, tf.float32)[:, None]
    nats = cross_entropy.of_rows(logits[:, None], tf.where(known, lengths, 0)[:, None], one)
    return tf.where(known, -nats, -float("inf"))

  def mask_canvas(self, rows: int | tf.Tensor, positions: int | tf.Tensor, hidden: int = types.PAD) -> tf.Tensor:
    """Returns a canvas with the token `hidden` at every position, as before decoding: float [rows, positions, D]."""
    return tf.tile(self.canvas(tf.fill([1, positions], hidden)), [rows, 1, 1])

  def canvas(self, tokens: tf.Tensor, positions: tf.Tensor | None = None) -> tf.Tensor:
    """int32 [B, T] -> float [B, T, D]: embedded target tokens, at positions 0 to T - 1 or at `positions`, int32 [B, T].
    """
    if positions is None:
      return self.embed.look_up(tokens) + self.embed.positions(tf.shape(tokens)[1])
    return self.embed.look_up(tokens) + self.embed.at(positions, self.config.max_length + 1)

  def source_canvas(self, src: tf.Tensor) -> tf.Tensor:
    """int32 [B, S] -> float [B, S, D]: embedded source tokens and positions, for decoders whose input copies them."""
    return self.embed.look_up_source(src) + self.embed.positions(tf.shape(src)[1])

  def decode(
      self, canvas: tf.Tensor, lengths: tf.Tensor | None, memory: Memory, dropout: noise_lib.Dropout = NO_DROPOUT,
      mask: tf.Tensor | None = None, attended: attention.Seen | None = None) -> tf.Tensor:
    """Runs the decoder over a canvas.

    Args:
      canvas: float [B, T, D].
      lengths: int32 [B], the number of positions of each row that are not padding.
      memory: a `Memory` of B sentences, or of B / K sentences with K consecutive rows each.
      dropout: a `noise.Dropout`.
      mask: bool [B, T, T], True where a position may attend to another; None: to all that are not padding. Two-stream
        attention, blockwise attention and positions that do not attend to themselves can be expressed by it. A
        position that may attend to none has no defined state.
      attended: an `attention.Seen` that receives the cross-attention weights of every block; or None.

    Returns:
      The decoder states, float [B, T, D].
    """
    seen = tf.sequence_mask(lengths, tf.shape(canvas)[1])[:, None] if mask is None else mask
    return self.decoder(canvas, seen, memory.states, memory.mask, dropout=dropout, seen=attended)

  def token_term(
      self, states: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor, *, smoothing: float = 0.0) -> types.Term:
    """Returns the `Term` of the token loss, for labels int32 [B, T], states [B, T, D] and weights float32 [B, T]."""
    total = cross_entropy.tied_cross_entropy(
      states, self.embed.table, self.embed.bias, labels, weight, smoothing)
    return types.Term(total, tf.reduce_sum(weight))

  def error_term(self, states: tf.Tensor, labels: tf.Tensor, weight: tf.Tensor) -> types.Term:
    """Returns the `Term`, of scale 0, of the share of labels that are not the likeliest token; as for `token_term`."""
    wrong = tf.cast(self.likeliest(states) != labels, tf.float32)
    return types.Term(tf.reduce_sum(wrong * weight), tf.reduce_sum(weight), 0.0)

  def top_tokens(self, states: tf.Tensor, count: int, forbid: Sequence[int] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    """float [B, T, D] -> the best tokens at each position and their log p, int32 and float32 [B, T, count].

    Logits are computed in chunks, never for all positions at once.
    """
    if self.among is not None:
      return emissions.top_among(states, self.embed.table, self.embed.bias, self.among, count, forbid)
    return emissions.top_tokens(states, self.embed.table, self.embed.bias, count, forbid, self.config.shards)

  @contextlib.contextmanager
  def only(self, tokens: tf.Tensor) -> Iterator[None]:
    """Within it `top_tokens` chooses among tokens int32 [B, C] of each sentence; see `emissions.top_among`."""
    self.among = tokens
    try:
      yield
    finally:
      self.among = None

  def best_tokens(self, states: tf.Tensor, forbid: Sequence[int] = ()) -> tuple[tf.Tensor, tf.Tensor]:
    """float [B, T, D] -> the best token at each position and its log p, int32 and float32 [B, T]."""
    return tuple(x[..., 0] for x in self.top_tokens(states, 1, forbid))

  def sampled(self, states: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
    """float [B, T, D] -> int32 [B, T], a token at each position drawn from its distribution; seed int32 [2]."""
    return emissions.sampled(states, self.embed.table, self.embed.bias, seed)

  def likeliest(self, states: tf.Tensor) -> tf.Tensor:
    """float [B, T, D] -> int32 [B, T], the best token at each position."""
    return emissions.likeliest(states, self.embed.table, self.embed.bias)


def of(model: keras.Model) -> EncoderDecoder | None:
  """Returns the encoder-decoder of a model; None if it has none, as `ar`, which holds the same parts itself."""
  return next((layer for layer in model._flatten_layers() if isinstance(layer, EncoderDecoder)), None)
