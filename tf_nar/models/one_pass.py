"""Shared parts of the families that predict all tokens at once, given the target length:

  p(y, T | x) = p(T | x) prod_i p(y_i | x, T)        T counts EOS, which is predicted as the last token
"""
import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.layers import attention
from tf_nar.layers import encoder_decoder
from tf_nar.layers import transformer
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.losses import emissions
from tf_nar.losses import ngrams
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib
from tf_nar.ops import odd
from tf_nar.ops import operations as operations_lib
from tf_nar.ops import tokens as tokens_lib


@dataclasses.dataclass(frozen=True)
class Search:
  odd: bool = True  # Optimal de-duplicated decoding: no token twice in a row; False: the best token at each position.
  odd_everywhere: bool = False  # Whether `odd` applies to digits within a word too, as in the paper; then 1000 cannot
  # be output, as it has repeated tokens.
  candidates: int = 1  # N consecutive lengths around the most probable one are decoded in parallel.
  alpha: float = 0.6  # Exponent of the length penalty in ranking, as in the teacher's beam search.
  min_length: int = 2  # The shortest length that is decoded, EOS included; an early EOS may still end before.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    core_config.check_at_least(1, self, "min_length", group="search.")
    if self.candidates < 1:
      raise ValueError(f"search.candidates must be at least 1, for the likeliest length alone; got {self.candidates}.")

  def with_candidates(self, count: int) -> "Search":
    """Returns the search that finds at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


READINGS = ("argmax", {"odd": False}), ("odd", {"odd": True})


def operations(net: transformer.Config, blocks: int, source: int, target: int) -> family.Operations:
  """Returns the `family.Operations` of one pass of a decoder of `blocks` blocks, with a slot before the source."""
  return family.Operations(operations_lib.whole(net, blocks, source + 1, target), target)


def decode(
    net: encoder_decoder.EncoderDecoder, memory: encoder_decoder.Memory, lengths: tf.Tensor, positions: int | tf.Tensor,
    dropout: noise_lib.Dropout = NO_DROPOUT, *, hidden: int = types.PAD) -> tf.Tensor:
  """Returns the decoder states of targets of `lengths` [B], given the source alone: float [B, T, D].

  Args:
    net: an `encoder_decoder.EncoderDecoder`.
    memory: an `encoder_decoder.Memory`.
    lengths, dropout: as in `encoder_decoder.EncoderDecoder.decode`.
    positions: T.
    hidden: the token at every position of the canvas.
  """
  return net.decode(net.mask_canvas(tf.shape(lengths)[0], positions, hidden), lengths, memory, dropout)


def bag(
    net: encoder_decoder.EncoderDecoder, states: tf.Tensor, batch: types.Batch, order: int) -> dict[str, types.Term]:
  """Returns the term of `losses.ngrams.bag` for decoder states float [B, T, D] of targets of their own length."""
  log_prob = emissions.gathered_log_probs(states, net.embed.table, net.embed.bias, batch.tgt)
  return ngrams.bag(batch.tgt, log_prob, batch.weight, order)


def score(net: encoder_decoder.EncoderDecoder, src: tf.Tensor, tgt: tf.Tensor, *, hidden: int = types.PAD) -> tf.Tensor:
  """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
  prior, each = _scored(net, src, tgt, hidden)
  return prior + tf.reduce_sum(each, -1)


def score_tokens(
    net: encoder_decoder.EncoderDecoder, src: tf.Tensor, tgt: tf.Tensor, *, hidden: int = types.PAD) -> tf.Tensor:
  """Returns log p(y_i | x, T) of each token, float32 [B, T]; their sum and log p(T | x) are the score."""
  return _scored(net, src, tgt, hidden)[1]


def _scored(net, src, tgt, hidden):
  memory, lengths = net.encode(src), masking.lengths(tgt)
  states = decode(net, memory, lengths, tf.shape(tgt)[1], hidden=hidden)
  return net.length_log_prob(memory, lengths), net.embed.token_log_probs(states, tgt)


def align(net: encoder_decoder.EncoderDecoder, src: tf.Tensor, tgt: tf.Tensor, *, hidden: int = types.PAD) -> tf.Tensor:
  """Returns the mean cross-attention at each position of a canvas of the length of tgt, float32 [B, T, S]."""
  canvas, lengths = net.mask_canvas(tf.shape(tgt)[0], tf.shape(tgt)[1], hidden), masking.lengths(tgt)
  return attention.alignment_of(lambda seen: net.decode(canvas, lengths, net.encode(src), attended=seen), src, tgt)


def translate(
    net: encoder_decoder.EncoderDecoder, src: tf.Tensor, search: Search, rescore: types.Rescore | None = None,
    decoder: Callable[..., tf.Tensor] | None = None) -> types.Translation:
  """Decodes all length candidates in one pass.

  Args:
    net: an `encoder_decoder.EncoderDecoder` with a length head.
    src: int32 [B, S].
    search: a `Search`.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N], which ranks the length candidates.
    decoder: maps a projected memory, lengths int32 [B·N] and T to decoder states [B·N, T, D]; None: `decode` above.
  """
  memory = net.encode(src)
  lengths = length_parallel.candidates(
    net.length_logits(memory), search.candidates, net.config.max_length, search.min_length)
  lengths = length_parallel.nonempty(lengths, src)
  positions = length_parallel.positions(lengths, net.config.max_length, src)
  memory = net.project(memory)
  states = decoder or functools.partial(decode, net)

  def say(flat):  # [B·N]: the N rows of a sentence share its memory.
    return predictions(net, states(memory, flat, positions), flat, search)

  return length_parallel.length_parallel(say, lengths, rescore, alpha=search.alpha)


def predictions(
    net: encoder_decoder.EncoderDecoder, states: tf.Tensor, lengths: tf.Tensor, search: Any,
    repeatable: tuple[int, ...] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Decodes states float [B, T, D] of targets of `lengths` [B], by ODD or with the best token at each position.

  `search` has `odd`, `odd_everywhere` and `unknown`, as `Search`; ODD lets the tokens `repeatable` be repeated.

  # Differs: the original can output PAD or BOS, at any position.

  Returns:
    tokens int32 [B, T] and score float32 [B], as `odd.among` returns them.
  """
  forbid = tokens_lib.forbidden(search.unknown)
  if not search.odd:
    return argmax.predictions(*net.best_tokens(states, forbid), lengths)
  token, log_prob = net.top_tokens(states, odd.KEPT, forbid)
  free = tf.zeros_like(token, tf.bool)
  if not search.odd_everywhere and net.repeatable is not None:
    free = tf.gather(net.repeatable, token)
  for each in repeatable:
    free |= token == each
  return odd.among(token, log_prob, lengths, free=free)
