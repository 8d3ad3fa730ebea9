"""Shared parts of the families that predict all tokens at once, given the target length:

  p(y, T | x) = p(T | x) prod_i p(y_i | x, T)        T counts EOS, which is predicted as the last token
"""
import dataclasses
import functools

import tensorflow as tf

from tf_nar import family
from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import length_parallel
from tf_nar.layers.attention import NO_DROPOUT
from tf_nar.ops import masking
from tf_nar.ops import odd
from tf_nar.ops import operations as operations_lib
from tf_nar.ops import tokens as tokens_lib


@dataclasses.dataclass(frozen=True)
class Search:
  odd: bool = True  # Optimal de-duplicated decoding: no token twice in a row; False: the best token at each position.
  odd_within_words: bool = False  # Whether `odd` applies within words too, as in the paper; then 1000 cannot
  # be output, as it has repeated tokens.
  candidates: int = 1  # N consecutive lengths around the most probable one are decoded in parallel.
  alpha: float = 0.6  # Exponent of the length penalty in ranking, as in the teacher's beam search.
  unknown: bool = False  # Whether a translation may contain <unk>.

  def __post_init__(self):
    if self.candidates < 1:
      raise ValueError(f"search.candidates must be at least 1, for the likeliest length alone; got {self.candidates}.")

  def with_candidates(self, count):
    """Returns the search that finds at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


READINGS = ("argmax", {"odd": False}), ("odd", {"odd": True})


def operations(net, blocks, source, target):
  """Returns the `family.Operations` of one pass of a decoder of `blocks` blocks, with a slot before the source."""
  return family.Operations(operations_lib.whole(net, blocks, source + 1, target), target)


def decode(net, memory, lengths, positions, dropout=NO_DROPOUT, *, hidden=types.PAD):
  """Returns the decoder states of targets of `lengths` [B], given the source alone: float [B, T, D].

  Args:
    net: an `encoder_decoder.EncoderDecoder`.
    memory: an `encoder_decoder.Memory`.
    lengths, dropout: as in `encoder_decoder.EncoderDecoder.decode`.
    positions: T.
    hidden: the token at every position of the canvas.
  """
  return net.decode(net.mask_canvas(tf.shape(lengths)[0], positions, hidden), lengths, memory, dropout)


def score(net, src, tgt, *, hidden=types.PAD):
  """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
  memory, lengths = net.encode(src), masking.lengths(tgt)
  states = decode(net, memory, lengths, tf.shape(tgt)[1], hidden=hidden)
  return net.length_log_prob(memory, lengths) + net.embed.log_prob(states, tgt)


def translate(net, src, search, rescore=None, decoder=None):
  """Decodes all length candidates in one pass.

  Args:
    net: an `encoder_decoder.EncoderDecoder` with a length head.
    src: int32 [B, S].
    search: a `Search`.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N], which ranks the length candidates.
    decoder: maps a projected memory, lengths int32 [B·N] and T to decoder states [B·N, T, D]; None: `decode` above.
  """
  memory = net.encode(src)
  lengths = length_parallel.candidates(net.length_logits(memory), search.candidates, net.config.max_length)
  lengths = length_parallel.nonempty(lengths, src)
  positions = length_parallel.positions(lengths, net.config.max_length, src)
  memory = net.project(memory)
  states = decoder or functools.partial(decode, net)

  def say(flat):  # [B·N]: the N rows of a sentence share its memory.
    return predictions(net, states(memory, flat, positions), flat, search)

  return length_parallel.length_parallel(say, lengths, rescore, alpha=search.alpha)


def predictions(net, states, lengths, search, repeatable=()):
  """Decodes states float [B, T, D] of targets of `lengths` [B], by ODD or with the best token at each position.

  `search` has `odd`, `odd_within_words` and `unknown`, as `Search`; ODD lets the tokens `repeatable` be repeated.

  # Differs: the original can output PAD or BOS, at any position.

  Returns:
    tokens int32 [B, T] and score float32 [B], as `odd.odd` does.
  """
  forbid = tokens_lib.forbidden(search.unknown)
  if not search.odd:
    return argmax.predictions(*net.best_tokens(states, forbid), lengths)
  token, log_prob = net.top_tokens(states, odd.KEPT, forbid)
  free = tf.zeros_like(token, tf.bool)
  if not search.odd_within_words and net.within_words is not None:
    free = tf.gather(net.within_words, token)
  for each in repeatable:
    free |= token == each
  return odd.among(token, log_prob, lengths, free=free)
