"""The autoregressive Transformer of Sun & Yang (ICML 2020): teacher, rescorer and baseline.

  p(y | x) = prod_t p(y_t | y_<t, x)        EOS is the last token

`Config.consistency` adds R-Drop (Liang, Wu et al., NeurIPS 2021, arXiv:2106.14448): each pair passes twice, with two
dropout masks, and the two predictions are drawn together:

  L = 1/2 (CE_1 + CE_2) + consistency / 2 [KL(p_1 || p_2) + KL(p_2 || p_1)]        α in the paper: 2 · consistency

With the defaults of `transformer.Config` it is the AR model of the original program: one embedding table for source,
target and output layer; learned positions; layer normalisation after the residual sum and on the embeddings; a bias
on the source embeddings.
"""
import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import beam
from tf_nar.decode import length_parallel
from tf_nar.decode import speculative
from tf_nar.layers import attention
from tf_nar.layers import embedding
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.losses import cross_entropy
from tf_nar.losses import divergence
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import tokens as tokens_lib


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Label smoothing of the token loss.
  consistency: float = 0.0  # Weight of R-Drop's divergence; 0: one pass per update, without it.
  start_from_bos: bool = False  # Search from E[BOS], as the original did, though it trained from a zero vector.

  def __post_init__(self):
    core_config.check_at_least(0, self, "consistency", group="model.")


@dataclasses.dataclass(frozen=True)
class Search:
  beam: int = 5  # Beam size: the number of hypotheses that are extended.
  candidates: int = 1  # N, the number of best hypotheses to return.
  alpha: float = 0.6  # Exponent of the length penalty.
  penalty: str = "gnmt"  # "gnmt": of ((5 + T) / 6); "length": of T.
  early_stop: bool = False  # Whether to stop at `beam` finished hypotheses, not only when no other can win.
  extra_length: int = 20  # A target has at most `length_ratio` times its source's tokens plus this number.
  length_ratio: float = 0.0  # 0: that of the training text, at least 1.
  min_length: int = 1  # The fewest tokens of a translation, EOS included, if its limit allows them.
  unknown: bool = False  # Whether a translation may contain <unk>.
  draft_block: int = 8  # With a drafter, K: the number of inputs of each block that a pass checks.
  draft_positions: int = 2  # With a drafter, R: the number of positions of the drafts that a pass goes on from.
  draft_margin: float = 0.0  # With a drafter: also accept its tokens with a logit at most this far below the best,
  draft_top: int = 0  # and among so many best tokens; 0: any.

  def __post_init__(self):
    core_config.check_at_least(1, self, "draft_block", "draft_positions", group="search.")
    core_config.check_at_least(0, self, "draft_margin", "draft_top", group="search.")
    if not 1 <= self.candidates <= self.beam:
      raise ValueError(f"search needs 1 <= candidates <= beam; got candidates={self.candidates}, beam={self.beam}.")
    core_config.check_at_least(0, self, "extra_length", "length_ratio", group="search.")
    core_config.check_at_least(1, self, "min_length", group="search.")
    core_config.check_choice("search.penalty", self.penalty, beam.PENALTIES)

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates."""
    return dataclasses.replace(self, beam=max(self.beam, count), candidates=max(self.candidates, count))


def _operations(config, source, target):
  passes = 2 if config.consistency else 1
  learned = passes * operations.whole(config.net, config.net.decoder_layers, source, target)
  return family.Operations(learned, passes * target)


TRAITS = family.Traits(
  _operations, offers=frozenset({"score_candidates", "score_tokens", "align", "limit", "translate_with", "check"}),
  autoregressive=True, smoothed=True, likelihood=lambda config: "autoregressive")


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `score` and `translate`."""

  traits = TRAITS
  no_decay = ("source_bias",)

  def __init__(self, config: Config):
    super().__init__(name="ar")
    self.config = config
    net = config.net
    self.embed = embedding.Embedding(net, name="embed")
    self.source_bias = self.add_weight(name="source_bias", shape=(net.width,), initializer="zeros")
    self.encoder = transformer.Stack(net, net.encoder_layers, name="encoder")
    self.decoder = transformer.Stack(net, net.decoder_layers, cross=True, name="decoder")
    self.built = True

  def encode(self, src: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """int32 [B, S] -> float [B, S, D]."""
    x = self.embed.look_up_source(src) + self.embed.positions(tf.shape(src)[1])
    x += tf.cast(tf.convert_to_tensor(self.source_bias), x.dtype)
    return self.encoder(x, masking.valid(src)[:, None], dropout=dropout)

  def states(
      self, src: tf.Tensor, tgt: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT,
      attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns decoder states float [B, T, D] at every target position, given the tokens before it.

    If `tgt` has more rows than `src`, each source has the same number of consecutive targets. `attended` is an
    `attention.Seen` of cross-attention, or None.
    """
    return self.decode(self.encode(src, dropout), src, tgt, dropout, attended)

  def decode(
      self, memory: tf.Tensor, src: tf.Tensor, tgt: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT,
      attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns `states`, given memory = encode(src)."""
    # Differs: the original searched from E[BOS]; here training and search both start from a zero vector.
    x = masking.shift_right(self.embed.look_up(tgt)) + self.embed.positions(tf.shape(tgt)[1])
    return self.decoder(
      x, masking.causal(tf.shape(tgt)[1]), memory, masking.valid(src)[:, None], dropout=dropout, seen=attended)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Label-smoothed cross-entropy per target token.

    # Differs: the original subtracts a constant that depends on the smoothing; the gradient is the same.
    """
    dropout = noise_lib.Dropout(seed if training else None)
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    if training and self.config.consistency:
      return self._consistent(batch, weight, dropout)
    states = self.states(batch.src, batch.tgt, dropout)
    total = cross_entropy.tied_cross_entropy(
      states, self.embed.table, self.embed.bias, batch.tgt, weight, self.config.smoothing)
    return types.Loss({"token": types.Term(total, tf.reduce_sum(weight))})

  def _consistent(self, batch, weight, dropout):
    """Returns the `Loss` of R-Drop."""
    states = self.states(tf.tile(batch.src, [2, 1]), tf.tile(batch.tgt, [2, 1]), dropout)
    found = divergence.compare(
      tf.stack(tf.split(states, 2)), self.embed.table, self.embed.bias, batch.tgt, [(0, 1)],
      masking.valid(batch.tgt))
    token = tf.reduce_sum(tf.reduce_mean(found.cross_entropy(self.config.smoothing), 0) * weight)
    apart, count = tf.reduce_sum(found.divergence[0] * weight), tf.reduce_sum(weight)
    return types.Loss({
      "token": types.Term(token, count), "consistency": types.Term(apart, count, self.config.consistency)})

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(tgt | src), float32 [B]: all tokens and EOS, no smoothing, no length penalty."""
    return self.embed.log_prob(self.states(src, tgt), tgt)

  def score_tokens(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y_t | y_<t, x) of each token, float32 [B, T]; their sum is the score."""
    return self.embed.token_log_probs(self.states(src, tgt), tgt)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention at each position of tgt, which predicts its token: float32 [B, T, S]."""
    return attention.alignment_of(lambda seen: self.states(src, tgt, attended=seen), src, tgt)

  def score_candidates(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p of tgt int32 [B, N, T], N targets of each source, which is encoded once: float32 [B, N]."""
    shape = tf.shape(tgt)
    return tf.reshape(self.score(src, tf.reshape(tgt, [-1, shape[2]])), shape[:2])

  def limit(self, search: Search, source: int | tf.Tensor) -> tf.Tensor:
    """Returns the greatest target length of a search, for source lengths int32; both count EOS."""
    return limit(search, source, self.config.net.max_length)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Beam search; `rescore`, such as the score of another teacher, reranks the n-best list."""
    return self.translate_with([], src, search, rescore)

  def translate_with(
      self, others: list["Model"], src: tf.Tensor, search: Search,
      rescore: types.Rescore | None = None) -> types.Translation:
    """Beam search by the mean log p of this model and `others` for each next token; see `translate`."""
    most, longest = limits(search, src, self.config.net.max_length)
    steps, caches = zip(*(model.stepper(src, search.beam, longest) for model in (self, *others)), strict=True)

    def step(tokens, t, caches):
      logits, caches = zip(*(each(tokens, t, own) for each, own in zip(steps, caches, strict=True)), strict=True)
      return logits if others else logits[0], caches

    found = beam.beam_search(
      step, caches, most, steps=longest, forbid=forbidden(search), **ranking(search))
    return found if rescore is None else length_parallel.ranked(
      found, rescore, alpha=search.alpha, penalty=search.penalty)

  def stepper(self, src: tf.Tensor, rows: int | tf.Tensor, longest: int | tf.Tensor) -> tuple[Callable, list]:
    """Returns the `step` of a `beam_search` with `rows` hypotheses per sentence, and its first state."""
    memory = self.decoder.project(self.encode(src))
    inputs = masking.valid(src)[:, None]
    start = self.embed.look_up([types.BOS]) * float(self.config.start_from_bos)  # [1, D]
    positions = self.embed.positions(longest)

    def step(tokens, t, cache):
      x = self.embed.look_up(tokens[:, None])  # [B K, 1, D]
      x = tf.where(t == 0, start, x) + positions[t]
      states, cache = self.decoder.step(x, t, cache, memory, inputs)
      return self.embed.logits(states[:, 0]), cache

    return step, self.decoder.start_cache(tf.shape(src)[0] * rows, longest)

  def check(self, src: tf.Tensor, drafts: tf.Tensor, search: Search) -> types.Translation:
    """Returns the greedy translation, the best token at each step, by means of drafts; see `decode/speculative.py`.

    This is not `beam=1`, which may end a translation at a step where EOS is the second best token.

    Args:
      src: int32 [B, S].
      drafts: int32 [B, N, T], translations of each source by another model, as in `types.Translation`.
      search: a `Search`; of its settings only the limits of the length, `unknown` and `draft_...` matter.

    Returns:
      A `types.Translation` of one candidate.
    """
    sentences, block = tf.shape(src)[0], search.draft_block
    memory, seen = self.decoder.project(self.encode(src)), masking.valid(src)[:, None]
    most, longest = limits(search, src, self.config.net.max_length)
    start = self.embed.look_up([types.BOS]) * float(self.config.start_from_bos)  # [1, D]
    # Within a block, an input attends to itself and those before it; blocks do not attend to each other.
    number = tf.range(search.draft_positions * block)
    own = (number // block == number[:, None] // block) & (number <= number[:, None])  # [R K, R K]

    def step(inputs, count, cache):
      positions = tf.minimum(count[:, None] + number % block, longest - 1)  # [B, R K]
      x = tf.where((positions == 0)[..., None], start, self.embed.look_up(tf.reshape(inputs, tf.shape(positions))))
      past = tf.sequence_mask(count, longest)[:, None] & tf.ones_like(own[:, :1])  # [B, R K, longest]
      mask = tf.concat([past, tf.broadcast_to(own, [sentences, *own.shape])], 2)
      states, new = self.decoder.extend(x + self.embed.at(positions, longest), mask, cache, memory, seen)
      return tf.reshape(self.embed.logits(states), [*tf.unstack(tf.shape(inputs)), self.config.net.vocab]), new

    def commit(cache, new, chosen, count, more):
      offset = tf.range(longest) - count[:, None]  # [B, longest]
      there = (offset >= 0) & (offset < more[:, None])
      return self.decoder.keep(cache, new, tf.where(there, chosen[:, None] * block + offset, -1))

    return speculative.speculative(
      step, commit, self.decoder.start_cache(sentences, longest), drafts, most, steps=longest,
      drafting=speculative.Drafting(block, search.draft_positions, search.draft_margin, search.draft_top),
      forbid=tokens_lib.forbidden(search.unknown))


def forbidden(search: Search) -> tuple:
  """Returns the ids that a beam search does not predict, and EOS among the first tokens; see `beam.beam_search`."""
  early = ((types.EOS, search.min_length - 1),) if search.min_length > 1 else ()
  return (*tokens_lib.forbidden(search.unknown), *early)


def ranking(search: Search) -> dict[str, Any]:
  """Returns the arguments of `beam.beam_search` that a `Search` names."""
  return {"beam": search.beam, "nbest": search.candidates, "alpha": search.alpha, "penalty": search.penalty,
          "early_stop": search.early_stop}


def limit(search: Search, source: int | tf.Tensor, longest: int | tf.Tensor) -> tf.Tensor:
  """Returns the greatest target length of a `Search`, for source lengths int32, at most `longest`; all count EOS."""
  if search.length_ratio not in {0, 1}:
    source = tf.cast(tf.math.ceil(tf.cast(source, tf.float32) * search.length_ratio), tf.int32)
  return tf.minimum(source + search.extra_length, longest)


def limits(search: Search, src: tf.Tensor, longest: int | tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the limit of each source int32 [B, S], int32 [B], 0 for a padding row; and one that none exceeds, []."""
  most = limit(search, tf.shape(src)[1], longest)
  each = tf.minimum(limit(search, masking.lengths(src), longest), most)
  return tf.where(masking.valid(src)[:, 0], each, 0), most
