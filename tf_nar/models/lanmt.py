"""LaNMT: Shu, Lee, Nakayama & Cho (AAAI 2020), "Latent-Variable NAR Neural Machine Translation with Deterministic
Inference Using a Delta Posterior"; and the model of Lee, Shu & Cho (EMNLP 2020), "Iterative Refinement in the
Continuous Space for NAR Neural Machine Translation".

  p(y, T, z | x) = p(z | x) p(T | z, x) prod_i p(y_i | z, x)        z: a Gaussian vector at each source position, or
                 = p(T | x) p(z | T, x) prod_i p(y_i | z, x)        at each target position
  L = -log p(y, T | z, x) + sum_a max(KL_a, budget),                z ~ q(z | x, y)

  in the papers or their programs             here
  p(z | x), q(z | x, y)                       `prior` and `posterior` of `lanmt_axes.py`
  latents at the source, at the target        `Latent.axis`: "source" (AAAI), "target" (EMNLP)
  h <- (h_0 + h) / sqrt(2)                    `latents.InputSkip`, the decoder's block
  length transform                            `lanmt_axes.SourceAxis.canvas`
  budget, free bits of a position             `Config.budget`, in nats; KL is summed over Z before the maximum
  delta inference, refinement steps           `lanmt_search.delta_refinement`, `Search.steps`
  latent search, K, noise level               `Search.latents` of `Search.candidates`, `Search.temperature`

# Differs: cross-attention has weights of its own (in the programs those of self-attention), and all stacks have
`net.heads` heads (there 8). One table embeds source and target and is the output layer (`net.tie`). The length head is
linear, with its classes up to `lengths.REACH` tokens from the source length. Pre-norm is `net.norm="pre"`. Repeated
tokens are avoided by ODD, not removed; the first latent of a latent search is the prior mean, the others are drawn.
Replaced tokens of the posterior's input are never EOS. The loss is per target token, not per sentence, and validation
reads the mean of q.
"""
import dataclasses
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import latent as latent_lib
from tf_nar.layers import attention
from tf_nar.layers import encoder_decoder
from tf_nar.layers import latents
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.models import lanmt_axes
from tf_nar.models import lanmt_search
from tf_nar.models import one_pass
from tf_nar.ops import corruption
from tf_nar.ops import gaussian
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import schedule

_NET, _Z, _REPLACED = range(3)  # Numbers of the random streams.
AXES = {"target": lanmt_axes.TargetAxis, "source": lanmt_axes.SourceAxis}
ACTIVE = 0.01  # A latent dimension is active at a position if its KL is above this, in nats.
SCORE_SEED = (20, 0)  # Of the samples in `Model.score`.


@dataclasses.dataclass(frozen=True)
class Latent:
  """The latents of a model, and the sizes of the stacks for them."""

  axis: str = "target"  # Positions of the latents: "target" (EMNLP 2020) or "source" (AAAI 2020).
  dimensions: int = 8  # Z, the dimensions of the latent at each position.
  prior_layers: int = 0  # Blocks of the prior, target axis only; 0: net.decoder_layers.
  posterior_layers: int = 0  # Blocks of the posterior (source axis: of each of its two stacks); 0: net.decoder_layers.

  def __post_init__(self):
    core_config.check_choice("model.latent.axis", self.axis, tuple(AXES))
    core_config.check_at_least(1, self, "dimensions", group="model.latent.")
    core_config.check_at_least(0, self, "prior_layers", "posterior_layers", group="model.latent.")


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  latent: Latent = Latent()
  smoothing: float = 0.1  # Label smoothing of the token loss.
  budget: schedule.Linear = schedule.Linear(1.0, 0.0, updates=50_000, delay=50_000)  # KL of a position that is free.
  replaced: float = 0.0  # Share of the target tokens that are replaced in the posterior's input, as 0.2, in training.
  samples: int = 8  # K, the samples of the bound that `score` returns.

  def __post_init__(self):
    core_config.check_at_least(1, self, "samples", group="model.")
    if not 0 <= self.replaced < 1:
      raise ValueError(f"model.replaced is a share of tokens, at least 0 and below 1; got {self.replaced}.")
    if self.budget.start < 0 or self.budget.end < 0:
      raise ValueError("model.budget is in nats for each position, at least 0; got "
                       f"{self.budget.start} to {self.budget.end}; 0 is the plain bound.")


@dataclasses.dataclass(frozen=True)
class Search(latent_lib.Search):
  refine: str = "delta"  # Refinement of the latents: "delta" (delta inference) or "none", which decodes the prior mean.
  steps: int = 1  # Number of steps of refinement.
  stop: bool = False  # Whether a candidate is finished once a delta step leaves its tokens as they were.

  refinements = "none", "delta"  # The choices of `refine`.

  def __post_init__(self):
    super().__post_init__()
    core_config.check_choice("search.refine", self.refine, self.refinements)
    core_config.check_at_least(1, self, "steps", group="search.")

  def effective(self) -> "Search":
    """As in `latent.Search`."""
    found = super().effective()
    return dataclasses.replace(found, steps=1, stop=False) if self.refine == "none" else found


def passes_of(config: Config, source: int, target: int) -> tuple[int, int, int]:
  """Returns the multiply-adds of encoder and prior, of the decoder, and of the posterior."""
  net, latent = config.net, config.latent
  one = net.width * latent.dimensions  # From or to the latents of a position; a Gaussian has two numbers.
  depth = latent.posterior_layers or net.decoder_layers
  decoded = operations.decoder(net, net.decoder_layers, target, source) + operations.output(net, target)
  if latent.axis == "target":
    prior = operations.decoder(net, latent.prior_layers or net.decoder_layers, target, source) + 2 * one * target
    posterior = operations.decoder(net, depth, target, source) + 2 * one * target
    decoded += one * target
  else:
    prior = 2 * one * source
    posterior = operations.encoder(net, target, depth) + operations.decoder(net, depth, source, target)
    posterior += 2 * one * source
    decoded += 2 * one * source + operations.aligned(net, target, source)  # z, for the canvas and for the length.
  return operations.encoder(net, source) + prior, decoded, posterior


TRAITS = family.Traits(
  lambda config, source, target: family.Operations(sum(passes_of(config, source, target)), target),
  offers=frozenset({"trace", "latents", "align", "reconstruct"}), side_by_side=True, smoothed=True,
  readings=one_pass.READINGS,
  copies={"prior/stack/": "decoder/", "posterior/stack/": "decoder/", "posterior_target/": "encoder/"},
  likelihood=lambda config: "bound", proxy=lambda config: "inputs, adaptive")


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `score`, `translate` and `trace`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="lanmt")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(
      config.net, decoder_layers=config.net.decoder_layers, length="offset", block=latents.InputSkip)
    self.axis = AXES[config.latent.axis](config)
    self.built = True

  def encode(
      self, src: tf.Tensor, dropout: noise_lib.Dropout = NO_DROPOUT, project: bool = False) -> lanmt_axes.Encoded:
    """int32 [B, S] -> `lanmt_axes.Encoded`; `project` for several passes over the same sources."""
    memory = self.net.encode(src, dropout)
    return self.projected(src, memory) if project else lanmt_axes.Encoded(src, memory, memory, memory)

  def projected(self, src: tf.Tensor, memory: encoder_decoder.Memory) -> lanmt_axes.Encoded:
    """Returns the `lanmt_axes.Encoded` of a source int32 [B, S] with its `memory`, for several passes."""
    return lanmt_axes.Encoded(src, memory, self.net.project(memory), self.axis.project(memory))

  def decode(
      self, source: lanmt_axes.Encoded, z: tf.Tensor, lengths: tf.Tensor, positions: int | tf.Tensor,
      dropout: noise_lib.Dropout = NO_DROPOUT, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states float [R, T, D] of latents float32 [R, A, Z], for targets of `lengths` [R]."""
    canvas = self.axis.canvas(self.net, source, z, lengths, positions)
    return self.net.decode(canvas, lengths, source.decoder, dropout, attended=attended)

  def prior(
      self, source: lanmt_axes.Encoded, lengths: tf.Tensor, positions: int | tf.Tensor | None,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Returns p(z | x, T), a `Gaussian` of float32 [R, A, Z], for `lengths` int32 [R]."""
    return self.axis.prior(self.net, source, lengths, positions, dropout)

  def posterior(
      self, source: lanmt_axes.Encoded, tokens: tf.Tensor, lengths: tf.Tensor,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> gaussian.Gaussian:
    """Returns q(z | x, y), a `Gaussian` of float32 [R, A, Z], for targets int32 [R, T] of `lengths` [R]."""
    return self.axis.posterior(self.net, source, tokens, lengths, dropout)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """The negative bound of log p(y, T | x) per target token, with label smoothing and the budget of free KL.

    The terms of scale 0 are "kl_whole", the KL before the budget, and "kl_sentence", the same of a sentence,
    "length_right", the share of right lengths, and "active", the number of active dimensions at a position. If not
    `training`, z is the mean of q and the budget is 0.
    """
    stream = lambda n: noise_lib.stream(seed, n)
    dropout = noise_lib.Dropout(stream(_NET) if training else None)
    tgt, lengths, positions = batch.tgt, masking.lengths(batch.tgt), tf.shape(batch.tgt)[1]
    source = self.encode(batch.src, dropout)
    prior = self.prior(source, lengths, positions, dropout)
    read = corruption.replaced(stream(_REPLACED), tgt, self.config.replaced, self.config.net.vocab) if training else tgt
    q = self.posterior(source, read, lengths, dropout)
    z = q.sample(noise_lib.normal(tf.shape(q.mean), stream(_Z))) if training else q.mean
    weight = tf.cast(masking.valid(tgt), tf.float32) * batch.weight[:, None]
    states = self.decode(source, z, lengths, positions, dropout)
    token = self.net.token_term(states, tgt, weight, smoothing=self.config.smoothing)
    length, right = self._length_terms(source, z, lengths, batch.weight)
    real = tf.cast(self.axis.inside(source, lengths, positions), tf.float32) * batch.weight[:, None]
    budget = self.config.budget.at(step) if training else 0.0
    return types.Loss({
      "token": token, "length": length._replace(count=token.count), "length_right": right,
      **types.counted(kl_terms(q, prior, real, budget), token.count)})

  def _length_terms(self, source, z, lengths, weight):
    """Returns the `Term`s of the length loss and, with scale 0, of the share of right lengths."""
    memory = self.axis.length_memory(source, z)
    weight = weight * tf.cast(lengths > 0, tf.float32)
    right = tf.argmax(self.net.length_logits(memory), -1, tf.int32) == lengths
    right = types.Term(tf.reduce_sum(tf.cast(right, tf.float32) * weight), tf.reduce_sum(weight), 0.0)
    return self.net.length_term(memory, lengths, weight, scale=1.0), right

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns a lower bound of log p(y, T | x), float32 [B]; in expectation it rises to it with `Config.samples`.

    -inf if the length has no class. All sentences use the same random numbers, so it depends on no other sentence.
    """
    return self.bound(self.encode(src), tgt)

  def reread(self, src: tf.Tensor, tgt: tf.Tensor, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the decoder states of targets int32 [B, T], given the mean of their posterior: float [B, T, D]."""
    source, lengths = self.encode(src), masking.lengths(tgt)
    z = self.posterior(source, tgt, lengths).mean
    return self.decode(source, z, lengths, tf.shape(tgt)[1], attended=attended)

  def reconstruct(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns what the posterior's mean of targets int32 [B, T] is decoded to, int32 [B, T]."""
    return tf.where(masking.valid(tgt), self.net.likeliest(self.reread(src, tgt)), types.PAD)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention, given the posterior's mean of the target: float32 [B, T, S]."""
    return attention.alignment_of(lambda seen: self.reread(src, tgt, seen), src, tgt)

  def bound(self, source: lanmt_axes.Encoded, tgt: tf.Tensor) -> tf.Tensor:
    """Does what `score` does for targets int32 [R, T] of encoded sources: float32 [R]."""
    found = gaussian.importance_bound(self.log_weights(source, tgt, self.config.samples))
    return tf.minimum(found, 0.0)  # A sample may be above log 1, by chance.

  def log_weights(
      self, source: lanmt_axes.Encoded, tgt: tf.Tensor, samples: int, seed: tuple[int, int] = SCORE_SEED) -> tf.Tensor:
    """Returns log p(y, T | z, x) p(z | x) / q(z | x, y) of K = `samples` draws of z from q, float32 [R, K]."""
    count, positions = tf.shape(tgt)[0], tf.shape(tgt)[1]
    lengths = masking.lengths(tgt)
    each = lambda x: gaussian.Gaussian(*(part[:, None] for part in x))  # [R, 1, A, Z]
    prior = each(self.prior(source, lengths, positions))
    q = each(self.posterior(source, tgt, lengths))
    z = q.sample(self.draws(samples, seed, tf.shape(q.mean)[2]))  # [R, K, A, Z]
    inside = tf.cast(self.axis.inside(source, lengths, positions), tf.float32)[:, None]
    ratio = tf.reduce_sum(inside * (prior.log_prob(z) - q.log_prob(z)), -1)  # [R, K]
    flat = tf.reshape(z, tf.concat([[count * samples], tf.shape(z)[2:]], 0))
    repeated = tf.repeat(lengths, samples)
    states = self.decode(source, flat, repeated, positions)
    log_prob = self.net.embed.log_prob(states, tf.repeat(tgt, samples, axis=0))
    log_prob += self.net.length_log_prob(self.axis.length_memory(source, flat), repeated)
    return tf.reshape(log_prob, [count, samples]) + ratio

  def draws(self, count: int, seed: tuple[int, int], size: int | tf.Tensor) -> tf.Tensor:
    """As `latent.draws`, float32 [count, size, Z]."""
    return latent_lib.draws(count, seed, self.config.net.max_length + 1, self.config.latent.dimensions, size)

  def refinement(self, search: Search) -> Callable[..., lanmt_search.Reached]:
    """Returns the refinement of a search, as `lanmt_search.translate` takes it."""
    return lanmt_search.no_refinement if search.refine == "none" else lanmt_search.delta_refinement(self, search)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Decodes all lengths and latents side by side, refined; see `lanmt_search.py`."""
    return lanmt_search.translate(self, src, search, self.refinement(search), rescore)[0]

  def trace(
      self, src: tf.Tensor, search: Search,
      rescore: types.Rescore | None = None) -> tuple[types.Translation, types.Trace]:
    """Returns the `types.Translation` of `translate` and its `types.Trace`: what the latents of each step say."""
    return lanmt_search.translate(self, src, search, self.refinement(search), rescore, traced=True)

  def latents(self, src: tf.Tensor, search: Search, tgt: tf.Tensor | None = None) -> types.Latents:
    """Returns the `types.Latents` of `search.steps` delta steps; see `lanmt_search.latents`."""
    search = dataclasses.replace(search, candidates=1, latents=1)
    return lanmt_search.latents(self, src, search, {"delta": lanmt_search.delta_refinement(self, search)}, tgt)


def kl_terms(
    q: gaussian.Gaussian, prior: gaussian.Gaussian, weight: tf.Tensor,
    budget: float | tf.Tensor) -> dict[str, types.Term]:
  """Returns the KL `Term`s; the caller sets the counts of "kl" and "kl_whole".

  Args:
    q, prior: `Gaussian`s of float32 [B, A, Z].
    weight: float32 [B, A], 0 at padding.
    budget: float32 [], the KL of a position that is free: below it, there is no gradient.
  """
  each = q.kl_by_dimension(prior)
  whole = tf.reduce_sum(each, -1)  # [B, A]
  active = tf.math.count_nonzero(each > ACTIVE, -1, dtype=tf.float32)
  total = lambda x: tf.reduce_sum(x * weight)
  return {"kl": types.Term(total(tf.maximum(whole, budget)), None), "kl_whole": types.Term(total(whole), None, 0.0),
          "kl_sentence": types.Term(total(whole), tf.reduce_sum(weight[:, 0]), 0.0),
          "active": types.Term(total(active), tf.reduce_sum(weight), 0.0)}
