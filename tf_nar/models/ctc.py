"""Translation by connectionist temporal classification, with or without glancing.

  p(y | x) = Σ over the paths a that collapse to y of Π_t p(a_t | x)       t = 1 ... k S; no length is predicted

Libovický & Helcl (EMNLP 2018), Saharia et al. (EMNLP 2020), Gu & Kong (Findings of ACL 2021), whose canvas this is:
the states of the encoder, each k times. Words are those of the target without EOS, the blank is MASK, S counts the
source's EOS, so even one word has places to spare.

Glancing (Qian et al., ACL 2021) along CTC's alignment, in training only:

  in the paper                              here
  Ŷ, the first pass, without gradient       `Model.glance`, under the dropout of the second
  the alignment of y                        `ops.ctc.best_path`, Viterbi
  λ, from 0.5 to 0.3                        `Config.glance`
  N(Y, Ŷ), the wrong share                  `ops.ctc.shown`
"""
import copy
import dataclasses
import itertools

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import consensus
from tf_nar.decode import ctc as search_lib
from tf_nar.decode import length_parallel
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.losses import ctc as loss_lib
from tf_nar.losses import emissions
from tf_nar.losses import ngrams
from tf_nar.ops import ctc
from tf_nar.ops import glancing
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import tokens as tokens_lib

RANKS = "beam", "consensus"
_SHOWN = 0  # Which fold of the seed draws the shown places; `Noise` takes those from 1.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  upsample: int = 2  # k, places of the canvas a source token.
  glance: glancing.Glance = glancing.OFF
  ngrams: int = 0  # 2: learns expected bigrams, without glancing, in place of the likelihood: see `losses/ngrams.py`.
  ngram_score: str = "f1"  # Of them: "f1" or "precision".

  def __post_init__(self):
    ngrams.check(self.ngrams, self.ngram_score)
    if self.upsample < 1:
      raise ValueError(f"upsample is at least 1, the usual is 2 or 3; got {self.upsample}.")


@dataclasses.dataclass(frozen=True)
class Search:
  beam: int = 1  # Prefixes that live; 1: what the likeliest path collapses to.
  candidates: int = 1  # The best prefixes that are kept.
  bonus: float = 0.0  # Nats that a beam gives a word; greater says more.
  rank: str = "beam"  # Of the n best: "beam", or "consensus": see `decode/consensus.py`. A teacher goes before.
  alpha: float = 0.6  # Length penalty of rescoring, as in the teacher's beam.
  unknown: bool = False  # Whether a translation may have <unk>.

  def __post_init__(self):
    if not 1 <= self.candidates <= self.beam:
      raise ValueError(f"search wants 1 <= candidates <= beam; got candidates={self.candidates}, beam={self.beam}.")
    core_config.check_choice("search.rank", self.rank, RANKS)
    if self.rank == "consensus" and self.candidates == 1:
      raise ValueError("search.rank=consensus ranks the n best of a beam, and the search says one; set search.beam=20 "
                       "search.candidates=9 too.")
    if self.bonus and self.beam == 1:
      raise ValueError(
        f"search.bonus={self.bonus} is a beam's, and the likeliest path has none; set search.beam=20 too.")

  def with_candidates(self, count):
    """Returns the search that says at least `count` candidates: the better half of a beam."""
    if count <= self.candidates:
      return self
    return dataclasses.replace(self, beam=max(self.beam, 2 * count), candidates=count)


def _operations(config, source, target):
  net, canvas = config.net, config.upsample * source
  decoded = operations.decoder(net, net.decoder_layers, canvas, source)
  decoded += operations.output(net, canvas) + operations.aligned(net, canvas, target)
  one = family.Operations(operations.encoder(net, source) + decoded, canvas)
  return one._replace(glanced=decoded, glanced_positions=canvas) if config.glance else one


TRAITS = family.Traits(_operations, offers=frozenset({"upsampling"}), needs_mask=True)


class Model(keras.Model):
  """See the module. The contract of a family is the three public methods at the end."""

  traits = TRAITS

  def __init__(self, config):
    super().__init__(name="ctc")
    self.config = config
    net = dataclasses.replace(config.net, max_length=config.upsample * config.net.max_length)
    self.net = encoder_decoder.EncoderDecoder(net, decoder_layers=net.decoder_layers, length=False)
    self.built = True

  def upsampling(self, source, target):
    """Returns the least `Config.upsample` with room for target ids, of so many source tokens."""
    repeats = sum(a == b for a, b in itertools.pairwise(target[:-1]))
    return -(-(len(target) - 1 + repeats) // source)

  def positions(self, src):
    """int32 [B, S] -> int32 [B], how long each canvas is."""
    return self.config.upsample * masking.lengths(src)

  def canvas(self, memory):
    """`Memory` -> float [B, k S, D]: each encoder state k times.

    # Differs: Gu & Kong mix neighbouring states, by weights that fall with the distance to a centre.
    """
    states = tf.repeat(memory.states, self.config.upsample, axis=1)
    return states + self.net.embed.positions(tf.shape(states)[1])

  def glance(self, canvas, memory, batch, *, ratio, dropout, seed):
    """Returns the canvas with words of the best alignment, blanks too, at some of the places.

    # Differs: at the alignment's blanks the released GLAT+CTC shows the next word; Gu & Kong the blank, as here.
    """
    positions = self.positions(batch.src)
    # A copy of the noise draws what the second pass will draw.
    states = tf.stop_gradient(self.net.decode(canvas, positions, memory, copy.copy(dropout)))
    embed = self.net.embed
    paths = loss_lib.lattice(states, embed.table, embed.bias, **_labels(batch.tgt), positions=positions)
    aligned = ctc.best_path(paths, batch.tgt)
    shown = ctc.shown(seed, self.net.likeliest(states) != aligned, paths.inside, ratio)
    return tf.where(shown[..., None], self.net.canvas(aligned), canvas)

  def objective(self, batch, *, seed, training, step=0):
    """-log p(y | x) a target token, EOS counted; and the share of pairs that is left out, for it has too few places."""
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

  def agreement(self, states, positions, batch):
    """The loss of expected n-grams."""
    order = self.config.ngrams
    counts, length = self.expected(states, batch.tgt, positions, order, emissions.gathered_log_probs)
    total = tf.maximum(length - (order - 1), 0.0)
    return types.Loss(
      ngrams.terms(batch.tgt, counts[-1], total, length, batch.weight, order, self.config.ngram_score))

  def score(self, src, tgt):
    """Returns log p(y | x), float32 [B]; -inf where the canvas has too few places for y."""
    embed = self.net.embed
    return loss_lib.log_prob(
      self._states(src), embed.table, embed.bias, **_labels(tgt), positions=self.positions(src))

  def translate(self, src, search, rescore=None):
    """One pass; `rescore` maps tokens int32 [B, N, T] to log p float32 [B, N] and ranks the n best."""
    states, positions, longest = self._states(src), self.positions(src), self.config.net.max_length
    forbid = (*tokens_lib.forbidden(search.unknown), types.EOS)  # EOS is where the words end, and never a word.
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

  def expected(self, states, tokens, positions, order, log_probs):
    """Returns what `ops.ctc.expected` and `expected_length` do, of words int32 [B, T].

    Args:
      states, places: what the canvas became, float [B, P, D], and its length, int32 [B].
      words, order: as for `ops.ctc.expected`.
      log_probs: of `losses/emissions.py`, one to learn by or one to rank by.
    """
    labels = tf.pad(tokens, [[0, 0], [0, 1]], constant_values=ctc.BLANK)
    predictions = log_probs(states, self.net.embed.table, self.net.embed.bias, labels)
    given = predictions[..., :-1], predictions[..., -1], tokens, positions
    return ctc.expected(*given, order), ctc.expected_length(*given)

  def _states(self, src):
    memory = self.net.encode(src)
    return self.net.decode(self.canvas(memory), self.positions(src), memory)


def _labels(tgt):
  """Targets as CTC takes them: int32 [B, T], and how many words are before EOS, int32 [B]."""
  return dict(tokens=tgt, count=tf.maximum(masking.lengths(tgt) - 1, 0))
