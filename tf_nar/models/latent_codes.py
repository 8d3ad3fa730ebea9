"""The Latent Transformer: Kaiser et al., "Fast Decoding in Sequence Models Using Discrete Latent Variables", ICML 2018,
with the bottlenecks of Roy et al., "Theory and Experiments on Vector Quantized Autoencoders", arXiv:1805.11063.

  p(y, T | x) = p(T | x) Σ_c Π_m p(c_m | c_<m, x) Π_i p(y_i | c, x, T)        M = T / 2^c codes, rounded up

A few codes for a whole sentence are predicted one after the other, and then all tokens at once.

  in the papers or their program             here
  ae(y), latent predictor, decoder           `compressor`, `prior`, `net.decoder`
  c = 3, n / 8 latents                       `Config.compress`
  bottleneck: VQ, EM, DVQ, hashing, Gumbel   `Config.bottleneck`, `layers/quantizer.py`
  loss: tokens, codes, commitment            terms `token`, `codes`, `commitment`
  start-up: bottleneck bypassed              `Config.bypass`, the share of training sentences
  start-up: gold targets                     `Config.gold`, the share of target positions
  mask_startup_steps of the predictor        `Config.prior`, its weight, and a phase with `Config.settled`
  2 S positions, cut at EOS                  a length head

# Differs: the length is predicted, as in the other families: the original decodes codes for 2 S positions and cuts at
EOS, which takes about twice as many steps and defines no probability of a target. The decoder is bidirectional; as it
would read a gold target at its own position, such positions have no loss, as in glancing. `Config.causal` restores the
original's causal decoder, shifted by one position. The schedules are linear. Neither the compressor nor its inverse
attends to the source. The predictor has its own embeddings. More: `layers/compression.py`, `layers/quantizer.py`.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import code_beam
from tf_nar.decode import length_parallel
from tf_nar.layers import attention
from tf_nar.layers import code_prior
from tf_nar.layers import compression
from tf_nar.layers import embedding
from tf_nar.layers import encoder_decoder
from tf_nar.layers import quantizer
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.models import one_pass
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import schedule

_NET, _CODES, _BYPASS, _GOLD = range(4)  # Numbers of the random streams.
SHARE = "share from 0 to 1"


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  bottleneck: quantizer.Config = quantizer.Config()
  compress: int = 3  # c: a code stands for 2^c target positions.
  prior_layers: int = 6  # Number of blocks of the predictor of codes.
  smoothing: float = 0.1  # Label smoothing of token and length losses.
  length_factor: float = 0.1  # Weight of the length loss; in the score, log p of the length has weight 1.
  prior: schedule.Linear = schedule.Linear(0.0, 1.0, 50_000)  # Weight of the loss of the codes.
  bypass: schedule.Linear = schedule.Linear(1.0, 0.0, 10_000)  # Share of training sentences decoded from vectors.
  gold: schedule.Linear = schedule.Linear(0.5, 0.0, 50_000)  # Share of target positions that training reveals.
  causal: bool = False  # Whether a position attends to those before it alone, with inputs shifted by one.
  settled: bool = False  # Whether the codes of an earlier phase stay as they are; then no schedule applies.

  def __post_init__(self):
    core_config.check_at_least(0, self, "compress", group="model.")
    core_config.check_at_least(1, self, "prior_layers", group="model.")
    if 1 << self.compress > self.net.max_length:
      raise ValueError(f"model.compress={self.compress} makes a code of {1 << self.compress} positions, more than a "
                       f"target may have, net.max_length={self.net.max_length}; take a smaller one, such as 3.")
    for name, what, most in ("prior", "weight of at least 0", float("inf")), ("bypass", SHARE, 1), ("gold", SHARE, 1):
      ends = getattr(self, name).start, getattr(self, name).end
      if not 0 <= min(ends) <= max(ends) <= most:
        raise ValueError(f"model.{name}.start and .end must each be a {what}; got {ends[0]} and {ends[1]}.")


@dataclasses.dataclass(frozen=True)
class Search:
  beam: int = 1  # Beam size of the search for codes; 1 is greedy search.
  candidates: int = 1  # N, decoded in one pass: the N / `lengths` best code sequences of each length.
  lengths: int = 1  # Number of consecutive lengths around the most probable one.
  odd: bool = False  # Optimal de-duplicated decoding: no token twice in a row; False: the best token at each position.
  odd_everywhere: bool = False  # Whether `odd` applies to digits within a word too, as in the ODD paper.
  alpha: float = 0.6  # Exponent of the length penalty in ranking, as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    core_config.check_at_least(1, self, "lengths", "candidates", group="search.")
    if self.candidates % self.lengths:
      raise ValueError("search.candidates must be a multiple of search.lengths, each of which has as many code "
                       f"sequences; got {self.candidates} and {self.lengths}.")
    if self.beam < self.each:
      raise ValueError(f"search.beam must be at least candidates / lengths; got beam={self.beam}, "
                       f"candidates={self.candidates}, lengths={self.lengths}; set search.beam={self.each}.")

  @property
  def each(self) -> int:
    """Number of code sequences of each length."""
    return self.candidates // self.lengths

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates."""
    each = max(self.each, -(-count // self.lengths))
    return dataclasses.replace(self, beam=max(self.beam, each), candidates=each * self.lengths)


def _operations(config, source, target):
  net, source = config.net, source + 1  # The slot of the length head.
  codes = compression.halved(target, config.compress)
  own = compression.operations(net, config.compress, codes)
  own += quantizer.operations(config.bottleneck, net.width, codes)
  own += operations.decoder(net, config.prior_layers, codes, source) + codes * net.width * config.bottleneck.codes
  return family.Operations(operations.whole(net, net.decoder_layers, source, target) + own, target)


TRAITS = family.Traits(
  _operations, side_by_side=True, smoothed=True, offers=frozenset({"absorb", "initialise", "reconstruct", "align"}),
  copies={"targets/": "embed/", "prior/": "decoder/"}, readings=one_pass.READINGS, likelihood=lambda config: "bound",
  proxy=lambda config: "inputs, adaptive",
  check=lambda config, search: embedding.check_read(config.net, not config.settled))


class Model(keras.Model):
  """See the module docstring. The interface of a family is the methods from `objective` on."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="latent_codes")
    self.config, net = config, config.net
    self.net = encoder_decoder.EncoderDecoder(net, decoder_layers=net.decoder_layers, length="absolute")
    # Of its own, as the codes of a target stay the same once they are settled.
    alone = dataclasses.replace(net, source_vocab=0, tie="all")
    self.targets = embedding.Embedding(alone, output=False, name="targets")
    self.compressor = compression.Compressor(net, config.compress, name="compressor")
    self.bottleneck = quantizer.build(config.bottleneck, net.width)
    self.upsampler = compression.Upsampler(net, config.compress, name="upsampler")
    self.prior = code_prior.CodePrior(net, config.bottleneck.codes, config.prior_layers)
    if config.settled:
      self.targets.trainable = self.compressor.trainable = self.bottleneck.trainable = False
    self.built = True

  def encode_target(
      self, tgt: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT, *, seed: tf.Tensor | None = None,
      step: int | tf.Tensor = 0, weight: tf.Tensor | None = None) -> tuple[tf.Tensor, quantizer.Quantized, tf.Tensor]:
    """Returns the compressed targets int32 [B, T], float [B, M, D]; their codes; and bool [B, M], False at padding.

    `weight` float32 [B] is that of a sentence's votes for the codebook; None: all 1.
    """
    if self.config.settled:  # Then a target has the same codes in each update.
      dropout, seed = NO_DROPOUT, None
    lengths = masking.lengths(tgt)
    canvas = self.targets.look_up(tgt) + self.targets.positions(tf.shape(tgt)[1])
    vectors = self.compressor(canvas, lengths, dropout=dropout)
    real = tf.sequence_mask(compression.halved(lengths, self.config.compress), tf.shape(vectors)[1])
    votes = tf.cast(real, tf.float32) * (1.0 if weight is None else weight[:, None])
    return vectors, self.bottleneck(vectors, votes, seed=seed, step=step), real

  def states(
      self, embedded: tf.Tensor, lengths: tf.Tensor, positions: int | tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT, gold: tuple[tf.Tensor, tf.Tensor] | None = None,
      attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states, float [B, T, D], of upsampled codes.

    Args:
      embedded: float [B, M, D].
      lengths: int32 [B], of the targets.
      positions: T, at most 2^c M.
      memory: projected or not.
      gold: embedded targets float [B, T, D] and bool [B, T], True where the decoder reads them; None: nowhere.
      attended: as in `encoder_decoder.EncoderDecoder.decode`.
    """
    x = self.upsampler(embedded, lengths, dropout=dropout)[:, :positions]
    if gold is not None:
      x = tf.where(gold[1][..., None], gold[0], x)
    mask = masking.causal(positions) if self.config.causal else None
    x = masking.shift_right(x) if self.config.causal else x
    return self.net.decode(x + self.net.embed.positions(positions), lengths, memory, dropout, mask, attended)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Cross-entropy per target token given its codes, plus those of codes and length, and the commitment to codes.

    Terms of scale 0: `kl_sentence`, nats of a sentence's codes, as q(c | x, y) is a point; those of `Bottleneck.use`,
    until the codes are settled; `errors`, in validation, the share of tokens not reconstructed.
    """
    stream = lambda n: noise_lib.stream(seed, n) if training else None
    dropout, lengths = noise_lib.Dropout(stream(_NET)), masking.lengths(batch.tgt)
    memory = self.net.encode(batch.src, dropout)
    vectors, found, real = self.encode_target(
      batch.tgt, dropout, seed=stream(_CODES), step=step, weight=batch.weight)
    embedded, gold, hidden = found.embedded, None, masking.valid(batch.tgt)
    if training and not self.config.settled:
      drawn = noise_lib.uniform(tf.shape(lengths), stream(_BYPASS)) < self.config.bypass.at(step)
      embedded = tf.where(drawn[:, None, None], tf.cast(vectors, tf.float32), embedded)
      # Differs: the vectors of these sentences are not drawn to their codes: before the decoder reads them that would
      # make all vectors alike.
      found = found._replace(distance=tf.where(drawn[:, None], 0.0, found.distance))
      shown = noise_lib.uniform(tf.shape(batch.tgt), stream(_GOLD)) < self.config.gold.at(step)
      gold = self.net.embed.look_up(batch.tgt), shown
      hidden = hidden if self.config.causal else hidden & ~shown
    states = self.states(embedded, lengths, tf.shape(batch.tgt)[1], memory, dropout, gold)
    weight = tf.cast(hidden, tf.float32) * batch.weight[:, None]
    terms = {"token": self.net.token_term(states, batch.tgt, weight, smoothing=self.config.smoothing)}
    terms["length"] = self.net.length_term(
      memory, lengths, batch.weight, smoothing=self.config.smoothing, scale=self.config.length_factor)
    terms |= self._code_terms(found, real, memory, dropout, batch.weight, step)
    if not training:
      terms["errors"] = self.net.error_term(states, batch.tgt, weight)
    return types.Loss(terms, found.statistics)

  def _code_terms(self, found, real, memory, dropout, weight, step):
    """Returns the terms of the codes, and those about their use."""
    each = tf.cast(real, tf.float32) * weight[:, None]  # [B, M]
    count, sentences = tf.reduce_sum(each), tf.reduce_sum(tf.cast(real[:, 0], tf.float32))
    nats = -tf.reduce_sum(each * self.prior.log_probs(found.labels, memory, dropout))
    scale = 1.0 if self.config.settled else self.config.prior.at(step)
    terms = {
      "codes": types.Term(nats, count, scale),
      "kl_sentence": types.Term(nats, tf.reduce_sum(each[:, 0]), 0.0),
      "commitment": types.Term(tf.reduce_sum(each * found.distance), count, self.config.bottleneck.commitment)}
    use = {} if self.config.settled else self.bottleneck.use()
    return terms | {name: types.Term(sentences * value, sentences, 0.0) for name, value in use.items()}

  def absorb(self, statistics: dict[str, tf.Tensor]) -> None:
    """Updates the average votes of the codes, and the codebook; not once they are settled."""
    if not self.config.settled:
      self.bottleneck.absorb(statistics)

  def initialise(self, batch: types.Batch, *, seed: tf.Tensor) -> None:
    """Initialises the codebook with compressed targets of the first batch, unless it has been trained before."""
    vectors, _, real = self.encode_target(batch.tgt)
    self.bottleneck.initialise(vectors, tf.cast(real, tf.float32), seed=seed)

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns a lower bound of log p(y, T | x), float32 [B]: one term of the sum over all codes.

    log p(T | x) + log p(c | x) + Σ log p(y_i | c, x, T), with the codes c that the compressor gives y.
    """
    memory, lengths = self.net.encode(src), masking.lengths(tgt)
    _, found, real = self.encode_target(tgt)
    codes = tf.where(real, self.prior.log_probs(found.labels, memory), 0.0)
    states = self.states(found.embedded, lengths, tf.shape(tgt)[1], memory)
    return self.net.length_log_prob(memory, lengths) + tf.reduce_sum(codes, 1) + self.net.embed.log_prob(states, tgt)

  def reread(self, src: tf.Tensor, tgt: tf.Tensor, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states of targets int32 [B, T], given their own codes: float [B, T, D]."""
    embedded, memory = self.encode_target(tgt)[1].embedded, self.net.encode(src)
    return self.states(embedded, masking.lengths(tgt), tf.shape(tgt)[1], memory, attended=attended)

  def reconstruct(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns what targets int32 [B, T] are decoded to from their own codes, int32 [B, T]."""
    return tf.where(masking.valid(tgt), self.net.likeliest(self.reread(src, tgt)), types.PAD)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention, given the target's own codes: float32 [B, T, S]."""
    return attention.alignment_of(lambda seen: self.reread(src, tgt, seen), src, tgt)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Predicts codes one after the other, then all tokens of all candidates in one pass.

    Candidates are ranked by log p of length, codes and tokens, divided by the length penalty; or by `rescore`, which
    maps tokens int32 [B, N, T] to log p float32 [B, N]. `steps` counts M steps of the predictor, each for one code of
    every hypothesis; `passes` that of the decoder over all tokens, and a teacher's.
    """
    memory, longest = self.net.encode(src), self.config.net.max_length
    logits = self.net.length_logits(memory)
    lengths = length_parallel.candidates(logits, search.lengths, longest)
    lengths = length_parallel.nonempty(lengths, src)
    positions = length_parallel.positions(lengths, longest, src)
    found = self._search(tf.reshape(lengths, [-1]), positions, memory, search.beam)
    codes, prior = found.codes[:, :search.each], found.score[:, :search.each]  # Of B·L rows.
    prior += tf.reshape(tf.gather(tf.nn.log_softmax(logits), lengths, batch_dims=1), [-1, 1])
    # A beam finds fewer sequences than wanted where there are fewer.
    lengths = tf.where(prior > code_beam.NEVER, tf.reshape(lengths, [-1, 1]), 0)
    shape, memory = [tf.shape(src)[0], search.candidates], self.net.project(memory)

    def say(flat):  # [B·N]: the N rows of a sentence share its memory.
      embedded = self.bottleneck.embed(tf.reshape(codes, [-1, tf.shape(codes)[2]]))
      states = self.states(embedded, flat, positions, memory)
      tokens, score = one_pass.predictions(self.net, states, flat, search)
      return tokens, score + tf.reshape(prior, [-1])

    best = length_parallel.length_parallel(say, tf.reshape(lengths, shape), rescore, alpha=search.alpha)
    return best._replace(steps=found.passes)

  def _search(self, lengths, positions, memory, beam):
    """Returns the `code_beam.Found` of targets of `lengths`, int32 [B·L], for a memory of B sentences."""
    steps = compression.halved(positions, self.config.compress)
    step, cache = self.prior.steps(memory, tf.shape(lengths)[0] * beam, steps)
    return code_beam.search(
      step, cache, compression.halved(lengths, self.config.compress), beam=beam, steps=steps)
