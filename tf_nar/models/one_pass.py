"""What the families share that say every word at once, given the length and nothing of the target:

  p(y, T | x) = p(T | x) prod_i p(y_i | x, T)        T counts EOS, and EOS is said as the last word.
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
  odd: bool = True  # No word twice in a row, by the exact programme; else the best word at each place.
  odd_within_words: bool = False  # Whether parts of one word must differ too, as in the paper: 1000 is then unsayable.
  candidates: int = 1  # Lengths around the likeliest, each translated.
  alpha: float = 0.6  # Length penalty by which candidates are ranked, as in the teacher's beam.
  unknown: bool = False  # Whether a translation may have <unk>.

  def __post_init__(self):
    if self.candidates < 1:
      raise ValueError(f"search.candidates is at least 1, the likeliest length alone; got {self.candidates}.")

  def with_candidates(self, count):
    """Returns the search that says at least `count` candidates."""
    return dataclasses.replace(self, candidates=max(self.candidates, count))


READINGS = ("argmax", {"odd": False}), ("odd", {"odd": True})


def operations(net, blocks, source, target):
  """Returns the `family.Operations` of one pass of a decoder of `blocks`, whose memory has a slot before the source."""
  learned = operations_lib.encoder(net, source + 1) + operations_lib.decoder(net, blocks, target, source + 1)
  return family.Operations(learned + operations_lib.output(net, target), target)


def decode(net, memory, lengths, positions, dropout=NO_DROPOUT, *, hidden=types.PAD):
  """Says what stands at each of `places` places of targets of `lengths` [B]: states float [B, T, D].

  Args:
    net: a `encoder_decoder.EncoderDecoder`.
    memory: a `encoder_decoder.Memory`.
    lengths, noise: as in `encoder_decoder.EncoderDecoder.decode`.
    places: T.
    hidden: the token that stands at every place.
  """
  return net.decode(net.mask_canvas(tf.shape(lengths)[0], positions, hidden), lengths, memory, dropout)


def score(net, src, tgt, *, hidden=types.PAD):
  """Returns log p(T | x) + sum_i log p(y_i | x, T), float32 [B]."""
  memory, lengths = net.encode(src), masking.lengths(tgt)
  states = decode(net, memory, lengths, tf.shape(tgt)[1], hidden=hidden)
  return net.length_log_prob(memory, lengths) + net.embed.log_prob(states, tgt)


def translate(net, src, search, rescore=None, decoder=None):
  """One pass for all length candidates at once.

  Args:
    net: a `encoder_decoder.EncoderDecoder` with a length head.
    src: int32 [B, S].
    search: a `Search`.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N]; ranks the length candidates.
    decoder: maps a projected memory, lengths int32 [B N] and T to decoder states [B N, T, D]; None: `fill`'s.
  """
  memory = net.encode(src)
  lengths = length_parallel.candidates(net.length_logits(memory), search.candidates, net.config.max_length)
  lengths = length_parallel.nonempty(lengths, src)
  positions = length_parallel.positions(lengths, net.config.max_length, src)
  memory = net.project(memory)
  states = decoder or functools.partial(decode, net)

  def say(flat):  # [B N]: the rows of a sentence look at its one memory together.
    return predictions(net, states(memory, flat, positions), flat, search)

  return length_parallel.length_parallel(say, lengths, rescore, alpha=search.alpha)


def predictions(net, states, lengths, search):
  """Reads sentences off the states float [B, T, D] of targets of `lengths` [B]: by ODD, or the best word of each place.

  `search` has `odd`, `odd_within_words` and `unknown`, as `Search`.

  # Differs: the original may say PAD or BOS, and not only as its last words.

  Returns:
    tokens int32 [B, T] and score float32 [B], as `odd.odd` does.
  """
  forbid = tokens_lib.forbidden(search.unknown)
  if not search.odd:
    return argmax.predictions(*net.best_tokens(states, forbid), lengths)
  token, log_prob = net.top_tokens(states, odd.KEPT, forbid)
  free = None if search.odd_within_words else net.within_words
  return odd.among(token, log_prob, lengths, free=None if free is None else tf.gather(free, token))
