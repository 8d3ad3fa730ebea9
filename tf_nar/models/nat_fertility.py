"""The non-autoregressive Transformer of Gu, Bradbury, Xiong, Li & Socher (ICLR 2018), arXiv:1711.02281.

  p(y | x) = Σ_f Π_s p(f_s | x) Π_t p(y_t | x copied by f)        Σ_s f_s = T; T counts EOS

The decoder's input is a copy of the source in which token s is repeated f_s times, its fertility. This determines the
target length and the source token that each position translates. The two simpler kinds of copy, uniform and soft, have
a length head instead.

  in the paper or its program               here
  f, 0 to 49, from the top encoder states   `Model.fertility`
  q(f | x, y), the aligner's fertilities    `types.Aligned`, made by data_prep/align.py
  copies: uniform, soft, by fertility       `ops/copying.py`, `Config.copy`
  loss: tokens given f, and f               terms `token` and `fertility`, both per target token
  argmax, and NPD with s samples            `Search.candidates`, argmax one of them; `rescore` is the teacher
  fine-tuning by the teacher                `models/fertility_tuning.py`, `Config.tuning`

# Differs: decoder positions attend to themselves, there is no positional attention, and every decoder block attends
to the top encoder states; the copies, token plus position embeddings, lack the bias that the encoder adds, and their
positions do not count the slot of a length head.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.layers import attention
from tf_nar.layers import embedding
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.losses import cross_entropy
from tf_nar.models import ar
from tf_nar.models import fertility_tuning
from tf_nar.models import one_pass
from tf_nar.ops import alignment
from tf_nar.ops import copying
from tf_nar.ops import fertility as fertility_lib
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations

CLASSES = 50  # K, the number of fertility classes, as in the paper; the last means "49 or more" in training.
COPIES = ("fertility", "uniform", "soft")


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Label smoothing of the token loss.
  copy: str = "fertility"  # How the source is copied into the decoder: by "fertility", "uniform" or "soft".
  tau: float = 0.3  # Temperature of the soft copy; larger values mix more distant source tokens.
  tuning: fertility_tuning.Tuning = fertility_tuning.Tuning()

  def __post_init__(self):
    if self.tuning.share and not self.aligned:
      raise ValueError(f"model.tuning is for copies by fertility; got model.copy={self.copy}; set "
                       "model.tuning.share=0.")
    core_config.check_choice("model.copy", self.copy, COPIES)
    if self.tau <= 0:
      raise ValueError(f"model.tau must be above 0, usually 0.3; got {self.tau}.")

  @property
  def aligned(self) -> bool:
    """Whether the training batches are `types.Aligned`."""
    return self.copy == "fertility"


@dataclasses.dataclass(frozen=True)
class Search:
  candidates: int = 1  # N: the most probable fertilities and N - 1 samples; with other copies, N lengths.
  seed: int = 0  # Of the samples.
  odd: bool = False  # Optimal de-duplicated decoding: no token twice in a row; False: the best token at each position.
  odd_everywhere: bool = False  # Whether `odd` applies to digits within a word too, as in the ODD paper.
  alpha: float = 0.6  # Exponent of the length penalty in ranking, as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    if self.candidates < 1:
      raise ValueError(
        f"search.candidates must be at least 1, for the most probable fertilities alone; got {self.candidates}.")

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


def _operations(config, source, target):
  learned = operations.whole(config.net, config.net.decoder_layers, source, target)
  more = fertility_tuning.operations(config.net, config.tuning, source, target)
  return family.Operations(learned + more.learned, target + more.positions, more.glanced, more.glanced_positions)


TRAITS = family.Traits(
  _operations,
  offers=frozenset({"score_tokens", "align"}), shortlist=True,
  batch=lambda config: types.Aligned if config.aligned else types.Batch, side_by_side=True, smoothed=True,
  readings=one_pass.READINGS, likelihood=lambda config: "bound" if config.aligned else "factorised",
  check=lambda config, search: embedding.check_read(config.net, False),
  proxy=lambda config: "inputs, fixed" if config.aligned else "none",
  frozen=lambda config: {"teacher": config.tuning.teacher} if config.tuning.share else {})


class Model(keras.Model):
  """See the module docstring. The interface of a family is `objective`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="nat_fertility")
    self.config, self.aligned = config, config.aligned
    self.net = encoder_decoder.EncoderDecoder(
      config.net, decoder_layers=config.net.decoder_layers, length="none" if self.aligned else "absolute")
    if self.aligned:
      self.fertility = keras.layers.Dense(CLASSES, name="fertility", dtype="float32")
      self.fertility.build((None, None, config.net.width))
    if config.tuning.share:
      with keras.name_scope("teacher"):
        self.teacher = ar.Model(config.tuning.teacher)
      self.teacher.trainable = False
    self.built = True

  def canvas(
      self, src: tf.Tensor, lengths: tf.Tensor, positions: int | tf.Tensor,
      fertility: tf.Tensor | None = None) -> tf.Tensor:
    """Copies the embedded source, token plus position embeddings, to the positions of the target.

    Args:
      src: int32 [B, S].
      lengths: int32 [B], of the targets.
      positions: T.
      fertility: int32 [B, S], if the copy is by fertility.

    Returns:
      float [B, T, D].
    """
    source, tokens = self.net.source_canvas(src), masking.lengths(src)
    if self.config.copy == "soft":
      weights = copying.soft(tokens, lengths, tf.shape(src)[1], positions, self.config.tau)
      copies = tf.matmul(tf.cast(weights, source.dtype), source)
    else:
      which = (copying.by_fertility(fertility, positions) if self.aligned
               else copying.uniform(tokens, lengths, positions))
      copies = tf.gather(source, which, batch_dims=1)
    return copies + self.net.embed.positions(positions)

  def log_fertility(self, memory: encoder_decoder.Memory, src: tf.Tensor) -> tf.Tensor:
    """Returns log p(f_s | x), float32 [B, S, K]."""
    return fertility_lib.log_probs(self.fertility(memory.states), src)

  def objective(
      self, batch: types.Batch | types.Aligned, *, seed: tf.Tensor, training: bool,
      step: int | tf.Tensor = 0) -> types.Loss:
    """-log p(y, f | x) per target token, with label smoothing of the token loss; with other copies -log p(y, T | x).

    `batch` is a `types.Aligned` if the copy is by fertility. With a `Tuning` there are two terms more in training.
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
    terms = {"token": token, "fertility": types.Term(total, token.count)}
    if not (training and self.config.tuning.share):
      return types.Loss(terms)
    terms = {name: term._replace(scale=1 - self.config.tuning.share) for name, term in terms.items()}
    return types.Loss(terms | fertility_tuning.terms(self, batch, memory, states, seed))

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(T | x) + Σ log p(y_t | x, T), float32 [B]; with fertilities, a lower bound of log p(y | x).

    The bound is one term of the sum over f: log p(f | x) + log p(y | x, f) for the most probable fertilities that sum
    to T; -inf where none do.
    """
    prior, each = self._scored(src, tgt)
    return prior + tf.reduce_sum(each, -1)

  def score_tokens(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y_t | x, T), or log p(y_t | x, f) for the f of `score`, of each token, float32 [B, T]."""
    return self._scored(src, tgt)[1]

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns which source token each position copies by the fertilities of `score`, float32 [B, T, S]; with other
    copies the mean cross-attention.
    """
    memory, lengths, positions = self.net.encode(src), masking.lengths(tgt), tf.shape(tgt)[1]
    if self.aligned:
      fertility, _ = fertility_lib.likeliest(self.log_fertility(memory, src), lengths, positions)
      return alignment.copied(copying.by_fertility(fertility, positions), tgt, tf.shape(src)[1])
    canvas = self.canvas(src, lengths, positions)
    return attention.alignment_of(lambda seen: self.net.decode(canvas, lengths, memory, attended=seen), src, tgt)

  def _scored(self, src, tgt):
    """Returns log p of the length or the fertilities, float32 [B], and of each token, float32 [B, T]."""
    memory, lengths = self.net.encode(src), masking.lengths(tgt)
    positions = tf.shape(tgt)[1]
    fertility = None
    if self.aligned:
      fertility, prior = fertility_lib.likeliest(self.log_fertility(memory, src), lengths, positions)
    else:
      prior = self.net.length_log_prob(memory, lengths)
    states = self.net.decode(self.canvas(src, lengths, positions, fertility), lengths, memory)
    return prior, self.net.embed.token_log_probs(states, tgt)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Decodes all candidates in one pass: noisy parallel decoding.

    Candidates are ranked by log p of the fertilities or the length, plus log p of the predicted tokens, divided by the
    length penalty; or by `rescore`, which maps tokens int32 [B, N, T] to log p float32 [B, N].
    """
    memory = self.net.encode(src)
    fertility, lengths, prior = self._candidates(src, memory, search)
    positions = length_parallel.positions(lengths, self.config.net.max_length, src)
    sources, memory = tf.repeat(src, search.candidates, axis=0), self.net.project(memory)

    def say(flat):  # [B·N]: the N rows of a sentence share its memory.
      states = self.net.decode(self.canvas(sources, flat, positions, fertility), flat, memory)
      tokens, score = one_pass.predictions(self.net, states, flat, search)
      return tokens, score + tf.reshape(prior, [-1])

    return length_parallel.length_parallel(say, lengths, rescore, alpha=search.alpha)

  def _candidates(self, src, memory, search):
    """Returns fertilities int32 [B·N, S], or None; lengths int32 [B, N]; and the log p of either, float32 [B, N]."""
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
