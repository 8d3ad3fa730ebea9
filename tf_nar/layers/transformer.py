"""The Transformer of the original program, with pre-norm and sine positions as options.

`Config.norm` selects the layout of a sub-layer f:
  post   x <- LN(x + dropout(f(x)))              after the embeddings: dropout, then LN
  pre    x <- x + dropout(f(LN(x)))              after the embeddings: dropout; a final LN at the end of the stack
"""
import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar.layers import attention
from tf_nar.layers import dense as dense_lib
from tf_nar.layers import norm as norm_lib
from tf_nar.layers import shards
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import noise as noise_lib

TIES = "auto", "all", "target", "none"  # Values of `Config.tie`.
# Sizes by name: those of Vaswani et al. (arXiv:1706.03762, table 3), and of Wu et al. (ACL 2021) for Multi30k, "tiny".
SIZES = {
  "tiny": dict(width=128, ffn=256, heads=4, encoder_layers=4, decoder_layers=4),
  "small": dict(width=256, ffn=1024, heads=4, encoder_layers=5, decoder_layers=5),
  "base": dict(width=512, ffn=2048, heads=8, encoder_layers=6, decoder_layers=6),
  "big": dict(width=1024, ffn=4096, heads=16, encoder_layers=6, decoder_layers=6),
}


@dataclasses.dataclass(frozen=True)
class Config:
  """Sizes and layout of an encoder-decoder."""

  NAMED: ClassVar[dict] = SIZES  # See `config.override`.

  vocab: int = 0  # V, the vocabulary size; 0: that of the data.
  source_vocab: int = 0  # The size of a separate source vocabulary; 0: that of the data, or none, as V is of both.
  tie: str = "auto"  # What shares a token table: "all", "target" (target and output layer), "none"; "auto": all it can.
  width: int = 512  # D, the model dimension.
  ffn: int = 2048  # Inner dimension of the feed-forward sub-layers.
  heads: int = 8  # H, the number of attention heads; each has width / heads features.
  encoder_layers: int = 6  # Number of encoder blocks.
  decoder_layers: int = 6  # Number of decoder blocks.
  dropout: float = 0.1  # Dropout rate after the embeddings and after every sub-layer.
  attention_dropout: float = 0.1  # Dropout rate of the attention weights.
  relu_dropout: float = 0.1  # Dropout rate inside a feed-forward sub-layer, after its ReLU.
  max_length: int = 256  # The longest source or target in tokens, EOS included.
  positions: str = "learned"  # Position embeddings: "learned" or "sine".
  norm: str = "post"  # Layer normalisation: "post", after each sub-layer, or "pre", before it.
  epsilon: float = 1e-12  # Epsilon of layer normalisation; the original program's.
  shards: int = 1  # Shards of every sub-layer, computed in parallel on several cores; for translation only.
  dtype: str = "float32"  # Or "mixed_bfloat16"; for translation only also "bfloat16", with bfloat16 weights.

  def __post_init__(self):
    core_config.check_at_least(1, self, "width", "ffn", "heads", "encoder_layers", "max_length", group="net.")
    core_config.check_at_least(0, self, "vocab", "decoder_layers", group="net.")
    for name in ("dropout", "attention_dropout", "relu_dropout"):
      if not 0 <= getattr(self, name) < 1:
        raise ValueError(f"net.{name} must be at least 0 and below 1; got {getattr(self, name)}.")
    core_config.check_choice("net.norm", self.norm, ("post", "pre"))
    core_config.check_choice("net.positions", self.positions, ("learned", "sine"))
    core_config.check_choice("net.dtype", self.dtype, ("float32", "mixed_bfloat16", "bfloat16"))
    core_config.check_choice("net.tie", self.tie, TIES)
    if self.tie == "all" and self.source_vocab:
      raise ValueError("net.tie=all needs one vocabulary for source and target, but the data has two; choose target or "
                       "none, or prepare the data without --separate_vocab.")
    if self.shards < 1 or self.heads % self.shards or self.ffn % self.shards:
      raise ValueError(f"net.shards must divide net.heads ({self.heads}) and net.ffn ({self.ffn}); "
                       f"got {self.shards}.")

  @property
  def tied(self) -> str:
    """`tie`, with "auto" resolved: "all" with a joint vocabulary, "target" with two."""
    if self.tie != "auto":
      return self.tie
    return "target" if self.source_vocab else "all"


SMALL, BASE, BIG = (Config(**SIZES[name]) for name in ("small", "base", "big"))
TINY = Config(
  **SIZES["tiny"], dropout=0.3, attention_dropout=0.0, relu_dropout=0.0, max_length=128, positions="sine", epsilon=1e-6,
  dtype="mixed_bfloat16")


class Context(NamedTuple):
  """Inputs of a block's sub-layers other than the states; see `Attention.call`."""

  penalty: Any  # Of self-attention.
  memory: Any  # The result of `Block.project`; None: no cross-attention.
  memory_penalty: Any  # Of cross-attention.
  sentences: Any
  dropout: Any
  cache: Any  # One entry per shard.
  at: Any
  seen: Any  # An `attention.Seen` of cross-attention, or None.
  entered: Any  # float [B·T, D], the input of the stack's first block.


class Block(keras.layers.Layer):
  """Self-attention, cross-attention if `cross`, and feed-forward sub-layer, each in a residual branch.

  Each sub-layer is a list of `net.shards` layers whose outputs are summed. They do not depend on each other, so that
  several cores can compute them in parallel. For blocks with other sub-layers or another residual connection, extend
  this class, override `branches`, `join` and `leave`, and pass it to `Stack`. `sharded` names the attributes that are
  such lists; a single shard has the name of its attribute.
  """

  sharded = ("self_attend", "cross_attend", "ffn_in", "ffn_out")

  def __init__(self, config: Config, cross: bool, **kw: Any):
    super().__init__(dtype=config.dtype, **kw)
    self.config = config
    attend = lambda name, cross: [attention.Attention(
      config.width, config.heads, config.attention_dropout, cross, config.shards, name=each, dtype=config.dtype)
      for each in shards.names(name, config.shards)]
    self.self_attend = attend("self_attend", False)
    self.cross_attend = attend("cross_attend", True) if cross else []
    dense = lambda units, name, **kw: [
      dense_lib.Dense(units, name=each, dtype=config.dtype, **kw) for each in shards.names(name, config.shards)]
    self.ffn_in = dense(config.ffn // config.shards, "ffn_in", activation="relu", projections=1)
    self.ffn_out = dense(config.width, "ffn_out")
    self.norms = [norm(config, f"norm_{i}") for i in range(len(self.branches(None)))]

  def build(self, shape: tuple) -> None:
    for part in (*self.self_attend, *self.cross_attend, *self.ffn_in, *self.norms):
      part.build(shape)
    for part in self.ffn_out:
      part.build((*shape[:-1], self.config.ffn // self.config.shards))
    self.built = True

  def branches(self, context: Context) -> list[Callable]:
    """Returns the sub-layers in order: functions that map float [B·T, D] to one pair (output, cache) per shard.

    The cache of the first, self-attention, is what `call` returns.
    """
    methods = [self._self_attend, *[self._cross_attend] * bool(self.cross_attend), self._feed_forward]
    return [functools.partial(method, context) for method in methods]

  def join(self, number: int, x: tf.Tensor, out: tf.Tensor) -> tf.Tensor:
    """Combines the input x of sub-layer `number` with its output after dropout; by default the residual sum."""
    return x + out

  def leave(self, x: tf.Tensor, context: Context) -> tf.Tensor:
    """Returns the block's output, given that of its last sub-layer; by default the same."""
    return x

  def call(
      self, x: tf.Tensor, penalty: tf.Tensor, memory: list | None = None, memory_penalty: tf.Tensor | None = None, *,
      sentences: int | tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT, past: tuple = (None, None, None),
      entered: tf.Tensor | None = None) -> tuple[tf.Tensor, tuple]:
    """float [B·T, D] -> float [B·T, D] and the new cache of each shard.

    The arguments are the fields of `Context`; `past` is `cache`, `at` and `seen`.
    """
    context = Context(penalty, memory, memory_penalty, sentences, dropout, *past, entered)
    kept = []  # Of each branch, the caches of its shards.
    for number, (layer_norm, branch) in enumerate(zip(self.norms, self.branches(context), strict=True)):
      outs, caches = zip(*branch(layer_norm(x) if self.config.norm == "pre" else x), strict=True)
      x = self.join(number, x, context.dropout.drop(functools.reduce(operator.add, outs), self.config.dropout))
      if self.config.norm == "post":
        x = layer_norm(x)
      kept.append(caches)
    return self.leave(x, context), kept[0]

  def project(self, memory: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT) -> list:
    """Returns each shard's keys and values of a memory [B, S, D], to be computed once per sentence."""
    return [part.project(memory, dropout) for part in self.cross_attend]

  def _self_attend(self, context, y):
    cache = context.cache or [None] * self.config.shards
    return [part(y, context.penalty, sentences=context.sentences, dropout=context.dropout, cache=own, at=context.at)
            for part, own in zip(self.self_attend, cache, strict=True)]

  def _cross_attend(self, context, y):
    return [part(y, context.memory_penalty, sentences=context.sentences, keys_values=own, dropout=context.dropout,
                 seen=context.seen)
            for part, own in zip(self.cross_attend, context.memory, strict=True)]

  def _feed_forward(self, context, y):
    return [(ffn_out(context.dropout.drop(ffn_in(y), self.config.relu_dropout)), None)
            for ffn_in, ffn_out in zip(self.ffn_in, self.ffn_out, strict=True)]


class Stack(keras.layers.Layer):
  """A stack of blocks over embedded tokens: an encoder, or a decoder if `cross`."""

  def __init__(self, config: Config, depth: int, cross: bool = False, block: type[Block] = Block, **kw: Any):
    """Args: block: `Block`, or a class that extends it."""
    super().__init__(dtype=config.dtype, **kw)
    self.config = config
    self.blocks = [block(config, cross, name=f"block_{i}") for i in range(depth)]
    self.norm = norm(config, "norm")
    self.build((None, None, config.width))

  def build(self, shape: tuple) -> None:
    # Here and not in __init__, so that the weights' paths, by which a run loads them, begin with this stack's name.
    for part in (*self.blocks, self.norm):
      part.build(shape)

  def call(
      self, x: tf.Tensor, mask: tf.Tensor, memory: tf.Tensor | list | None = None, memory_mask: tf.Tensor | None = None,
      dropout: noise_lib.Dropout = NO_DROPOUT, seen: attention.Seen | None = None) -> tf.Tensor:
    """Runs over whole sequences; see `layers`, of whose result this is the last: float [B, T, D]."""
    return self.layers(x, mask, memory, memory_mask, dropout, seen)[-1]

  def layers(
      self, x: tf.Tensor, mask: tf.Tensor, memory: tf.Tensor | list | None = None, memory_mask: tf.Tensor | None = None,
      dropout: noise_lib.Dropout = NO_DROPOUT, seen: attention.Seen | None = None) -> list[tf.Tensor]:
    """Runs over whole sequences.

    Args:
      x: float [B, T, D], embedded.
      mask: bool [B or 1, T or 1, T], True where a position may be attended to.
      memory: float [B, S, D] if `cross`, or a list of one for each block, or the result of `project` for either.
      memory_mask: bool [B, 1 or T, S].
      seen: to which each block appends the cross-attention weights of every shard; or None.

    Returns:
      The output of each block, a list of float [B, T, D]; the last one is the stack's output.
    """
    plain = isinstance(memory, tf.Tensor) or (memory and isinstance(memory[0], tf.Tensor))
    memory = self.project(memory, dropout) if plain else memory
    hidden = attention.penalty(mask, x.dtype)
    memory_hidden = None if memory is None else attention.penalty(memory_mask, x.dtype)
    shape = tf.shape(x)
    entered = x = self._enter(tf.reshape(x, [-1, self.config.width]), dropout)
    states = [] if self.blocks else [x]
    for i, block in enumerate(self.blocks):
      x, _ = block(x, hidden, memory and memory[i], memory_hidden, sentences=shape[0], dropout=dropout,
                   past=(None, None, seen), entered=entered)
      states.append(x)
    return [tf.reshape(each, shape) for each in (*states[:-1], self._leave(states[-1]))]

  def project(self, memory: tf.Tensor | list[tf.Tensor], dropout: noise_lib.Dropout = NO_DROPOUT) -> list:
    """Returns the result of every block's `project` for one memory [B, S, D], or for a list of one per block."""
    own = [memory] * len(self.blocks) if isinstance(memory, tf.Tensor) else memory
    return [block.project(each, dropout) for block, each in zip(self.blocks, own, strict=True)]

  def start_cache(self, rows: int | tf.Tensor, length: int | tf.Tensor) -> list:
    """Returns an empty cache: for every shard of every block, keys and values, float [rows, H, length, d] each."""
    net = self.config
    shape = [rows, net.heads // net.shards, length, net.width // net.heads]
    return [((tf.zeros(shape, self.compute_dtype),) * 2,) * net.shards for _ in self.blocks]

  def step(
      self, x: tf.Tensor, at: int | tf.Tensor, cache: list, memory: list,
      memory_mask: tf.Tensor) -> tuple[tf.Tensor, list]:
    """Runs over one new position: x [rows, 1, D] at position `at`, which attends to itself and those before it.

    With x [rows, Q, D] the other Q - 1 positions attend to the same ones, and none to them, as the query stream of
    two-stream attention does. Returns float [rows, Q, D] and the new cache.
    """
    positions = tf.range(tf.shape(cache[0][0][0])[2])
    return self._after(x, (positions <= at)[None, None], cache, tf.convert_to_tensor(at), memory, memory_mask)

  def extend(
      self, x: tf.Tensor, mask: tf.Tensor, cache: list, memory: list, memory_mask: tf.Tensor) -> tuple[tf.Tensor, list]:
    """Runs over T new positions x [B, T, D] of several possible continuations, without writing the cache.

    `mask`, bool [B, T, S + T], says which of the S positions of the cache and of the new ones each may attend to.
    Returns float [B, T, D], and the new keys and values, of which `keep` writes some.
    """
    return self._after(x, mask, cache, None, memory, memory_mask)

  def keep(self, cache: list, new: list, number: tf.Tensor) -> list:
    """Returns the cache with new keys and values: `number` int32 [B, S] is which of the T to write; -1: none."""
    write = (number >= 0)[:, None, :, None]

    def put(old, fresh):  # [B, H, S, d], [B, H, T, d]
      which = tf.one_hot(number, tf.shape(fresh)[2], dtype=fresh.dtype)
      return tf.where(write, tf.einsum("bst,bhtd->bhsd", which, fresh), old)

    return tf.nest.map_structure(put, cache, new)

  def _after(self, x, mask, cache, at, memory, memory_mask):
    hidden, memory_hidden = (attention.penalty(each, x.dtype) for each in (mask, memory_mask))
    shape, new = tf.shape(x), []
    entered = x = self._enter(tf.reshape(x, [-1, self.config.width]), NO_DROPOUT)
    for i, block in enumerate(self.blocks):
      x, kept = block(x, hidden, memory[i], memory_hidden, sentences=shape[0], past=(cache[i], at, None),
                      entered=entered)
      new.append(kept)
    return tf.reshape(self._leave(x), shape), new

  def _enter(self, x, dropout):
    x = dropout.drop(x, self.config.dropout)
    return self.norm(x) if self.config.norm == "post" else x

  def _leave(self, x):
    return self.norm(x) if self.config.norm == "pre" else x


def norm(config: Config, name: str) -> norm_lib.LayerNorm:
  """Returns a layer normalisation, whose two small weights are float32 even where all others are bfloat16."""
  dtype = "mixed_bfloat16" if config.dtype == "bfloat16" else config.dtype
  return norm_lib.LayerNorm(epsilon=config.epsilon, name=name, dtype=dtype)
