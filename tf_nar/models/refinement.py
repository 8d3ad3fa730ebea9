"""Deterministic refinement: Lee, Mansimov & Cho (EMNLP 2018, arXiv:1802.06901), "Deterministic NAR Sequence Modeling".

  p_1 = p(. | a copy of x, x),   p_{i+1} = p(. | ŷ_i + h_i, x)       ŷ_i: argmax of p_i; h_i: its states
  J   = -Σ_i Σ_t log p_i(y_t)                                        always of the true target y

In training, with probability p_DAE, a pass after the first reads a corrupted copy of y in place of ŷ_i, beside the same
h_i, through which the gradient flows into all earlier passes.

  in the paper or its program                    here
  decoder 1, the first guess                     `Model.net`
  decoder 2, all later iterations                `Model.refiner`
  iterations in training, 4                      `Config.iterations`
  ŷ_i: argmax or sample                          `Config.guess`
  p_DAE, 0.5; a coin per sentence, iteration     `Config.denoise`
  repeat, replace, swap; share β of the tokens   `ops/corruption.py`; `Config.noise_first`, `noise_last`
  positional attention, highway feed-forward     `layers/highway.py`, `layers/positional.py`
  encoder layer l under decoder layer l          `EncoderDecoder(layerwise=True)`
  T - S, predicted from a mean of the states     `layers/lengths.py`, which leaves padding out of the mean
  iterations in translation; adaptive stopping   `Search.passes`; `Search.stop`, `Search.patience`; `decode/rewrite.py`

# Differs: by default one table of embeddings serves source, both decoders and the output. The encoder has no highways,
so that it can start from a teacher's. The length has classes up to ±64, not ±20. The program tosses one coin for a
whole batch, adds dropout to the length's logits, stops the gradient from the length head, and leaves the last encoder
block out of its input. Attention is scaled by the width of a head, not of the model. The loss is a mean over iterations
and tokens, without padding.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.decode import rewrite
from tf_nar.layers import attention
from tf_nar.layers import embedding
from tf_nar.layers import encoder_decoder
from tf_nar.layers import highway
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.models import one_pass
from tf_nar.ops import copying
from tf_nar.ops import corruption
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations as operations_lib
from tf_nar.ops import tokens as tokens_lib

_DROPOUT, _COINS, _NOISE, _GUESS = range(4)  # Numbers of the random streams.
GUESSES = ("argmax", "sample")


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  iterations: int = 4  # Decoder passes in training; 1: the first guess alone, which then cannot be refined.
  denoise: float = 0.5  # p_DAE, how often a pass reads a corrupted target, not the tokens of the pass before.
  guess: str = "argmax"  # The tokens of the pass before: "argmax" or "sample".
  noise_first: float = 0.63  # β, the share of corrupted tokens, for the second pass.
  noise_last: float = 0.1  # β for the last pass; linear in between.
  length_factor: float = 0.1  # Weight of the length loss; in the score, log p of the length has weight 1.

  def __post_init__(self):
    core_config.check_at_least(1, self, "iterations", group="model.")
    core_config.check_choice("model.guess", self.guess, GUESSES)
    for name in ("denoise", "noise_first", "noise_last"):
      if not 0 <= getattr(self, name) <= 1:
        raise ValueError(f"model.{name} is from 0 to 1; got {getattr(self, name)}.")
    if self.net.encoder_layers != self.net.decoder_layers:
      raise ValueError(
        f"refinement needs as many encoder as decoder layers, since decoder block l attends to encoder block l; got "
        f"{self.net.encoder_layers} and {self.net.decoder_layers}; set model.net.encoder_layers and "
        "model.net.decoder_layers to one number.")

  def noise(self, iteration: int) -> float:
    """Returns β for the input of the pass `iteration`, counted from 0; the first, 0, reads no target."""
    share = (iteration - 1) / max(self.iterations - 2, 1)
    return self.noise_first + (self.noise_last - self.noise_first) * share


@dataclasses.dataclass(frozen=True)
class Search:
  passes: int = 4  # The greatest number of decoder passes, iterations in the paper; the first reads no tokens.
  stop: str = "never"  # Whether a candidate is finished once passes keep its tokens: "never", "same", or "bag": in any
  # order.
  patience: int = 1  # How many passes in a row must keep them.
  candidates: int = 1  # N: the N most probable lengths are decoded in parallel.
  odd: bool = False  # Reads the last pass by optimal de-duplicated decoding, which keeps the length.
  odd_everywhere: bool = False  # Whether `odd` applies to digits within a word too.
  collapse: bool = True  # Whether to remove a token that equals the one before it, unless both are within one word.
  alpha: float = 0.6  # Exponent of the length penalty in rescoring, as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    core_config.check_at_least(1, self, "passes", "patience", "candidates", group="search.")
    core_config.check_choice("search.stop", self.stop, rewrite.STOPS)

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


def check(config: Config, search: Search) -> None:
  """Raises ValueError for several passes of a model that was trained to make only one, or a table that it never reads.
  """
  embedding.check_read(config.net, config.iterations > 1)
  if config.iterations == 1 and search.passes > 1:
    raise ValueError(f"A model trained with model.iterations=1 cannot refine its first guess; got search.passes="
                     f"{search.passes}; set search.passes=1, or train with model.iterations=4.")


def _operations(config, source, target):
  net, passes = config.net, config.iterations
  decoder = operations_lib.decoder(net, net.decoder_layers, target, source)
  own = 2 * net.width**2 * target + net.width * target**2 + 2 * net.width * net.ffn * target
  learned = operations_lib.encoder(net, source) + passes * (decoder + net.decoder_layers * own)
  learned -= max(passes - 2, 0) * net.decoder_layers * 2 * net.width**2 * source  # Projected once for decoder 2.
  again = (passes - 1) * target * (config.denoise < 1)
  return family.Operations(learned + operations_lib.output(net, passes * target), passes * target,
                           operations_lib.output(net, again), again)


TRAITS = family.Traits(_operations, offers=frozenset({"trace", "align"}), side_by_side=True, check=check,
                       copies={"refiner/": "decoder/"}, proxy=lambda config: "inputs, adaptive; inputs, fixed")


class Model(keras.Model):
  """See the module docstring. The interface of a family is the methods from `objective` on."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="refinement")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(
      config.net, decoder_layers=config.net.decoder_layers, length="offset", block=highway.Block, layerwise=True)
    if config.iterations > 1:
      self.refiner = transformer.Stack(
        config.net, config.net.decoder_layers, cross=True, block=highway.Block, name="refiner")
    self.built = True

  def first(
      self, src: tf.Tensor, memory: encoder_decoder.Memory, lengths: tf.Tensor, positions: int | tf.Tensor,
      dropout: noise_lib.Dropout = NO_DROPOUT, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states of the first pass, float [B, T, D], for targets of `lengths` [B].

    Its input is a copy of the embedded source at even steps, token plus position embeddings.
    """
    which = copying.uniform(masking.lengths(src), lengths, positions)
    canvas = tf.gather(self.net.source_canvas(src), which, batch_dims=1) + self.net.embed.positions(positions)
    return self.net.decode(canvas, lengths, memory, dropout, attended=attended)

  def again(
      self, tokens: tf.Tensor, states: tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states of a later pass, float [B, T, D].

    Args:
      tokens: int32 [B, T], PAD past the length.
      states: float [B, T, D], of the pass before.
      memory: a `Memory` with the refiner's keys and values.
      attended: as in `encoder_decoder.EncoderDecoder.decode`.
    """
    seen, x = masking.valid(tokens)[:, None], self.net.canvas(tokens) + states
    return self.refiner(x, seen, memory.states, memory.mask, dropout=dropout, seen=attended)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Cross-entropy per target token, the mean of all iterations, plus `length_factor` times that of the length.

    If not `training`, each iteration reads the tokens of the one before.
    """
    dropout = noise_lib.Dropout(noise_lib.stream(seed, _DROPOUT) if training else None)
    inside, lengths = masking.valid(batch.tgt), masking.lengths(batch.tgt)
    memory = self.net.encode(batch.src, dropout)
    passes = [self.first(batch.src, memory, lengths, tf.shape(batch.tgt)[1], dropout)]
    if self.config.iterations > 1:
      later = memory._replace(states=self.refiner.project(memory.states, dropout))
    for iteration in range(1, self.config.iterations):
      if training and self.config.guess == "sample":
        guess = self.net.sampled(passes[-1], noise_lib.stream(noise_lib.stream(seed, _GUESS), iteration))
      else:
        guess = self.net.likeliest(passes[-1])
      read = tf.where(inside, guess, types.PAD)
      if training:
        read = self._corrupted(seed, iteration, batch.tgt, read)
      passes.append(self.again(read, passes[-1], later, dropout))
    count = [self.config.iterations, 1]
    weight = tf.cast(inside, tf.float32) * batch.weight[:, None]
    return types.Loss({
      "token": self.net.token_term(tf.concat(passes, 0), tf.tile(batch.tgt, count), tf.tile(weight, count)),
      "length": self.net.length_term(memory, lengths, batch.weight, scale=self.config.length_factor),
    })

  def _corrupted(self, seed, iteration, tgt, read):
    """Returns `read`, int32 [B, T], or for a share `denoise` of the sentences a corrupted target in its place."""
    stream = lambda number: noise_lib.stream(noise_lib.stream(seed, number), iteration)
    coins = noise_lib.uniform(tf.shape(tgt)[:1], stream(_COINS)) < self.config.denoise
    noisy = corruption.corrupted(stream(_NOISE), tgt, self.config.noise(iteration), self.config.net.vocab)
    return tf.where(coins[:, None], noisy, read)

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(T | x) + Σ_t log p_1(y_t | x, T), float32 [B]: the likelihood of the first guess.

    The result of several passes has no likelihood under this model.
    """
    memory, lengths = self.net.encode(src), masking.lengths(tgt)
    states = self.first(src, memory, lengths, tf.shape(tgt)[1])
    return self.net.length_log_prob(memory, lengths) + self.net.embed.log_prob(states, tgt)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention of a pass that reads the target, float32 [B, T, S]; without later passes that
    of the first guess.
    """
    memory, lengths, positions = self.net.encode(src), masking.lengths(tgt), tf.shape(tgt)[1]
    guess = lambda seen=None: self.first(src, memory, lengths, positions, attended=seen)
    if self.config.iterations == 1:
      return attention.alignment_of(guess, src, tgt)
    states, later = guess(), memory._replace(states=self.refiner.project(memory.states))
    return attention.alignment_of(lambda seen: self.again(tgt, states, later, attended=seen), src, tgt)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Makes `search.passes` passes for all length candidates at once; ranked as by `rewrite.ranked`."""
    return self._translate(src, search, rescore, False)[0]

  def trace(
      self, src: tf.Tensor, search: Search,
      rescore: types.Rescore | None = None) -> tuple[types.Translation, types.Trace]:
    """Returns the `types.Translation` of `translate` and its `types.Trace`; the first pass reads source tokens."""
    return self._translate(src, search, rescore, True)

  def _translate(self, src, search, rescore, trace):
    check(self.config, search)
    memory = self.net.encode(src)
    lengths = length_parallel.likeliest(self.net.length_logits(memory), search.candidates)
    lengths = length_parallel.nonempty(lengths, src)
    positions = length_parallel.positions(lengths, self.config.net.max_length, src)
    lengths, sources = tf.reshape(lengths, [-1]), tf.repeat(src, search.candidates, axis=0)  # [B·N]
    earlier = self.net.project(memory)
    if search.passes > 1:
      later = memory._replace(states=self.refiner.project(memory.states))

    def read(states):
      token, log_prob = self.net.best_tokens(states, tokens_lib.forbidden(search.unknown))
      return tf.where(tf.sequence_mask(lengths, positions), token, types.PAD), log_prob, states

    last, passes, steps = rewrite.rewrite(
      lambda: read(self.first(sources, earlier, lengths, positions)),
      lambda tokens, states: read(self.again(tokens, states, later)),
      search.passes, stop=search.stop, patience=search.patience, trace=trace)
    predicted = one_pass.predictions(self.net, last.states, lengths, search) if search.odd else None
    found, order = rewrite.ranked(
      last, passes, search.candidates, rescore, predicted=predicted, collapse=search.collapse,
      free=self.net.repeatable, alpha=search.alpha)
    if not trace:
      return found, None
    which = copying.uniform(masking.lengths(sources), lengths, positions)
    copied = tf.where(tf.sequence_mask(lengths, positions), tf.gather(sources, which, batch_dims=1), types.PAD)
    return found, rewrite.traced(copied, steps, order)
