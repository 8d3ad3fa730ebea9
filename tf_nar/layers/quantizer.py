"""Discrete bottlenecks of Kaiser et al. (ICML 2018) and Roy et al. (arXiv:1805.11063): vectors to codes and back.

  in the papers or their program                here
  x, e_j, K                                     `x`, `VectorQuantizer.codebook`, `Config.codes`
  VQ, codebook by EMA: hard EM                  `VectorQuantizer`, in `Config.decay`
  soft EM, m samples of softmax(-|x - e_j|²)    `Config.samples`; the label is the average of their one-hot vectors
  decomposed VQ, n_d slices                     `Config.slices`
  commitment β mean (x - sg(e))²                `Quantized.distance`, `Config.commitment`
  improved semantic hashing, saturating σ'      `SemanticHash`; log2 K bits
  Gumbel-softmax, temperature τ                 `GumbelSoftmax`, `Config.temperature`

The average votes of the codes, and with them the codebook, are state without a gradient: `call` returns the votes of a
batch as statistics, and `absorb` averages those of a whole update. Padding has no vote. All values are float32.

# Differs: the program starts its average counts at 0 and its sums at the random codebook, so that after the first
update the vectors of unused codes are thousands of times too long and one code gets all votes; here counts start at 1
and the codebook at vectors of the first batch. Counts are not smoothed. The program embeds the bits of semantic hashing
by Dense(c) + Dense(1 - c) and layers after it; here it is one affine map of c, as the decoder's convolutions follow.
Its schedules of noise and of discretisation are left out: half of the training sentences get bits, the others their
surrogate. Gumbel-softmax has no regulariser, and no sentences of a random temperature.
"""
import dataclasses
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar.layers import dense
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import quantize
from tf_nar.ops import schedule

RARE = 0.1  # Votes per update below which a code counts as unused.
_DRAW, _ROWS = range(2)  # Numbers of the random streams.


@dataclasses.dataclass(frozen=True)
class Config:
  kind: str = "vq"  # Bottleneck: "vq", vector quantisation; "hash", semantic hashing; or "gumbel", Gumbel-softmax.
  codes: int = 4_096  # K, the number of codes, all slices together.
  slices: int = 1  # n_d: of vq, slices of a vector with a codebook each, of the n_d-th root of `codes` vectors.
  samples: int = 0  # m: of vq, samples of soft EM in training, such as 10; 0: hard EM.
  decay: float = 0.999  # Decay of the average votes, and so of the codebook.
  commitment: float = 0.25  # β: of vq, weight of the mean squared distance of a vector to its code.
  restart: float = 0.0  # Of vq: codes with fewer votes per update than this are replaced; 0: none.
  temperature: schedule.Linear = schedule.Linear(1.2, 0.2, 150_000)  # τ of gumbel.

  def __post_init__(self):
    core_config.check_choice("bottleneck.kind", self.kind, tuple(KINDS))
    core_config.check_at_least(1, self, "codes", "slices", group="bottleneck.")
    core_config.check_at_least(0, self, "samples", "commitment", "restart", group="bottleneck.")
    if not 0 <= self.decay < 1:
      raise ValueError(f"bottleneck.decay must be at least 0 and below 1, such as 0.999; got {self.decay}.")
    if self.each**self.slices != self.codes:
      raise ValueError(f"bottleneck.codes must be a whole number to the power of bottleneck.slices={self.slices}, as "
                       f"each slice has a codebook; got {self.codes}; take {self.each**self.slices}.")
    if self.kind == "hash" and self.codes != 1 << self.bits:
      raise ValueError("bottleneck.codes must be a power of 2 for kind=hash, whose codes are bits; got "
                       f"{self.codes}; take {1 << self.bits}.")
    needless = [f"{name}={without}" for name, without in (("slices", 1), ("samples", 0), ("restart", 0))
                if getattr(self, name) != without]
    if self.kind != "vq" and needless:
      raise ValueError(f"bottleneck.slices, samples and restart are of kind=vq alone; got kind={self.kind} with others "
                       f"than {', '.join(needless)}; set {', '.join(f'bottleneck.{each}' for each in needless)} too.")
    if min(self.temperature.start, self.temperature.end) <= 0:
      raise ValueError("bottleneck.temperature must be above 0 from start to end, as logits are divided by it; got "
                       f"{self.temperature.start} to {self.temperature.end}.")

  @property
  def each(self) -> int:
    """The number of codes of one slice."""
    return round(self.codes**(1 / self.slices))

  @property
  def bits(self) -> int:
    """The number of bits of a code of semantic hashing, at least 1."""
    return max(1, (self.codes - 1).bit_length())


class Quantized(NamedTuple):
  """The result of a bottleneck."""

  embedded: tf.Tensor  # float32 [B, M, D], the embedded codes; their gradient goes on to the vectors.
  labels: tf.Tensor  # int32 [B, M, m], the codes: one, or the m samples of soft EM.
  distance: tf.Tensor  # float32 [B, M], mean over D of (x - sg(e))²; 0 for bottlenecks without a codebook.
  statistics: dict  # For `absorb`.


class Bottleneck(keras.layers.Layer):
  """What all bottlenecks share: the average votes of each code."""

  def __init__(self, config: Config, width: int, each: int, **kw: Any):
    super().__init__(name="bottleneck", dtype="float32", **kw)
    self.config, self.width = config, width
    self.counts = self.add_weight(
      name="counts", shape=(config.slices, each), initializer="ones", trainable=False)
    self.updates = self.add_weight(name="updates", shape=(), initializer="zeros", dtype="int32", trainable=False)

  def use(self) -> dict[str, tf.Tensor]:
    """Returns what is logged of the use of codes, float32 []: `perplexity`, the effective number in recent use, and
    `unused`, how many have less than a tenth of a vote.
    """
    return {"perplexity": quantize.perplexity(tf.convert_to_tensor(self.counts)),
            "unused": tf.math.count_nonzero(self.counts < RARE, dtype=tf.float32)}

  def absorb(self, statistics: dict) -> None:
    """Averages the votes of an update."""
    decay = self.config.decay
    self.counts.assign(decay * self.counts + (1 - decay) * statistics["counts"])
    self.updates.assign_add(1)

  def initialise(self, x: tf.Tensor, voters: tf.Tensor, *, seed: tf.Tensor) -> None:
    """Initialises state by the vectors of a first batch, float [B, M, D] and float32 [B, M]; by default nothing."""

  def _statistics(self, codes, voters):
    """Returns the votes for codes int32 [B, M], which must be those without noise: with it any code looks used."""
    codes = tf.reshape(codes, [-1, 1, 1])
    none = tf.zeros([tf.size(voters), 1, 1])
    return {"counts": quantize.votes(codes, none, tf.reshape(voters, [-1]), self.counts.shape[1]).counts}


class VectorQuantizer(Bottleneck):
  """The nearest vectors of codebooks that are moving averages of the vectors assigned to them."""

  def __init__(self, config: Config, width: int):
    if width % config.slices:
      raise ValueError(f"bottleneck.slices must divide net.width ({width}); got {config.slices}.")
    super().__init__(config, width, config.each)
    self.sums = self.add_weight(
      name="sums", shape=(config.slices, config.each, width // config.slices), trainable=False,
      initializer=keras.initializers.RandomNormal(stddev=1.0))
    # Codes that the last update replaced.
    self.restarted = self.add_weight(name="restarted", shape=(), initializer="zeros", trainable=False)
    self.built = True

  def use(self) -> dict[str, tf.Tensor]:
    """As in `Bottleneck`; with restarts, `restarted`, how many codes the last update replaced, in place of `unused`."""
    found = super().use()
    if not self.config.restart:
      return found
    return {"perplexity": found["perplexity"], "restarted": tf.convert_to_tensor(self.restarted)}

  @property
  def codebook(self) -> tf.Tensor:
    """float32 [G, K, d], the vectors of each slice."""
    return quantize.vectors(self._book())

  def _book(self):
    return quantize.Votes(tf.convert_to_tensor(self.counts), tf.convert_to_tensor(self.sums))

  def call(
      self, x: tf.Tensor, voters: tf.Tensor, *, seed: tf.Tensor | None = None, step: int | tf.Tensor = 0) -> Quantized:
    """Quantises vectors.

    Args:
      x: float [B, M, D].
      voters: float32 [B, M], 1 for vectors, 0 for padding.
      seed: int32 [2], that of an update; None: no noise, and hard codes.
      step: updates done before.

    Returns:
      A `Quantized`.
    """
    shape = tf.shape(x)
    flat = self._sliced(x)
    distance = quantize.distances(tf.stop_gradient(flat), self.codebook)
    if self.config.samples and seed is not None:
      codes = quantize.draw(noise_lib.stream(seed, _DRAW), -distance, self.config.samples)
    else:
      codes = quantize.nearest(distance)  # [R, G, m]
    value = tf.reduce_mean(quantize.look_up(self.codebook, codes), 2)  # [R, G, d]
    apart = tf.reshape(tf.reduce_mean((flat - value)**2, [1, 2]), shape[:2])
    new = quantize.votes(codes, tf.stop_gradient(flat), tf.reshape(voters, [-1]), self.config.each)
    statistics = {**new._asdict(), "distance": tf.reduce_sum(voters * tf.stop_gradient(apart)),
                  "voters": tf.reduce_sum(voters)}
    embedded = tf.reshape(quantize.straight_through(value, flat), shape)
    labels = quantize.number(tf.transpose(codes, [0, 2, 1]), self.config.each)  # [R, m]
    return Quantized(embedded, tf.reshape(labels, [*tf.unstack(shape[:2]), codes.shape[2]]), apart, statistics)

  def embed(self, codes: tf.Tensor) -> tf.Tensor:
    """int32 [B, M] -> float32 [B, M, D], the vectors of codes."""
    rows = tf.reshape(quantize.digits(codes, self.config.each, self.config.slices), [-1, self.config.slices, 1])
    return tf.reshape(quantize.look_up(self.codebook, rows), [*tf.unstack(tf.shape(codes)), self.width])

  def absorb(self, statistics: dict) -> None:
    """Moves the codebook by the votes of an update, and replaces codes that are rarely used."""
    book = quantize.averaged(
      self._book(), quantize.Votes(statistics["counts"], statistics["sums"]), self.config.decay)
    if self.config.restart:
      spread = tf.sqrt(tf.math.divide_no_nan(statistics["distance"], statistics["voters"]))
      seed = tf.stack([tf.convert_to_tensor(self.updates), 0])
      book, restarted = quantize.split(book, self.config.restart, spread, seed)
      self.restarted.assign(restarted)
    self.counts.assign(book.counts)
    self.sums.assign(book.sums)
    self.updates.assign_add(1)

  def initialise(self, x: tf.Tensor, voters: tf.Tensor, *, seed: tf.Tensor) -> None:
    """Initialises an untrained codebook with vectors of a first batch, drawn with replacement."""
    rows = tf.boolean_mask(self._sliced(x), tf.reshape(voters, [-1]) > 0)  # [R, G, d]
    at = noise_lib.uniform(self.counts.shape, noise_lib.stream(seed, _ROWS)) * tf.cast(tf.shape(rows)[0], tf.float32)
    drawn = tf.gather(tf.transpose(rows, [1, 0, 2]), tf.cast(at, tf.int32), batch_dims=1)
    if not self.updates.numpy():
      self.sums.assign(tf.convert_to_tensor(self.counts)[..., None] * drawn)

  def _sliced(self, x):
    """float [B, M, D] -> float32 [R, G, d]."""
    return tf.reshape(tf.cast(x, tf.float32), [-1, self.config.slices, self.width // self.config.slices])


class SemanticHash(Bottleneck):
  """Bits of a saturating sigmoid of a linear map, with noise in training."""

  def __init__(self, config: Config, width: int):
    super().__init__(config, width, config.codes)
    self.logits = dense.Dense(config.bits, name="logits", dtype="float32")
    self.vectors = dense.Dense(width, name="vectors", dtype="float32")
    self.build(None)

  def build(self, _: tuple | None) -> None:
    self.logits.build((None, self.width))
    self.vectors.build((None, self.config.bits))
    self.built = True

  def call(
      self, x: tf.Tensor, voters: tf.Tensor, *, seed: tf.Tensor | None = None, step: int | tf.Tensor = 0) -> Quantized:
    """As `VectorQuantizer.call`; in training half of the sentences get the surrogate of the bits, not the bits."""
    logits = self.logits(tf.cast(x, tf.float32))  # [B, M, b]
    clean = quantize.number(tf.cast(logits > 0, tf.int32), 2)
    if seed is not None:
      logits += noise_lib.normal(tf.shape(logits), noise_lib.stream(seed, _DRAW))
    soft = quantize.saturating(logits)
    bits = tf.cast(soft > 0.5, tf.float32)
    given = quantize.straight_through(bits, soft)
    if seed is not None:
      half = noise_lib.uniform(tf.shape(x)[:1], noise_lib.stream(seed, _ROWS))[:, None, None] < 0.5
      given = tf.where(half, given, soft)
    labels = quantize.number(tf.cast(bits, tf.int32), 2)[..., None]
    return Quantized(self.vectors(given), labels, tf.zeros_like(voters), self._statistics(clean, voters))

  def embed(self, codes: tf.Tensor) -> tf.Tensor:
    """int32 [B, M] -> float32 [B, M, D]."""
    return self.vectors(tf.cast(quantize.digits(codes, 2, self.config.bits), tf.float32))


class GumbelSoftmax(Bottleneck):
  """A softmax over codes at a falling temperature, with Gumbel noise in training; the likeliest code in translation."""

  def __init__(self, config: Config, width: int):
    super().__init__(config, width, config.codes)
    self.logits = dense.Dense(config.codes, name="logits", dtype="float32")
    self.vectors = self.add_weight(
      name="vectors", shape=(config.codes, width), initializer=keras.initializers.RandomNormal(stddev=1.0))
    self.build(None)

  def build(self, _: tuple | None) -> None:
    self.logits.build((None, self.width))
    self.built = True

  def call(
      self, x: tf.Tensor, voters: tf.Tensor, *, seed: tf.Tensor | None = None, step: int | tf.Tensor = 0) -> Quantized:
    """As `VectorQuantizer.call`; in training codes are mixed by their softmax."""
    logits = self.logits(tf.cast(x, tf.float32))  # [B, M, K]
    clean = tf.argmax(logits, -1, tf.int32)
    if seed is not None:
      logits += quantize.gumbel(tf.shape(logits), noise_lib.stream(seed, _DRAW))
    labels = tf.argmax(logits, -1, tf.int32)[..., None]
    table = tf.convert_to_tensor(self.vectors)
    shares = tf.nn.softmax(logits / self.config.temperature.at(step))
    soft = tf.reshape(tf.matmul(tf.reshape(shares, [-1, self.config.codes]), table), tf.shape(x))
    embedded = soft if seed is not None else quantize.straight_through(self.embed(labels[..., 0]), soft)
    return Quantized(embedded, labels, tf.zeros_like(voters), self._statistics(clean, voters))

  def embed(self, codes: tf.Tensor) -> tf.Tensor:
    """int32 [B, M] -> float32 [B, M, D]."""
    return tf.gather(tf.convert_to_tensor(self.vectors), codes)


def operations(config: Config, width: int, vectors: int) -> int:
  """Returns the multiply-adds for a number of vectors; distances have no gradient, so that they count a third."""
  if config.kind == "vq":
    return vectors * width * config.each // 3
  return 2 * vectors * width * (config.bits if config.kind == "hash" else config.codes)


KINDS = {"vq": VectorQuantizer, "hash": SemanticHash, "gumbel": GumbelSoftmax}


def build(config: Config, width: int) -> Bottleneck:
  """Returns the bottleneck of a `Config` for vectors of `width` features."""
  return KINDS[config.kind](config, width)
