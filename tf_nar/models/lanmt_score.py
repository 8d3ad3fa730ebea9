"""Refinement in the space of latents: Lee, Shu & Cho (EMNLP 2020), "Iterative Refinement in the Continuous Space for
Non-Autoregressive Neural Machine Translation".

A network s(z; x) learns, with a frozen `lanmt`, where delta inference would go, and goes there without tokens:

  z  = mean + u std eps of the prior, u ~ U(0, 1)          z~ = z after k delta steps, of the true length
  L  = sum_t |s|^2 - 2 s . (z~ - z)  =  sum_t |s - (z~ - z)|^2 - |z~ - z|^2
  a step of translation:  z <- z + a s(z)

The sign: s points to where z goes. An energy network has s = -dE/dz, so that steps lower E. Its loss has a second
derivative.

  in the paper or its program                 here
  latent-variable model, frozen               `Model.lanmt`, the part `lanmt/` of the run's weights
  S_psi, E_psi                                `Config.kind`: "score", "energy"
  k, noise                                    `Config.delta`, `Config.noise`
  train_sgd_steps, after 100k updates         `Config.own`, `Config.own_after`
  step size a, number of steps                `Search.step_size`, `Search.steps`

# Differs: u is drawn for each sentence, not for each batch; positions are added to the network's input; its blocks can
start from those of the decoder of `lanmt` at their relative depth; the energy is a mean over positions of a hidden
layer's output, as the last layer norm and bias of a linear one would have no gradient. There is no line search, and no
length is added.
"""
import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import refine
from tf_nar.layers import encoder_decoder
from tf_nar.layers import score_network
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.models import lanmt
from tf_nar.models import lanmt_search
from tf_nar.models import one_pass
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import schedule

_NET, _Z, _U, _OWN = range(4)  # Numbers of the random streams.
CALM = 1 / 16  # With `Search.stop`, a candidate is finished when its steps are this much shorter than the first.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()  # Of the frozen `lanmt`, and of the blocks of the network.
  latent: lanmt.Latent = lanmt.Latent()  # Of the frozen `lanmt`.
  kind: str = "score"  # "score", a vector for each position, or "energy", a number for the sentence.
  layers: int = 4  # Number of blocks of the network.
  noise: float = 1.0  # Factor of the prior's standard deviation in the latents that the network is trained on.
  delta: int = 4  # k, delta steps to the latents that it is to reach.
  own: float = 0.0  # Share of the batches that begin after a step of the network itself, as 0.5.
  own_after: int = schedule.number(100_000)  # Updates before the first of them.
  own_size: float = 1.0  # Size of these steps.
  samples: int = 8  # K, the samples of the bound that `score` returns.

  def __post_init__(self):
    core_config.check_choice("model.kind", self.kind, score_network.KINDS)
    core_config.check_at_least(1, self, "layers", "delta", "samples", group="model.")
    core_config.check_at_least(0, self, "noise", "own_after", group="model.")
    if not 0 <= self.own <= 1:
      raise ValueError(f"model.own is a share of the batches, from 0 to 1; got {self.own}.")
    if self.own_size <= 0:
      raise ValueError(f"model.own_size, of a step, must be above 0; got {self.own_size}; model.own=0 takes none.")
    if self.latent.axis != "target":
      raise ValueError(f"model.latent.axis must be target, as the network's steps keep the length; got "
                       f"{self.latent.axis}; freeze a lanmt of the target axis.")

  @property
  def lanmt(self) -> lanmt.Config:
    """The `lanmt.Config` of the frozen part."""
    return lanmt.Config(self.net, self.latent, samples=self.samples)


@dataclasses.dataclass(frozen=True)
class Search(lanmt.Search):
  refine: str = "score"  # "score", steps of the network; "energy", the same of an energy; "delta", "none": of `lanmt`.
  step_size: float = 1.0  # a, the factor of a step of the network; `stop` ends them as `CALM` says.

  refinements = "none", "delta", *score_network.KINDS

  def __post_init__(self):
    super().__post_init__()
    if self.step_size <= 0:
      raise ValueError(f"search.step_size must be above 0; got {self.step_size}; search.refine=none takes no steps.")

  def effective(self) -> "Search":
    """As in `lanmt.Search`."""
    found = super().effective()
    return found if self.refine in score_network.KINDS else dataclasses.replace(found, step_size=1.0)


def check(config: Config, search: Search) -> None:
  """Raises ValueError for steps down an energy of a score network, which has none."""
  if search.refine == "energy" and config.kind != "energy":
    raise ValueError(f"search.refine=energy needs a network of model.kind=energy; got model.kind={config.kind}; set "
                     "search.refine=score.")


def _operations(config, source, target):
  net = config.net
  encoded, decoded, posterior = lanmt.passes_of(config.lanmt, source, target)
  blocks = net.decoder_layers + (config.latent.posterior_layers or net.decoder_layers)
  encoded -= (config.delta - 1) * blocks * 2 * net.width**2 * source  # Projected once for all steps.
  learned = operations.decoder(net, config.layers, target, source)
  first, memory = net.width * config.latent.dimensions * target, config.layers * 2 * net.width**2 * source
  if config.kind == "score":
    learned += 2 * first - memory // 3  # The memory is frozen: no gradient for it.
  else:  # Differentiated by z in the forward part too, but not the memory; both factors of self-attention are.
    learned = 2 * (learned + first + net.width**2 * target + config.layers * net.width * target**2)
    learned -= (4 * memory + first) // 3
  return family.Operations(
    learned, 0, encoded + config.delta * (decoded + posterior), config.delta * target)


TRAITS = family.Traits(
  _operations, offers=frozenset({"trace", "latents", "align", "reconstruct"}), side_by_side=True,
  readings=one_pass.READINGS, frozen=lambda config: {"lanmt": config.lanmt},
  copies={"network/stack/": "decoder/", "network/vector/": "vector/"},
  likelihood=lambda config: "bound", check=check, proxy=lambda config: "inputs, adaptive")


class Walk(NamedTuple):
  """The state of refinement by the network."""

  z: tf.Tensor  # float32 [R, A, Z].
  first: tf.Tensor  # float32 [R], the mean length of the first step of a position.
  last: tf.Tensor  # float32 [R], that of the last.


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `score`, `translate` and `trace`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="lanmt_score")
    self.config = config
    with keras.name_scope("lanmt"):
      self.lanmt = lanmt.Model(config.lanmt)
    self.lanmt.trainable = False
    self.network = score_network.Network(config.net, config.latent.dimensions, config.layers, config.kind)
    self.built = True

  def step(
      self, z: tf.Tensor, lengths: tf.Tensor, memory: encoder_decoder.Memory,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Returns s(z; x), float32 [R, A, Z], for targets of `lengths` int32 [R]."""
    size = tf.shape(z)[1]
    inside = tf.cast(tf.sequence_mask(lengths, size), tf.float32)
    return self.network(
      z, positions=self.lanmt.net.embed.positions(size), inside=inside, memory=memory, dropout=dropout)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """The score matching loss per sentence. If not `training`, z is the prior's mean.

    The terms of scale 0 are "cosine", between s and the displacement z~ - z, "moved", the squared displacement, which
    -"score" is at most, and, if not `training`, "token", of the latents after one step, and "kl_sentence" of the
    frozen `lanmt`.
    """
    stream = lambda n: noise_lib.stream(seed, n)
    tgt, lengths, size = batch.tgt, masking.lengths(batch.tgt), tf.shape(batch.tgt)[1]
    source = self.lanmt.encode(batch.src, project=True)
    source = source._replace(memory=source.memory._replace(states=tf.stop_gradient(source.memory.states)))
    prior = self.lanmt.prior(source, lengths, size)
    z = prior.mean
    if training:
      z = self._after_own_step(self._noisy(prior, stream), lengths, source, stream(_OWN), step)
    z = tf.stop_gradient(z)
    inside = tf.cast(masking.valid(tgt), tf.float32)[..., None]
    moved = tf.stop_gradient(self._delta(source, z, lengths) - z) * inside
    s = self.step(z, lengths, source.memory, noise_lib.Dropout(stream(_NET) if training else None)) * inside
    sums = lambda x: tf.reduce_sum(x, [1, 2])
    length = lambda x: tf.sqrt(tf.maximum(sums(x * x), 1e-12))  # Of a vector; the bound keeps its gradient finite.
    weight = batch.weight * tf.cast(lengths > 0, tf.float32)
    term = lambda x, scale=0.0: types.Term(tf.reduce_sum(x * weight), tf.reduce_sum(weight), scale)
    terms = {
      "score": term(sums(s * s - 2.0 * s * moved), 1.0),
      "cosine": term(tf.stop_gradient(sums(s * moved) / (length(s) * length(moved)))),
      "moved": term(sums(moved * moved)),
    }
    if not training:
      states = self.lanmt.decode(source, z + s, lengths, size)
      token = self.lanmt.net.token_term(states, tgt, inside[..., 0] * batch.weight[:, None])
      q = self.lanmt.posterior(source, tgt, lengths)
      terms["token"] = token._replace(scale=0.0)
      terms["kl_sentence"] = lanmt.kl_terms(q, prior, inside[..., 0] * weight[:, None], 0.0)["kl_sentence"]
    return types.Loss(terms)

  def _noisy(self, prior, stream):
    """Returns latents float32 [B, A, Z] at a random distance from the mean of the prior."""
    u = noise_lib.uniform([tf.shape(prior.mean)[0], 1, 1], stream(_U))
    return prior.sample(noise_lib.normal(tf.shape(prior.mean), stream(_Z)), self.config.noise * u)

  def _after_own_step(self, z, lengths, source, seed, step):
    """Returns z, in a share of the batches after one step of the network."""
    if not self.config.own:
      return z
    own = (noise_lib.uniform([], seed) < self.config.own) & (tf.cast(step, tf.int32) >= self.config.own_after)
    walked = lambda: z + self.config.own_size * self.step(z, lengths, source.memory)
    return tf.cond(own, walked, lambda: z)

  def _delta(self, source, z, lengths):
    """Returns z after `Config.delta` delta steps, float32 [B, A, Z]."""
    for _ in range(self.config.delta):
      tokens = lanmt_search.predict(self.lanmt, source, z, lengths, tf.shape(z)[1])
      z = self.lanmt.posterior(source, tokens, lengths).mean
    return z

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the lower bound of log p(y, T | x) of the frozen `lanmt`, float32 [B]; see `lanmt.Model.score`."""
    return self.lanmt.score(src, tgt)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the alignment of the frozen `lanmt`, float32 [B, T, S]."""
    return self.lanmt.align(src, tgt)

  def reconstruct(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns what the frozen `lanmt` reconstructs, int32 [B, T]; see `lanmt.Model.reconstruct`."""
    return self.lanmt.reconstruct(src, tgt)

  def refinement(self, search: Search) -> Callable[..., lanmt_search.Reached]:
    """Returns the refinement of a search, as `lanmt_search.translate` takes it."""
    if search.refine not in score_network.KINDS:
      return self.lanmt.refinement(search)

    def refined(source, start, traced):
      memory = self.network.project(source.memory)

      def step(t, walk):
        s = self.step(walk.z, start.lengths, memory)
        size = tf.reduce_sum(tf.norm(s, axis=-1), -1) / tf.cast(tf.maximum(start.lengths, 1), tf.float32)
        z = tf.ensure_shape(walk.z + search.step_size * s, walk.z.shape)
        return Walk(z, tf.where(t == 0, size, walk.first), size)

      zero = tf.zeros_like(start.lengths, tf.float32)
      calm = lambda _, walk: walk.last <= CALM * walk.first
      made = refine.refine(
        step, Walk(start.z, zero, zero), search.steps, done=calm if search.stop else None, trace=traced)
      before = [start.z] + [made.trace.z[i] for i in range(search.steps - 1)] if traced else []
      cost = 1 if self.config.kind == "score" else 2  # The gradient of an energy is a pass too.
      return lanmt_search.Reached(
        made.state.z, start.lengths, cost * made.passes, [(z, start.lengths) for z in before])
    return refined

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """As `lanmt.Model.translate`, in steps of the network with `search.refine` "score" or "energy"."""
    return lanmt_search.translate(self.lanmt, src, search, self.refinement(search), rescore)[0]

  def trace(
      self, src: tf.Tensor, search: Search,
      rescore: types.Rescore | None = None) -> tuple[types.Translation, types.Trace]:
    """Returns the `types.Translation` of `translate` and its `types.Trace`: what the latents of each step say."""
    return lanmt_search.translate(self.lanmt, src, search, self.refinement(search), rescore, traced=True)

  def latents(self, src: tf.Tensor, search: Search, tgt: tf.Tensor | None = None) -> types.Latents:
    """Returns the `types.Latents` of `search.steps` delta steps, and as many steps of the network."""
    walks = {"delta": self.lanmt.refinement(dataclasses.replace(search, refine="delta")),
             self.config.kind: self.refinement(dataclasses.replace(search, refine="score"))}
    return lanmt_search.latents(self.lanmt, src, search, walks, tgt)
