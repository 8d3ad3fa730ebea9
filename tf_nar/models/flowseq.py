"""FlowSeq: Ma, Zhou, Li, Neubig & Hovy (EMNLP 2019, arXiv:1909.02480), "Non-Autoregressive Conditional Sequence
Generation with Generative Flow".

  p(y, T, z | x) = p(T | x) p(z | x, T) prod_i p(y_i | z, x)        z: a vector at each target position
  L = -log p(T | x) - log p(y | z, x) + w [log q(z | x, y) - log p(z | x)],        z ~ q(z | x, y)

Targets are filled up with EOS, which are predicted like other tokens, to multiples of `Config.flow.unit` (4).

  in the paper or its program                 here
  posterior, with word dropout                `Model.read`, `Config.word_dropout`
  flow, levels 3, steps (4, 4, 2)             `layers/flow_prior.py`, `Config.flow`
  initialisation by data                      `Model.initialise`, once, when the prior is first used
  init_steps, reconstruction first            `Config.reconstruct`, a phase of its own
  KL weight w                                 `Config.kl`
  argmax decoding; NPD, l lengths, r samples  `Search.candidates` = l r, `Search.latents` = r, `Search.temperature`
  importance-weighted decoding, k samples     `Search.rank="bound"`, `Config.samples`

# Differs: every target has an EOS, also one whose length is a multiple. Positions are added to the decoder's input,
where the original attends to z from positions. The length head is this package's: a filled length has the sum of the
probabilities of those that are filled up to it, and one beyond its classes no loss. The first sample of each length has
zero noise. The deviation is a softplus, without weight normalisation. Ranking uses the house's length penalty.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import latent as latent_lib
from tf_nar.decode import length_parallel
from tf_nar.layers import attention
from tf_nar.layers import dense
from tf_nar.layers import encoder_decoder
from tf_nar.layers import flow
from tf_nar.layers import flow_prior
from tf_nar.layers import latents
from tf_nar.layers import lengths as lengths_lib
from tf_nar.layers import transformer
from tf_nar.models import one_pass
from tf_nar.ops import gaussian
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import schedule

_NET, _Z = range(2)  # Numbers of the random streams.
SCORE_SEED = (21, 0)  # Of the samples in `Model.score` and in the validation loss.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  flow: flow_prior.Config = flow_prior.Config()
  dimensions: int = 0  # Z, the dimensions of the latent at each position; 0: net.width, as in the paper.
  posterior_layers: int = 0  # Blocks of the posterior; 0: net.decoder_layers.
  length: str = "offset"  # The length head: "offset" to the source length, or "absolute", read from a slot.
  smoothing: float = 0.1  # Label smoothing of the token loss.
  word_dropout: float = 0.2  # Share of the posterior's input tokens that are dropped in training.
  kl: schedule.Linear = schedule.Linear(0.0, 1.0, updates=10_000)  # Weight of the KL in training.
  budget: schedule.Linear = schedule.Linear(0.0, 0.0)  # Differs: free nats of KL at a position, in training.
  reconstruct: bool = False  # Trains posterior and decoder to reconstruct targets, without noise, prior and KL.
  samples: int = 4  # K, the samples of the bound that `score` returns.

  def __post_init__(self):
    core_config.check_choice("model.length", self.length, ("offset", "absolute"))
    core_config.check_at_least(0, self, "dimensions", "posterior_layers", group="model.")
    core_config.check_at_least(1, self, "samples", group="model.")
    core_config.check_at_least(0, self.kl, "start", "end", group="model.kl.")
    core_config.check_at_least(0, self.budget, "start", "end", group="model.budget.")
    if not 0 <= self.word_dropout < 1:
      raise ValueError(f"model.word_dropout is a share of tokens, at least 0 and below 1; got {self.word_dropout}.")
    if self.net.max_length % self.flow.unit:
      raise ValueError(f"net.max_length must be a multiple of {self.flow.unit}, as {len(self.flow.levels)} flow.levels "
                       f"make of all targets; got {self.net.max_length}.")
    if self.size % (2 * self.net.heads):
      raise ValueError(f"model.dimensions must be a multiple of 2 net.heads ({2 * self.net.heads}), as a coupling has "
                       f"a block as wide as half of them; got {self.size}.")

  @property
  def size(self) -> int:
    """Z."""
    return self.dimensions or self.net.width


@dataclasses.dataclass(frozen=True)
class Search(latent_lib.Search):  # By "decoder" the rank is log p of the length and of the tokens given z.
  odd: bool = False  # Optimal de-duplicated decoding: no token but EOS twice in a row.


def _operations(config, source, target):
  net, depth = config.net, config.posterior_layers or config.net.decoder_layers
  source += config.length == "absolute"  # The slot.
  target = -(-target // config.flow.unit) * config.flow.unit
  total = operations.whole(net, net.decoder_layers, source, target) + operations.decoder(net, depth, target, source)
  total += 3 * net.width * config.size * target  # Mean and deviation of the latents, and from latents to the decoder.
  if not config.reconstruct:
    total += flow_prior.operations(config.flow, net, config.size, source, target)
  return family.Operations(total, target)


TRAITS = family.Traits(
  _operations, offers=frozenset({"initialise", "reconstruct", "align"}), side_by_side=True, smoothed=True,
  copies={"posterior/stack/": "decoder/"}, readings=one_pass.READINGS, likelihood=lambda config: "bound",
  proxy=lambda config: "inputs, adaptive")


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `initialise`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="flowseq")
    self.config, self.unit = config, config.flow.unit
    net = config.net
    self.net = encoder_decoder.EncoderDecoder(net, decoder_layers=net.decoder_layers, length=config.length)
    self.posterior = latents.GaussianStack(
      net, config.posterior_layers or net.decoder_layers, config.size, name="posterior")
    self.vector = dense.Dense(net.width, name="vector", dtype=net.dtype)
    self.vector.build((None, None, config.size))
    self.prior = flow_prior.FlowPrior(config.flow, net, config.size, name="prior")
    self.prior.trainable = not config.reconstruct
    # 1 once the prior is initialised, so that a training that starts from this one does not do it again.
    self.begun = self.add_weight(name="prior_begun", shape=(), initializer="zeros", dtype="int32", trainable=False)
    self.built = True

  def filled(self, tgt: tf.Tensor) -> tf.Tensor:
    """Fills targets int32 [B, T] up with EOS to a multiple of `unit`; a padding row stays empty."""
    tgt = tf.pad(tgt, [[0, 0], [0, -tf.shape(tgt)[1] % self.unit]])
    whole = -(-masking.lengths(tgt) // self.unit) * self.unit
    return tf.where(tf.sequence_mask(whole, tf.shape(tgt)[1]) & ~masking.valid(tgt), types.EOS, tgt)

  def read(
      self, memory: encoder_decoder.Memory, tgt: tf.Tensor,
      dropout: noise_lib.Dropout = attention.NO_DROPOUT) -> gaussian.Gaussian:
    """Returns q(z | x, y) of filled targets int32 [R, T], a `Gaussian` of float32 [R, T, Z]."""
    tokens = self.net.embed.look_up(tgt)
    tokens *= dropout.drop(tf.ones_like(tokens[..., :1]), self.config.word_dropout)
    queries = tokens + self.net.embed.positions(tf.shape(tgt)[1])
    return self.posterior(queries, masking.valid(tgt), memory, dropout=dropout)

  def decode(
      self, memory: encoder_decoder.Memory, z: tf.Tensor, lengths: tf.Tensor,
      dropout: noise_lib.Dropout = attention.NO_DROPOUT, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states float [R, T, D] of latents float32 [R, T, Z], for targets of `lengths` [R]."""
    canvas = self.vector(z) + self.net.embed.positions(tf.shape(z)[1])
    return self.net.decode(canvas, lengths, memory, dropout, attended=attended)

  def reread(self, src: tf.Tensor, tgt: tf.Tensor, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states of filled targets int32 [B, T], given the mean of q(z | x, y): float [B, T, D]."""
    memory = self.net.encode(src)
    return self.decode(memory, self.read(memory, tgt).mean, masking.lengths(tgt), attended=attended)

  def reconstruct(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns what the mean of q(z | x, y) is decoded to, int32 [B, T'], for targets int32 [B, T] before filling."""
    tgt = self.filled(tgt)
    return tf.where(masking.valid(tgt), self.net.likeliest(self.reread(src, tgt)), types.PAD)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention, given the mean of q(z | x, y): float32 [B, T, S]."""
    filled = self.filled(tgt)
    return attention.alignment_of(lambda seen: self.reread(src, filled, seen), src, tgt)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """The negative bound of log p(y, T | x) per target token, filling EOS included, with label smoothing.

    If not `training`, tokens are predicted from the mean of q, the KL has one sample, weight 1 and no budget. Of scale
    0: "kl_sentence", and if not `training` "errors", the share of tokens that the mean of q does not reconstruct.
    """
    stream = lambda n: noise_lib.stream(seed, n)
    dropout = noise_lib.Dropout(stream(_NET) if training else None)
    tgt, memory = self.filled(batch.tgt), self.net.encode(batch.src, dropout)
    lengths, weight = masking.lengths(tgt), tf.cast(masking.valid(tgt), tf.float32) * batch.weight[:, None]
    q, terms = self.read(memory, tgt, dropout), {}
    z = q.mean
    if not self.config.reconstruct:
      drawn = noise_lib.normal(tf.shape(z), stream(_Z)) if training else self.draws(1, SCORE_SEED, tf.shape(z)[1])
      sampled = q.sample(drawn)
      z = sampled if training else z
      kl = -tf.squeeze(self.log_ratio(memory, q, sampled[:, None], masking.valid(tgt)), 1)  # [B]
      terms["kl_sentence"] = types.Term(tf.reduce_sum(kl * batch.weight), tf.reduce_sum(weight[:, 0]), 0.0)
      free = self.config.budget.at(step) * tf.cast(lengths, tf.float32) if training else 0.0
      kl = tf.where(free > 0, tf.maximum(kl, free), kl)
      terms["kl"] = types.Term(tf.reduce_sum(kl * batch.weight), None, self.config.kl.at(step) if training else 1.0)
    states = self.decode(memory, z, lengths, dropout)
    terms["token"] = self.net.token_term(states, tgt, weight, smoothing=self.config.smoothing)
    log_prob = self.length_log_prob(memory, lengths)
    known = log_prob > lengths_lib.NEVER / 2  # A length without a class has no loss.
    terms["length"] = types.Term(-tf.reduce_sum(tf.where(known, log_prob, 0.0) * batch.weight), None)
    if not training:  # The EOS that fill a target are no errors of its tokens.
      own = tf.sequence_mask(masking.lengths(batch.tgt), tf.shape(tgt)[1], tf.float32)
      terms["errors"] = self.net.error_term(states, tgt, own * batch.weight[:, None])
    return types.Loss(types.counted(terms, terms["token"].count))

  def initialise(self, batch: types.Batch, *, seed: tf.Tensor) -> None:
    """Initialises the prior by latents of the first batch, unless it already is or is not in use yet.

    Reconstruction moves the latents away from a prior that it starts with, which the training after it initialises.
    """
    if self.config.reconstruct:
      self.begun.assign(0)
      return
    if int(self.begun.numpy()):
      return
    tgt, memory = self.filled(batch.tgt), self.net.encode(batch.src)
    q = self.read(memory, tgt)
    z = q.sample(noise_lib.normal(tf.shape(q.mean), tf.constant(seed)))
    self.prior.initialise(z, self.given(memory, masking.valid(tgt)))
    self.begun.assign(1)

  def given(self, memory: encoder_decoder.Memory, mask: tf.Tensor) -> flow.Given:
    """Returns what the prior is conditioned on, for latents with a mask bool [R, T]."""
    return flow.Given(mask, tf.cast(memory.states, tf.float32), memory.mask)

  def log_ratio(self, memory: encoder_decoder.Memory, q: gaussian.Gaussian, z: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Returns log p(z | x) - log q(z | x, y), float32 [R, K], of z float32 [R, K, T, Z], with mask bool [R, T]."""
    count, real = tf.shape(z)[1], tf.cast(mask, tf.float32)[:, None]
    log_q = gaussian.Gaussian(q.mean[:, None], q.std[:, None]).log_prob(z)  # [R, K, T]
    flat = tf.reshape(z * real[..., None], [-1, tf.shape(z)[2], self.config.size])
    log_p = self.prior.log_prob(flat, self.given(memory, tf.repeat(mask, count, axis=0)))
    return tf.reshape(log_p, tf.shape(z)[:2]) - tf.reduce_sum(log_q * real, -1)

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns a lower bound of log p(y, T | x), float32 [B]; in expectation it rises to it with `Config.samples`.

    -inf if the length has no class. All sentences use the same random numbers, so it depends on no other sentence.
    """
    return self.bound(self.net.encode(src), tgt)

  def bound(self, memory: encoder_decoder.Memory, tgt: tf.Tensor) -> tf.Tensor:
    """Does what `score` does for targets int32 [R, T] of encoded sources: float32 [R]."""
    tgt, samples = self.filled(tgt), self.config.samples
    lengths = masking.lengths(tgt)
    tgt = tgt[:, :self.config.net.max_length]  # Longer targets have no class of length.
    mask, q = masking.valid(tgt), self.read(memory, tgt)
    z = q.mean[:, None] + q.std[:, None] * self.draws(samples, SCORE_SEED, tf.shape(tgt)[1])  # [R, K, T, Z]
    flat = tf.reshape(z, [-1, tf.shape(tgt)[1], self.config.size])
    states = self.decode(memory, flat, tf.repeat(lengths, samples))
    log_prob = tf.reshape(self.net.embed.log_prob(states, tf.repeat(tgt, samples, axis=0)), [-1, samples])
    log_length = self.length_log_prob(memory, lengths)
    bound = gaussian.importance_bound(log_prob + self.log_ratio(memory, q, z, mask)) + log_length  # Above 0 by chance.
    return tf.where(log_length > lengths_lib.NEVER / 2, tf.minimum(bound, 0.0), -float("inf"))

  def draws(self, count: int, seed: tuple[int, int], size: int | tf.Tensor) -> tf.Tensor:
    """As `latent.draws`, float32 [count, size, Z]."""
    return latent_lib.draws(count, seed, self.config.net.max_length, self.config.size, size)

  def length_log_probs(self, memory: encoder_decoder.Memory) -> tf.Tensor:
    """Returns log p of n units for n from 0, float32 [B, max_length / unit + 1]; about `NEVER` if impossible."""
    each = tf.reshape(self.net.length_logits(memory)[:, 1:], [-1, self.config.net.max_length // self.unit, self.unit])
    log_prob = tf.nn.log_softmax(tf.reduce_logsumexp(each, -1))
    return tf.pad(log_prob, [[0, 0], [1, 0]], constant_values=lengths_lib.NEVER)

  def length_log_prob(self, memory: encoder_decoder.Memory, lengths: tf.Tensor) -> tf.Tensor:
    """Returns log p of filled lengths int32 [R], float32 [R]; about `lengths.NEVER` if a length has no class."""
    log_probs = self.length_log_probs(memory)
    log_probs = tf.repeat(log_probs, tf.shape(lengths)[0] // tf.shape(log_probs)[0], axis=0)
    units, last = lengths // self.unit, log_probs.shape[1] - 1
    found = tf.gather(log_probs, tf.minimum(units, last), batch_dims=1)
    return tf.where(units <= last, found, lengths_lib.NEVER)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Decodes all lengths and latents in one pass of the decoder.

    Ranking by the bound adds a pass of the posterior and one of the decoder; `rescore` is as in `length_parallel`.
    """
    memory, longest = self.net.encode(src), self.config.net.max_length
    count = search.candidates // search.latents
    lengths = self.likeliest(memory, count)[0]
    lengths = length_parallel.nonempty(tf.pad(lengths, [[0, 0], [0, count - lengths.shape[1]]]), src)
    positions = -(-length_parallel.positions(lengths, longest, src) // self.unit) * self.unit
    lengths = tf.repeat(lengths, search.latents, axis=1)  # [B, N]
    noise = search.temperature * latent_lib.centred(self.draws(search.latents, (search.seed, 0), positions))

    def say(flat):  # [B·N]: the N rows of a sentence share its memory.
      given = self.given(memory, tf.sequence_mask(flat, positions))
      z = self.prior.sample(tf.tile(noise, [tf.shape(flat)[0] // search.latents, 1, 1]), given)
      states = self.decode(memory, z, flat)
      tokens, score = one_pass.predictions(self.net, states, flat, search, repeatable=(types.EOS,))
      return tokens, score + self.length_log_prob(memory, flat)

    bounded = rescore is None and search.rank == "bound"
    rank = length_parallel.by_rows(lambda tokens: self.bound(memory, tokens)) if bounded else rescore
    found = length_parallel.length_parallel(say, lengths, rank, alpha=search.alpha)
    return latent_lib.ordered(found.tokens, found.score, found.passes + int(bounded))[0]

  def likeliest(self, memory: encoder_decoder.Memory, count: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the likeliest filled lengths of at least 2 and their log p, [B, N]; N is `count`, or all there are."""
    least = -(-2 // self.unit)
    log_probs = self.length_log_probs(memory)[:, least:]
    log_prob, units = tf.math.top_k(log_probs, min(count, log_probs.shape[1]))
    return (least + units) * self.unit, log_prob
