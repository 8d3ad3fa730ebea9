"""Search under CTC: the best path, or the best sentences by prefix beam search.

A sentence is the sum over its paths, so the best path need not collapse to the best sentence. The beam (Graves &
Jaitly, ICML 2014; Hannun et al., arXiv:1408.2873) keeps prefixes of sentences, and of each the probability of all
paths so far that collapse to it, apart by their last place:

  b(y)   blank      b(y) <- (b(y) + n(y)) p(∅)
  n(y)   a word     n(y) <- n(y) p(y_end) + grown(y)      grown(yw) = (b(y) + [w ≠ y_end] n(y)) p(w) e^bonus

The bonus of a word, as in both papers, is 0 for the likeliest sentence; above, for longer ones.
"""
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.ops import ctc

_NEVER = -float("inf")


class _Beam(NamedTuple):
  """The prefixes of each sentence, best first; K is their number, W the most words. One that is not there has -inf."""

  tokens: tf.Tensor  # int32 [B, K, W]
  count: tf.Tensor  # int32 [B, K]
  blank: tf.Tensor  # float32 [B, K], log b
  token: tf.Tensor  # float32 [B, K], log n


def greedy(token, log_prob, positions, *, longest):
  """Says what the likeliest path collapses to.

  Args:
    word, log_prob: the best word of each place and its log p, int32 and float32 [B, P].
    places: int32 [B], how many of the P places are real; 0 for a blank row.
    longest: the most words; what comes after them is cut.

  Returns:
    A `types.Translation` of one candidate; its score is log p of the path, a lower bound of that of the sentence.
  """
  path, score = argmax.predictions(token, log_prob, positions)
  tokens = ctc.collapse(path, positions)[:, None, :longest]
  return _ended(tokens, tf.where(positions > 0, score, _NEVER)[:, None])


def reach(beam):
  """How many of the likeliest words of a place a beam may need.

  Of the best 2K at most K - 1 make a prefix that lives already and one repeats the last: K are left.
  """
  return 2 * beam


def prefix_beam(ids, best, log_prob, positions, *, beam, nbest, longest, bonus=0.0):
  """Finds the `nbest` likeliest sentences among those whose prefixes stay in the beam.

  Args:
    ids, best: of each place the likeliest words that may be said, `reach(beam)` of them or all that there are, without
      the blank, and their log p, int32 and float32 [B, P, kept].
    log_prob: maps a place, int32 [], and words, the blank too, int32 [B, N], to their log p there, float32 [B, N].
    places: int32 [B], how many of the P places are real; 0 for a blank row.
    beam: K, how many prefixes live.
    nbest: N, how many candidates to return, up to `beam`.
    longest: the most words of a sentence.
    bonus: what each word adds to a sentence's log p, in nats.

  Returns:
    A `types.Translation`. A score is the bonus of all words, and log of the sum over all paths that stayed in the
    beam: log p(y | x), or less where prefixes of y were dropped on the way.

  Raises:
    ValueError: for `nbest` out of range.
  """
  if not 1 <= nbest <= beam:
    raise ValueError(f"prefix_beam needs 1 <= nbest <= beam, got nbest={nbest}, beam={beam}; raise beam.")
  batch, width = tf.shape(ids)[0], tf.minimum(tf.shape(ids)[1], longest)

  def position(t, old):
    last = _last(old)
    again, blank = tf.split(log_prob(t, tf.pad(last, [[0, 0], [0, 1]], constant_values=ctc.BLANK)), [beam, 1], 1)
    stays, grows = _next(old, last, again, blank, best[:, t], ids[:, t], bonus)
    new = _kept_best(old, stays, grows, ids[:, t])
    inside = t < positions
    choose = lambda new, old: tf.where(tf.reshape(inside, [-1] + [1] * (new.shape.rank - 1)), new, old)
    return t + 1, _Beam(*(choose(*pair) for pair in zip(new, old, strict=True)))

  going = lambda t, _: t < tf.reduce_max(positions)
  _, found = tf.while_loop(going, position, (tf.constant(0), _start(batch, beam, width)))
  score, order = tf.math.top_k(_both(found.blank, found.token), nbest)
  tokens = tf.gather(found.tokens, order, batch_dims=1)
  return _ended(tokens, tf.where(positions[:, None] > 0, score, _NEVER))


def _start(batch, beam, width):
  """The empty prefix, once, as if a blank had been said."""
  never = tf.fill([batch, beam], _NEVER)
  return _Beam(
    tf.fill([batch, beam, width], types.PAD), tf.zeros([batch, beam], tf.int32),
    tf.where(tf.range(beam) == 0, 0.0, never), never)


def _both(*logs):
  return tf.reduce_logsumexp(tf.stack(logs), 0)


def _last(beam):
  """The last word of each prefix, int32 [B, K]; BLANK for the empty one, which no word repeats."""
  last = tf.reduce_sum(tf.where(_at(beam, -1), beam.tokens, 0), -1)
  return tf.where(beam.count > 0, last, ctc.BLANK)


def _at(beam, offset):
  """bool [B, K, W], the place `offset` from the end of each prefix; 0 is the next to fill."""
  return tf.range(tf.shape(beam.tokens)[2]) == beam.count[..., None] + offset


def _next(old, last, again, blank, best, ids, bonus):
  """The log probabilities one place on.

  Args:
    last: int32 [B, K], the last words.
    again: float32 [B, K], log p of them.
    blank: float32 [B, 1], log p of the blank.
    best, ids: log p and ids of the best words, [B, kept].
    bonus: of each word.

  Returns:
    stays: (log b, log n), float32 [B, K], of the prefixes that were there.
    grows: log n of each with each best word behind it, float32 [B, K, kept]; -inf if that prefix was there.
  """
  total = _both(old.blank, old.token)  # [B, K]
  before = tf.where(_at(old, -1), types.PAD, old.tokens)  # Without the last word.
  longer = tf.reduce_all(old.tokens[:, :, None] == before[:, None], -1) & (old.count > 0)[:, None]  # [B, K of, K is]
  repeats = last[:, :, None] == last[:, None]
  grown = tf.where(longer, tf.where(repeats, old.blank[..., None], total[..., None]) + again[:, None] + bonus, _NEVER)
  token = tf.where(old.count > 0, old.token + again, _NEVER)
  stays = total + blank, _both(token, tf.reduce_logsumexp(grown, 1))

  repeats = last[..., None] == ids[:, None]  # [B, K, kept]
  grows = tf.where(repeats, old.blank[..., None], total[..., None]) + best[:, None] + bonus
  there = tf.reduce_any(longer[..., None] & (last[..., None] == ids[:, None])[:, None], 2)
  full = old.count == tf.shape(old.tokens)[2]
  return stays, tf.where(there | full[..., None], _NEVER, grows)


def _kept_best(old, stays, grows, ids):
  """The best K of the prefixes that stay and those that grow by a word."""
  beam, kept = grows.shape[1:]
  candidates = tf.concat([_both(*stays), tf.reshape(grows, [-1, beam * kept])], 1)
  score, which = tf.math.top_k(candidates, beam)
  grew = which >= beam
  parent = tf.where(grew, (which - beam) // kept, which)
  take = lambda x: tf.gather(x, parent, batch_dims=1)
  base = old._replace(tokens=take(old.tokens), count=take(old.count))
  token = tf.gather(ids, tf.where(grew, (which - beam) % kept, 0), batch_dims=1)
  return _Beam(
    tf.where(grew[..., None] & _at(base, 0), token[..., None], base.tokens),
    base.count + tf.cast(grew, tf.int32),
    tf.where(grew, _NEVER, take(stays[0])),
    tf.where(grew, score, take(stays[1])))


def _ended(tokens, score):
  """A `Translation` by one decoder pass: EOS behind the words [B, N, W], nothing where there is no sentence."""
  there = (score > _NEVER)[..., None]
  count = tf.math.count_nonzero(tokens, -1, keepdims=True, dtype=tf.int32)
  tokens = tf.pad(tokens, [[0, 0], [0, 0], [0, 1]])
  tokens = tf.where(tf.range(tf.shape(tokens)[2]) == count, types.EOS, tokens)
  return types.Translation(tf.where(there, tokens, types.PAD), score, tf.constant(1))
