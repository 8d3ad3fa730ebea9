"""The conditional masked language model: Ghazvininejad et al. (EMNLP 2019, arXiv:1904.09324), "Mask-Predict".

  L = -sum_{i in M} log p(y_i | y_obs, x, T)

M is a set of n of the N tokens of y, EOS included; n is uniform on {1..N}.

  in the paper or its program                 here
  [mask]                                      `types.MASK`, a reserved token
  LENGTH token before the source              `EncoderDecoder.encode`: a slot before the source
  Mask-Predict, T iterations, l lengths       `decode/mask_predict.py`, `Search.passes`, `Search.candidates`

# Differs: the program draws n from {1..N-1}, so that it never trains on the all-masked canvas that every search
begins with; here, as in the paper's text, n may be N. The length loss is a mean over sentences times `length_factor`,
with the same label smoothing as the token loss; the program adds it with factor 1, unsmoothed, and divides it by the
number of masked tokens. The slot is that of `nat_em`: a zero vector with a position, which the decoder attends to,
while it does not attend to the source's EOS. ReLU and the embeddings are those of `transformer.Config`.
"""
import dataclasses
from typing import Any

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.decode import mask_predict
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.models import one_pass
from tf_nar.ops import choice
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import tokens as tokens_lib

_MASKS = 0  # Number of the random stream that draws the masks; dropout uses those from 1.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Label smoothing of token and length losses.
  length_factor: float = 0.1  # Weight of the length loss; in the score, log p of the length has weight 1.


@dataclasses.dataclass(frozen=True)
class Search:
  passes: int = 10  # Number of decoder passes, T in the paper; the first has MASK at every position.
  candidates: int = 5  # N: the N most probable lengths are decoded in parallel.
  min_masked: int = 1  # The fewest tokens that a pass masks: 1 as in the paper's program, 0 as in fairseq's.
  repredict_all: bool = False  # Each pass replaces all tokens (CMLMC), for models trained to predict unmasked ones.
  stop: bool = False  # Whether a candidate is finished once a pass does not change it.
  alpha: float = 0.6  # Exponent of the length penalty in rescoring, as in the teacher's beam search.
  min_length: int = 2  # The shortest length that is decoded, EOS included; an early EOS may still end before.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    core_config.check_at_least(1, self, "min_length", group="search.")
    if self.passes < 1 or self.candidates < 1:
      raise ValueError(
        f"search.passes and search.candidates must be at least 1; got {self.passes} and {self.candidates}.")
    if self.min_masked not in (0, 1):
      raise ValueError(
        f"search.min_masked must be 1, as in the paper's program, or 0, as in fairseq's; got {self.min_masked}.")

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


TRAITS = family.Traits(
  lambda config, source, target: one_pass.operations(config.net, config.net.decoder_layers, source, target),
  offers=frozenset({"trace", "score_tokens", "align"}), needs_mask=True, side_by_side=True, smoothed=True,
  shortlist=True, proxy=lambda config: "inputs, fixed")


class Model(keras.Model):
  """See the module docstring. The interface of a family is the methods from `objective` on."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="cmlm")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(config.net, decoder_layers=config.net.decoder_layers, length="absolute")
    self.built = True

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Label-smoothed cross-entropy per masked token, plus `length_factor` times that of the length per sentence.

    If not `training`, all tokens are masked, so that it is the loss of a search's first pass.
    """
    dropout = noise_lib.Dropout(seed if training else None)
    hidden, lengths = masking.valid(batch.tgt), masking.lengths(batch.tgt)
    if training:
      hidden = choice.any_number(noise_lib.stream(seed, _MASKS), hidden)
    memory = self.net.encode(batch.src, dropout)
    canvas = self.net.canvas(tf.where(hidden, types.MASK, batch.tgt))
    states = self.net.decode(canvas, lengths, memory, dropout)
    weight = tf.cast(hidden, tf.float32) * batch.weight[:, None]
    return types.Loss({
      "token": self.net.token_term(states, batch.tgt, weight, smoothing=self.config.smoothing),
      "length": self.net.length_term(
        memory, lengths, batch.weight, smoothing=self.config.smoothing, scale=self.config.length_factor),
    })

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(T | x) + sum_i log p(y_i | all masked, x, T), float32 [B].

    This is the likelihood under one decoder pass. The result of several passes has no likelihood under this model.
    """
    return one_pass.score(self.net, src, tgt, hidden=types.MASK)

  def score_tokens(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y_i | all masked, x, T) of each token, float32 [B, T]; see `score`."""
    return one_pass.score_tokens(self.net, src, tgt, hidden=types.MASK)

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention from masks, float32 [B, T, S]."""
    return one_pass.align(self.net, src, tgt, hidden=types.MASK)

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """`search.passes` passes for all length candidates at once; `rescore` as in `mask_predict`."""
    return self.trace(src, search, rescore)[0]

  def trace(
      self, src: tf.Tensor, search: Search,
      rescore: types.Rescore | None = None) -> tuple[types.Translation, types.Trace]:
    """Returns the `types.Translation` of `translate` and its `types.Trace`."""
    return search_lengths(self.net, src, search, rescore, rewrite=search.repredict_all)


def search_lengths(
    net: encoder_decoder.EncoderDecoder, src: tf.Tensor, search: Any, rescore: types.Rescore | None = None, *,
    rewrite: bool = False) -> tuple[types.Translation, types.Trace]:
  """Returns the `types.Translation` and `types.Trace` of Mask-Predict over the most probable lengths.

  `net` is an `encoder_decoder.EncoderDecoder` with a length head; `search` has the fields of `Search`, of which
  `rewrite` is `repredict_all`.
  """
  memory = net.encode(src)
  lengths = length_parallel.likeliest(net.length_logits(memory), search.candidates, search.min_length)
  lengths = length_parallel.nonempty(lengths, src)
  longest = net.config.max_length
  positions = length_parallel.positions(lengths, longest, src)
  memory = net.project(memory)

  def predict(inputs):  # [B·N, T]: the N rows of a sentence share its memory.
    states = net.decode(net.canvas(inputs), masking.lengths(inputs), memory)
    return net.best_tokens(states, (*tokens_lib.forbidden(search.unknown), types.MASK))

  canvas = tf.where(tf.sequence_mask(lengths, positions), types.MASK, types.PAD)
  counts = mask_predict.masked(search.passes, longest, search.min_masked)
  return mask_predict.mask_predict(
    predict, canvas, counts, rescore, rewrite=rewrite, stop=search.stop, alpha=search.alpha)
