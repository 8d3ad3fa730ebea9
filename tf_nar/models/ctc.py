"""Translation by connectionist temporal classification (CTC), with or without glancing.

  p(y | x) = Σ over the paths a that collapse to y of Π_t p(a_t | x)       t = 1 ... k S; no length is predicted

The model is that of Libovický & Helcl (EMNLP 2018), Saharia et al. (EMNLP 2020) and Gu & Kong (Findings of ACL 2021).
As in the last of them, the canvas repeats each encoder state k times. Labels are the target tokens without EOS, and the
blank is MASK. S counts the source's EOS, so that a source of one token has 2k positions.

Glancing (Qian et al., ACL 2021) along CTC's best alignment, in training only:

  in the paper                              here
  Ŷ, the first pass, without gradient       `Model.glance`, with the dropout masks of the second pass
  the alignment of y                        `ops.ctc.best_path`, Viterbi
  λ, from 0.5 to 0.3                        `Config.glance`
  N(Y, Ŷ), from the share of wrong tokens   `ops.ctc.shown`
"""
import copy
import dataclasses
import itertools
from collections.abc import Callable

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import consensus
from tf_nar.decode import ctc as search_lib
from tf_nar.decode import length_parallel
from tf_nar.layers import embedding
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.losses import ctc as loss_lib
from tf_nar.losses import emissions
from tf_nar.losses import ngrams
from tf_nar.ops import alignment
from tf_nar.ops import ctc
from tf_nar.ops import glancing
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import tokens as tokens_lib

RANKS = "beam", "consensus"
_SHOWN = 0  # Number of the random stream that draws the revealed positions; `noise.Dropout` uses those from 1.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  upsample: int = 2  # k, canvas positions per source token.
  glance: glancing.Glance = glancing.OFF  # Schedule of glancing training.
  ngrams: int = 0  # n > 0: the loss is that of expected n-grams, as 2, instead of likelihood; see `losses/ngrams.py`.
  ngram_score: str = "f1"  # Score of the expected n-grams: "f1" or "precision".

  def __post_init__(self):
    ngrams.check(self.ngrams, self.ngram_score)
    if self.upsample < 1:
      raise ValueError(f"model.upsample must be at least 1, usually 2 or 3; got {self.upsample}.")


@dataclasses.dataclass(frozen=True)
class Search:
  beam: int = 1  # Beam size in prefixes; 1: collapse the most probable path, without a beam.
  candidates: int = 1  # N, the number of best sentences to return.
  bonus: float = 0.0  # Nats added per token in beam search; larger values give longer translations.
  rank: str = "beam"  # Ranking of the N best: "beam" or "consensus", see `decode/consensus.py`; a teacher overrides it.
  alpha: float = 0.6  # Exponent of the length penalty in rescoring, as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    if not 1 <= self.candidates <= self.beam:
      raise ValueError(f"search needs 1 <= candidates <= beam; got candidates={self.candidates}, beam={self.beam}.")
    core_config.check_choice("search.rank", self.rank, RANKS)
    if self.rank == "consensus" and self.candidates == 1:
      raise ValueError("search.rank=consensus needs the n best of a beam; got search.candidates=1; set search.beam=20 "
                       "search.candidates=9 too.")
    if self.bonus and self.beam == 1:
      raise ValueError(
        f"search.bonus needs a beam search; got bonus={self.bonus} with search.beam=1; set search.beam=20 too.")

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates, with a beam of twice as many."""
    if count <= self.candidates:
      return self
    return dataclasses.replace(self, beam=max(self.beam, 2 * count), candidates=count)


def _operations(config, source, target):
  net, canvas = config.net, config.upsample * source
  decoded = operations.decoder(net, net.decoder_layers, canvas, source)
  decoded += operations.output(net, canvas) + operations.aligned(net, canvas, target)
  one = family.Operations(operations.encoder(net, source) + decoded, canvas)
  return one._replace(glanced=decoded, glanced_positions=canvas) if config.glance and not config.ngrams else one


def _check(config, search):
  embedding.check_read(config.net, config.glance and not config.ngrams)


TRAITS = family.Traits(_operations, offers=frozenset({"upsampling", "align"}), needs_mask=True, shortlist=True,
                       likelihood=lambda config: "structured", check=_check,
                       proxy=lambda config: "targets, adaptive" + f"; {glancing.PROXY}" * bool(config.glance))


class Model(keras.Model):
  """See the module docstring. The interface of a family is `upsampling`, `objective`, `score` and `translate`."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="ctc")
    self.config = config
    net = dataclasses.replace(config.net, max_length=config.upsample * config.net.max_length)
    self.net = encoder_decoder.EncoderDecoder(net, decoder_layers=net.decoder_layers, length="none")
    self.built = True

  def upsampling(self, source: int, target: list[int]) -> int:
    """Returns the least `Config.upsample` with room for the target ids, given the number of source tokens."""
    repeats = sum(a == b for a, b in itertools.pairwise(target[:-1]))
    return -(-(len(target) - 1 + repeats) // source)

  def positions(self, src: tf.Tensor) -> tf.Tensor:
    """int32 [B, S] -> int32 [B], the number of canvas positions of each sentence."""
    return self.config.upsample * masking.lengths(src)

  def canvas(self, memory: encoder_decoder.Memory) -> tf.Tensor:
    """`Memory` -> float [B, k·S, D]: each encoder state k times.

    # Differs: Gu & Kong mix neighbouring states, with weights that decrease with the distance to a centre.
    """
    states = tf.repeat(memory.states, self.config.upsample, axis=1)
    return states + self.net.embed.positions(tf.shape(states)[1])

  def glance(
      self, canvas: tf.Tensor, memory: encoder_decoder.Memory, batch: types.Batch, *, ratio: float | tf.Tensor,
      dropout: noise_lib.Dropout, seed: tf.Tensor) -> tf.Tensor:
    """Returns the canvas with tokens of the best alignment, blanks included, revealed at some of the positions.

    # Differs: at the alignment's blanks the released GLAT+CTC reveals the next token; Gu & Kong the blank, as here.
    """
    positions = self.positions(batch.src)
    # A copy of `dropout` draws the same masks as the second pass will.
    states = tf.stop_gradient(self.net.decode(canvas, positions, memory, copy.copy(dropout)))
    embed = self.net.embed
    paths = loss_lib.lattice(states, embed.table, embed.bias, **_labels(batch.tgt), positions=positions)
    aligned = ctc.best_path(paths, batch.tgt)
    shown = ctc.shown(seed, self.net.likeliest(states) != aligned, paths.inside, ratio)
    return tf.where(shown[..., None], self.net.canvas(aligned), canvas)

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """-log p(y | x) per target token, EOS counted; and the share of pairs left out because they have too few positions.
    """
    dropout = noise_lib.Dropout(seed if training else None)
    memory = self.net.encode(batch.src, dropout)
    canvas, positions = self.canvas(memory), self.positions(batch.src)
    glance = self.config.glance
    if training and self.config.ngrams:
      return self.agreement(self.net.decode(canvas, positions, memory, dropout), positions, batch)
    if training and glance:
      seed = noise_lib.stream(seed, _SHOWN)
      canvas = self.glance(canvas, memory, batch, ratio=glance.at(step), dropout=dropout, seed=seed)
    states = self.net.decode(canvas, positions, memory, dropout)
    embed, labels = self.net.embed, _labels(batch.tgt)
    total = loss_lib.tied_ctc(states, embed.table, embed.bias, **labels, positions=positions, weight=batch.weight)
    real = batch.weight * tf.cast(masking.valid(batch.tgt)[:, 0], tf.float32)
    can = tf.where(ctc.possible(**labels, positions=positions), real, 0.0)
    tokens = tf.reduce_sum(can * tf.cast(masking.lengths(batch.tgt), tf.float32))
    return types.Loss({
      "token": types.Term(total, tokens),
      "infeasible": types.Term(tf.reduce_sum(real - can), tf.reduce_sum(real), scale=0.0),
    })

  def agreement(self, states: tf.Tensor, positions: tf.Tensor, batch: types.Batch) -> types.Loss:
    """Returns the loss of expected n-grams; see `losses/ngrams.py`."""
    order = self.config.ngrams
    counts, length = self.expected(states, batch.tgt, positions, order, emissions.gathered_log_probs)
    total = tf.maximum(length - (order - 1), 0.0)
    return types.Loss(
      ngrams.terms(batch.tgt, counts[-1], total, length, batch.weight, order, self.config.ngram_score))

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(y | x), float32 [B]; -inf where the canvas has too few positions for y."""
    embed = self.net.embed
    return loss_lib.log_prob(
      self._states(src), embed.table, embed.bias, **_labels(tgt), positions=self.positions(src))

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the source tokens whose positions emit each target token on its best path, float32 [B, T, S]."""
    embed, positions = self.net.embed, self.positions(src)
    paths = loss_lib.lattice(self._states(src), embed.table, embed.bias, **_labels(tgt), positions=positions)
    states = ctc.best_states(paths)
    inside = tf.sequence_mask(positions, tf.shape(states)[1])
    state = 2 * tf.range(tf.shape(tgt)[1])[:, None] + 1  # The state of each token.
    emitted = tf.cast((states[:, None] == state) & inside[:, None], tf.float32)  # [B, T, P]
    return alignment.upsampled(emitted, tgt, self.config.upsample, tf.shape(src)[1])

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Translates in one pass; `rescore` maps tokens int32 [B, N, T] to log p float32 [B, N] and ranks the N best."""
    states, positions, longest = self._states(src), self.positions(src), self.config.net.max_length
    forbid = (*tokens_lib.forbidden(search.unknown), types.EOS)  # EOS is no label; the search appends it.
    if search.beam == 1:
      found = search_lib.greedy(*self.net.best_tokens(states, forbid), positions, longest=longest)
    else:
      ids, best = self.net.top_tokens(states, search_lib.reach(search.beam), (*forbid, ctc.BLANK))
      log_prob = emissions.log_probs_at(
        states, self.net.embed.table, self.net.embed.bias, ids[..., 0], best[..., 0])
      found = search_lib.prefix_beam(
        ids, best, log_prob, positions, beam=search.beam, nbest=search.candidates, longest=longest, bonus=search.bonus)
    if rescore is not None:
      return length_parallel.ranked(found, rescore, alpha=search.alpha)
    if search.rank == "consensus":
      return consensus.ranked(
        found, lambda tokens: self.expected(states, tokens, positions, consensus.ORDER, emissions.exact_log_probs))
    return found

  def expected(
      self, states: tf.Tensor, tokens: tf.Tensor, positions: tf.Tensor, order: int,
      log_probs: Callable[..., tf.Tensor]) -> tuple[tf.Tensor, tf.Tensor]:
    """Returns the results of `ops.ctc.expected` and `ops.ctc.expected_length` for tokens int32 [B, T].

    Args:
      states, positions: the decoder states, float [B, P, D], and the length of each canvas, int32 [B].
      tokens, order: as for `ops.ctc.expected`.
      log_probs: a function of `losses/emissions.py`: `gathered_log_probs` for a loss, `exact_log_probs` for ranking.
    """
    labels = tf.pad(tokens, [[0, 0], [0, 1]], constant_values=ctc.BLANK)
    predictions = log_probs(states, self.net.embed.table, self.net.embed.bias, labels)
    given = predictions[..., :-1], predictions[..., -1], tokens, positions
    return ctc.expected(*given, order), ctc.expected_length(*given)

  def _states(self, src):
    memory = self.net.encode(src)
    return self.net.decode(self.canvas(memory), self.positions(src), memory)


def _labels(tgt):
  """Returns targets as the CTC functions take them: int32 [B, T], and the number of tokens before EOS, int32 [B]."""
  return dict(tokens=tgt, count=tf.maximum(masking.lengths(tgt) - 1, 0))
