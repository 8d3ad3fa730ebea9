"""JANUS: Liang, Wu, Li & Zhang (EMNLP 2022), "JANUS: Joint Autoregressive and Non-autoregressive Training with
Auxiliary Loss for Sequence Generation".

One encoder and one decoder predict each target token in three ways, from a MASK at its position:

  AR    p(y_i | x, y_<i)                     translates by beam search
  NAR   p(y_i | x, y_obs, T)                 the masked language model of `cmlm`; translates by Mask-Predict
  AUX   p(y_i | x, y_obs, y_(M, <i), T)      of the masked tokens M also those before i: between AR and NAR

  L = Σ w_k CE_k + Σ w_jk D(j, k) + length_factor CE(T | x)        D: symmetric KL, a mean over masked tokens

  in the paper or its program                 here
  content stream and query stream             blocks of one sequence: `ops/streams.py`
  the seven terms of the program              `Weights()`; of the paper's figure, five: `FIGURE`
  span masking, ceil(0.7 n), Poisson(2)       `ops/spans.py`, `Config.share`
  two runs of the encoder in each update      `Config.encode_twice`
  two tokens per step of the beam search      content, which is cached, and its query, which is not

The NAR mode is exactly `cmlm`. In every mode token y_i has position i, and so has the MASK that asks for it. So AR is
AUX with nothing but the tokens before i; what comes before the first of them, E[BOS], has no position.

Span masks never hide a whole sentence, as the first pass of a search and `score` of mode NAR do; "uniform" ones do.

# Differs: in the program a target begins with b, and AR asks for y_(i+1) at the position of y_i, but NAR at that of
y_(i+1), as the paper's figure does in both. b and e are never masked there; here EOS may be, since it is when a search
begins. The mask is `types.MASK`, not UNK. The length is predicted from the slot of `cmlm`, not from the mean of the
encoder states.
"""
import dataclasses

import keras
import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import beam
from tf_nar.decode import length_parallel
from tf_nar.layers import attention
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.losses import cross_entropy
from tf_nar.losses import divergence
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import one_pass
from tf_nar.ops import choice
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import operations
from tf_nar.ops import spans
from tf_nar.ops import streams

_MASKS = 0  # Number of the random stream that draws the masks; dropout uses those from 1.
_BLOCKS = 5  # Of T positions each: the canvas, tokens and queries of AUX; shifted tokens and queries of AR.
NAR, AUX, AR = range(3)  # The streams.
PAIRS = {"nar_aux": (NAR, AUX), "ar_aux": (AR, AUX), "ar_nar": (AR, NAR)}


@dataclasses.dataclass(frozen=True)
class Weights:
  """Weights of the cross-entropies and of the divergences between two predictions; by default the program's."""

  ar: float = 1.0  # Of all tokens.
  nar: float = 0.5  # Of the masked tokens, like the rest.
  aux: float = 0.5  # Of the cross-entropy of AUX.
  nar_aux: float = 1.0  # Of the divergence between NAR and AUX.
  ar_aux: float = 3.0  # Of the divergence between AR and AUX.
  ar_nar: float = 1.0  # Of the divergence between AR and NAR.


FIGURE = Weights(nar=1.0, aux=1.0, ar_aux=1.0, ar_nar=0.0)  # The five terms of the paper's figure.


@dataclasses.dataclass(frozen=True)
class Config:
  net: transformer.Config = transformer.Config()
  smoothing: float = 0.1  # Label smoothing of token and length losses.
  length_factor: float = 0.1  # Weight of the length loss; in NAR's score, log p of the length has weight 1.
  weights: Weights = Weights()
  masks: str = "spans"  # Which tokens are masked: "spans", or "uniform": any number of them, as `cmlm` does.
  share: float = 0.7  # Share of the tokens that spans may cover, before they overlap.
  encode_twice: bool = True  # Whether AR's encoder pass has dropout masks of its own; else one pass serves all modes.
  scores: str = "ar"  # The mode whose log p `score` returns: "ar", or "nar": that of one pass, as `cmlm`.

  def __post_init__(self):
    core_config.check_choice("model.masks", self.masks, ("spans", "uniform"))
    core_config.check_choice("model.scores", self.scores, ("ar", "nar"))
    if not 0 < self.share <= 1:
      raise ValueError(f"model.share must be above 0 and at most 1; got {self.share}.")


@dataclasses.dataclass(frozen=True)
class Search(ar.Search):
  """That of `ar`, with a second mode, whose N `candidates` are the most probable lengths."""

  mode: str = "ar"  # "ar": beam search, of `beam` and `extra_length`; "nar": Mask-Predict, of `passes`.
  passes: int = 10  # Number of decoder passes of mode nar; the first has MASK at every position.
  min_masked: int = 1  # The fewest tokens that a pass masks: 1 as in Mask-Predict's program, 0 as in fairseq's.
  stop: bool = False  # Whether a candidate of mode nar is finished once a pass does not change it.

  def __post_init__(self):
    core_config.check_choice("search.mode", self.mode, ("ar", "nar"))
    if self.mode == "ar":
      super().__post_init__()
    else:
      cmlm.Search(self.passes, self.candidates, self.min_masked)  # Raises for what Mask-Predict does not take.


def _operations(config, source, target):
  net, times = config.net, 1 + config.encode_twice
  # The output layer: all modes at the masked tokens, about half of them, and AR at the others: at 2.1 T positions.
  learned = times * operations.encoder(net, source + 1) + operations.output(net, 3 * target)
  learned += operations.decoder(net, net.decoder_layers, _BLOCKS * target, times * (source + 1))
  return family.Operations(learned, 3 * target)


TRAITS = family.Traits(
  _operations, offers=frozenset({"score_candidates", "align", "limit"}), autoregressive=True, needs_mask=True,
  side_by_side=True, smoothed=True, proxy=lambda config: "inputs, fixed",
  likelihood=lambda config: "factorised" if config.scores == "nar" else "autoregressive")


class Model(keras.Model):
  """See the module docstring. The interface of a family is the methods from `objective` on."""

  traits = TRAITS

  def __init__(self, config: Config):
    super().__init__(name="janus")
    self.config = config
    self.net = encoder_decoder.EncoderDecoder(config.net, decoder_layers=config.net.decoder_layers, length="absolute")
    self.built = True

  def blocks(self, tgt: tf.Tensor, hidden: tf.Tensor) -> tf.Tensor:
    """Returns the decoder's input for all three predictions, float [B, 5·T, D]; `hidden` is bool [B, T]."""
    query = self.net.canvas(tf.fill(tf.shape(tgt), types.MASK))
    return tf.concat([
      self.net.canvas(tf.where(hidden, types.MASK, tgt)), self.net.canvas(tgt), query, self.shifted(tgt), query], 1)

  def shifted(self, tgt: tf.Tensor) -> tf.Tensor:
    """int32 [B, T] -> float [B, T, D]: E[BOS] without a position, then all tokens but the last."""
    start = tf.tile(self.net.embed.look_up([[types.BOS]]), [tf.shape(tgt)[0], 1, 1])
    return tf.concat([start, self.net.canvas(tgt)[:, :-1]], 1)

  def predictions(
      self, memory: encoder_decoder.Memory, tgt: tf.Tensor, hidden: tf.Tensor,
      dropout: noise_lib.Dropout = NO_DROPOUT) -> tf.Tensor:
    """Returns the states that predict the tokens in the three modes, float [3, B, T, D], by one call of the decoder.

    Args:
      memory: an `encoder_decoder.Memory`, or the result of `paired`.
      tgt: int32 [B, T].
      hidden: bool [B, T], the masked tokens. AUX is defined at these alone.
    """
    seen = streams.joined(
      streams.completing(hidden, masking.valid(tgt)), streams.continuing(tf.shape(tgt)[1]))
    states = self.net.decode(self.blocks(tgt, hidden), None, memory, dropout, mask=seen)
    by_nar, _, by_aux, _, by_ar = tf.split(states, _BLOCKS, 1)
    return tf.stack([by_nar, by_aux, by_ar])

  def objective(self, batch: types.Batch, *, seed: tf.Tensor, training: bool, step: int | tf.Tensor = 0) -> types.Loss:
    """Label-smoothed cross-entropies, symmetric divergences, and the loss of the length.

    Term `token` is that of the AR mode; `nar` and `aux` are per masked token, like the divergences. `correlation`, of
    scale 0, is CE_NAR - CE_AUX without smoothing: an estimate, by one model, of the conditional total correlation of
    the masked tokens given x and y_obs, in nats per token (Huang et al., ICML 2022). If not `training`, all tokens are
    masked: then it is that of whole sentences given their length, and `nar` is the loss of a search's first pass.
    """
    dropout, config = noise_lib.Dropout(seed if training else None), self.config
    inside, lengths = masking.valid(batch.tgt), masking.lengths(batch.tgt)
    hidden = self.hidden(noise_lib.stream(seed, _MASKS), inside) if training else inside
    twice = training and config.encode_twice  # Without dropout both would be the same.
    memory = self.net.encode(tf.tile(batch.src, [2, 1]) if twice else batch.src, dropout)
    first = memory._replace(states=memory.states[:tf.shape(batch.src)[0]])  # The length head reads that of NAR.
    memory = paired(memory, tf.shape(batch.tgt)[1]) if twice else memory
    table, bias = self.net.embed.table, self.net.embed.bias
    states = self.predictions(memory, batch.tgt, hidden, dropout)
    found = divergence.compare(states, table, bias, batch.tgt, tuple(PAIRS.values()), hidden)

    masked, rest = (tf.cast(where, tf.float32) * batch.weight[:, None] for where in (hidden, inside & ~hidden))
    mean = lambda losses, weight, scale: types.Term(tf.reduce_sum(losses * weight), tf.reduce_sum(weight), scale)
    losses, weights = found.cross_entropy(config.smoothing), config.weights
    by_ar = tf.reduce_sum(losses[AR] * masked) + cross_entropy.tied_cross_entropy(
      states[AR], table, bias, batch.tgt, rest, config.smoothing)
    terms = {"token": types.Term(by_ar, tf.reduce_sum(masked + rest), weights.ar),
             "nar": mean(losses[NAR], masked, weights.nar), "aux": mean(losses[AUX], masked, weights.aux)}
    for number, name in enumerate(PAIRS):
      terms[name] = mean(found.divergence[number], masked, getattr(weights, name))
    terms["length"] = self.net.length_term(
      first, lengths, batch.weight, smoothing=config.smoothing, scale=config.length_factor)
    terms["correlation"] = mean(tf.stop_gradient(found.nats[NAR] - found.nats[AUX]), masked, 0.0)
    return types.Loss(terms)

  def hidden(self, seed: tf.Tensor, inside: tf.Tensor) -> tf.Tensor:
    """Draws the masked tokens of bool [B, T], True where there is a token: bool [B, T]."""
    if self.config.masks == "uniform":
      return choice.any_number(seed, inside)
    return spans.spans(seed, inside, self.config.share)

  def next_tokens(
      self, memory: encoder_decoder.Memory, tgt: tf.Tensor, attended: attention.Seen | None = None) -> tf.Tensor:
    """Returns the states that predict each token from those before it, float [R, T, D]; the AR mode alone."""
    query = self.net.canvas(tf.fill(tf.shape(tgt), types.MASK))
    states = self.net.decode(
      tf.concat([self.shifted(tgt), query], 1), None, memory, mask=streams.continuing(tf.shape(tgt)[1]),
      attended=attended)
    return tf.split(states, 2, 1)[1]

  def score(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns log p(tgt | src), float32 [B]: Σ log p(y_i | y_<i, x), as of `ar`.

    With `Config.scores` "nar" it is log p(T | x) + Σ log p(y_i | all masked, x, T), as of `cmlm`.
    """
    if self.config.scores == "nar":
      return one_pass.score(self.net, src, tgt, hidden=types.MASK)
    return self.net.embed.log_prob(self.next_tokens(self.net.encode(src), tgt), tgt)

  def score_candidates(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns `score` of tgt int32 [B, N, T], N targets of each source, float32 [B, N]; AR encodes a source once."""
    shape = tf.shape(tgt)
    src = tf.repeat(src, shape[1], axis=0) if self.config.scores == "nar" else src
    return tf.reshape(self.score(src, tf.reshape(tgt, [-1, shape[2]])), shape[:2])

  def align(self, src: tf.Tensor, tgt: tf.Tensor) -> tf.Tensor:
    """Returns the mean cross-attention of the queries of the mode `Config.scores`, float32 [B, T, S]."""
    if self.config.scores == "nar":
      return one_pass.align(self.net, src, tgt, hidden=types.MASK)
    memory = self.net.encode(src)
    return attention.alignment_of(
      lambda seen: self.next_tokens(memory, tgt, attended=seen), src, tgt, first=tf.shape(tgt)[1])

  def limit(self, search: Search, source: int | tf.Tensor) -> tf.Tensor:
    """Returns the greatest target length of a search, for source lengths int32; both count EOS."""
    longest = self.config.net.max_length
    return ar.limit(search, source, longest) if search.mode == "ar" else tf.zeros_like(source) + longest

  def translate(self, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None) -> types.Translation:
    """Beam search or Mask-Predict, by `search.mode`; `rescore`, such as the score of another teacher, ranks the
    candidates. A pass of the beam search reads one position of each stream.
    """
    if search.mode == "nar":
      return cmlm.search_lengths(self.net, src, search, rescore)[0]
    sentences, embed = tf.shape(src)[0], self.net.embed
    memory = self.net.project(self.net.encode(src))
    limit, longest = ar.limits(search, src, self.config.net.max_length)
    positions, query = embed.positions(longest), embed.look_up([[types.MASK]])

    def step(tokens, t, cache):
      content = embed.look_up(tokens[:, None])  # [B K, 1, D]
      content += tf.where(t == 0, tf.zeros_like(query), positions[tf.maximum(t - 1, 0)])  # BOS has no position.
      x = tf.concat([content, tf.tile(query + positions[t], [tf.shape(tokens)[0], 1, 1])], 1)
      states, cache = self.net.decoder.step(x, t, cache, memory.states, memory.mask)
      return embed.logits(states[:, 1]), cache

    cache = self.net.decoder.start_cache(sentences * search.beam, longest)
    found = beam.beam_search(
      step, cache, limit, steps=longest, forbid=(*ar.forbidden(search), types.MASK), **ar.ranking(search))
    return found if rescore is None else length_parallel.ranked(
      found, rescore, alpha=search.alpha, penalty=search.penalty)


def paired(memory: encoder_decoder.Memory, size: int | tf.Tensor) -> encoder_decoder.Memory:
  """Returns the `Memory` of B sentences from two runs of the encoder over them, one after the other: [2·B, S, D].

  The blocks of NAR and AUX see the first, those of AR the second; a block has `size` positions.
  """
  one, other = tf.split(memory.mask, 2)  # [B, 1, S] each
  of_ar = tf.range(_BLOCKS * size)[:, None] >= 3 * size
  return encoder_decoder.Memory(
    tf.concat(tf.split(memory.states, 2), 1), tf.concat([one & ~of_ar, other & of_ar], 2))
