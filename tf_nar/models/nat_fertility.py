"""The non-autoregressive Transformer of Gu, Bradbury, Xiong, Li & Socher (ICLR 2018), arXiv:1711.02281.

  p(y | x) = Σ_f Π_s p(f_s | x) Π_t p(y_t | x copied by f)        Σ_s f_s = T; T counts EOS

The decoder is given a copy of the source in which token s stands f_s times, its fertility. That says the length, and
which word each place is to translate. Two simpler copies, uniform and soft, have a length head instead.

  in the paper or its program               here
  f, 0 to 49, read off the top states       `Model.fertility`
  q(f | x, y), the aligner's fertilities    `types.Aligned`, by data_prep/align.py
  copies: uniform, soft, by fertility       `ops/copying.py`, `Config.copy`
  loss: words given f, and f                terms `token` and `fertility`, both a target token
  argmax, and NPD with s samples            `Search.samples`, the likeliest among them; `rescore` is the teacher

# Differs: decoder places see themselves, there is no attention to positions, every decoder block looks at the top
encoder states; what is copied, a word's embedding and its place, lacks the bias that the encoder adds, and counts
places without the slot of a length head; there is no fine-tuning by a teacher's loss and reinforcement.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy
from tf_nar.models import one_pass
from tf_nar.ops import copying
from tf_nar.ops import fertility as fertility_lib
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations

CLASSES = 50  # Of fertilities, the paper's; the last is learned as "49 or more".
COPIES = ("fertility", "uniform", "soft")


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Of words.
  copy: str = "fertility"  # Of the source, into the decoder: by "fertility", "uniform" or "soft".
  tau: float = 0.3  # Of the soft copy, how far a place looks.

  def __post_init__(self):
    core_config.check_choice("model.copy", self.copy, COPIES)
    if self.tau <= 0:
      raise ValueError(f"model.tau is above 0, the usual is 0.3; got {self.tau}.")

  @property
  def aligned(self):
    """Whether it learns from `types.Aligned`."""
    return self.copy == "fertility"


@dataclasses.dataclass(frozen=True)
class Search:
  candidates: int = 1  # Fertilities tried side by side: the likeliest, and draws; of other copies, lengths.
  seed: int = 0  # Of the draws.
  odd: bool = False  # No word twice in a row, by the exact programme; else the best word at each place.
  odd_within_words: bool = False  # Whether parts of one word must differ too, as in the paper.
  alpha: float = 0.6  # Length penalty of the ranking, as in the teacher's beam.
  unknown: bool = False  # Whether a translation may have <unk>.

  def __post_init__(self):
    if self.candidates < 1:
      raise ValueError(
        f"search.candidates is at least 1, which is the likeliest fertilities alone; got {self.candidates}.")

  def with_candidates(self, count):
    """Returns the search that says at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


def _operations(config, source, target):
  net = config.net
  return family.Operations(
    operations.encoder(net, source) + operations.decoder(net, net.decoder_layers, target, source)
    + operations.output(net, target), target)


TRAITS = family.Traits(
  _operations, batch=lambda config: types.Aligned if config.aligned else types.Batch, side_by_side=True, smoothed=True,
  readings=one_pass.READINGS)


class Model(keras.Model):
  """See the module. The contract of a family is `objective`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config):
    super().__init__(name="nat_fertility")
    self.config, self.aligned = config, config.aligned
    self.net = encoder_decoder.EncoderDecoder(
      config.net, decoder_layers=config.net.decoder_layers, length=not self.aligned)
    if self.aligned:
      self.fertility = keras.layers.Dense(CLASSES, name="fertility", dtype="float32")
      self.fertility.build((None, None, config.net.width))
    self.built = True

  def canvas(self, src, lengths, positions, fertility=None):
    """Copies the embedded source, each token with its place, to the places of the target.

    Args:
      src: int32 [B, S].
      lengths: int32 [B], of the targets.
      places: T.
      fertility: int32 [B, S], where the copy is by it.

    Returns:
      float [B, T, D].
    """
    source, tokens = self.net.canvas(src), masking.lengths(src)
    if self.config.copy == "soft":
      weights = copying.soft(tokens, lengths, tf.shape(src)[1], positions, self.config.tau)
      copies = tf.matmul(tf.cast(weights, source.dtype), source)
    else:
      which = (copying.by_fertility(fertility, positions) if self.aligned
               else copying.uniform(tokens, lengths, positions))
      copies = tf.gather(source, which, batch_dims=1)
    return copies + self.net.embed.positions(positions)

  def log_fertility(self, memory, src):
    """Returns log p(f_s | x), float32 [B, S, K]."""
    return fertility_lib.log_probs(self.fertility(memory.states), src)

  def objective(self, batch, *, seed, training, step=0):
    """-log p(y, f | x) a target token, words smoothed; of other copies -log p(y, T | x).

    `batch` is a `types.Aligned` if the copy is by fertility.
    """
    dropout = noise_lib.Dropout(seed if training else None)
    memory, lengths = self.net.encode(batch.src, dropout), masking.lengths(batch.tgt)
    fertility = batch.fertility if self.aligned else None
    canvas = self.canvas(batch.src, lengths, tf.shape(batch.tgt)[1], fertility)
    states = self.net.decode(canvas, lengths, memory, dropout)
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    token = self.net.token_term(states, batch.tgt, weight, smoothing=self.config.smoothing)
    if not self.aligned:
      term = self.net.length_term(memory, lengths, batch.weight, scale=1.0)
      return types.Loss({"token": token, "length": term._replace(count=token.count)})
    weight = tf.cast(masking.valid(batch.src), tf.float32) * batch.weight[:, None]
    labels = tf.minimum(fertility, CLASSES - 1)
    total = cross_entropy.cross_entropy(self.fertility(memory.states), labels, weight)
    return types.Loss({"token": token, "fertility": types.Term(total, token.count)})

  def score(self, src, tgt):
    """Returns log p(T | x) + Σ log p(y_t | x, T), float32 [B]; of fertilities, a lower bound of log p(y | x).

    The bound is one term of the sum over f: log p(f | x) + log p(y | x, f) of the likeliest fertilities that add up
    to T; -inf where none do.
    """
    memory, lengths = self.net.encode(src), masking.lengths(tgt)
    positions = tf.shape(tgt)[1]
    fertility = None
    if self.aligned:
      fertility, prior = fertility_lib.likeliest(self.log_fertility(memory, src), lengths, positions)
    else:
      prior = self.net.length_log_prob(memory, lengths)
    states = self.net.decode(self.canvas(src, lengths, positions, fertility), lengths, memory)
    return prior + self.net.embed.log_prob(states, tgt)

  def translate(self, src, search, rescore=None):
    """One pass for all candidates at once: noisy parallel decoding.

    Ranked by log p of what the canvas was made of and of the words said, over the length penalty; or, if `rescore`
    maps tokens int32 [B, N, T] to log p float32 [B, N], by that.
    """
    memory = self.net.encode(src)
    fertility, lengths, prior = self._candidates(src, memory, search)
    positions = length_parallel.positions(lengths, self.config.net.max_length, src)
    sources, memory = tf.repeat(src, search.candidates, axis=0), self.net.project(memory)

    def say(flat):  # [B N]: the rows of a sentence look at its one memory together.
      states = self.net.decode(self.canvas(sources, flat, positions, fertility), flat, memory)
      tokens, score = one_pass.predictions(self.net, states, flat, search)
      return tokens, score + tf.reshape(prior, [-1])

    return length_parallel.length_parallel(say, lengths, rescore, alpha=search.alpha)

  def _candidates(self, src, memory, search):
    """Returns fertilities int32 [B N, S] or None, the lengths int32 [B, N], and log p of either, float32 [B, N]."""
    most = self.config.net.max_length
    if not self.aligned:
      logits = self.net.length_logits(memory)
      lengths = length_parallel.candidates(logits, search.candidates, most)
      lengths = length_parallel.nonempty(lengths, src)
      return None, lengths, tf.gather(tf.nn.log_softmax(logits), lengths, batch_dims=1)
    log_prob = self.log_fertility(memory, src)
    found = fertility_lib.candidates(log_prob, search.candidates, [search.seed, 0], most)
    found = fertility_lib.bounded(found, src, most)
    flat = tf.reshape(found, [-1, tf.shape(src)[1]])
    return flat, tf.reduce_sum(found, -1), fertility_lib.of(log_prob, found)
