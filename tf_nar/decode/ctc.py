"""Search under CTC: the best path, or the best sentences by prefix beam search.

The probability of a sentence is a sum over paths, so that the best path need not collapse to the best sentence. Prefix
beam search (Graves & Jaitly, ICML 2014; Hannun et al., arXiv:1408.2873) keeps prefixes of sentences. For each it has
the probability of all paths so far that collapse to it, separately by the last symbol of the path:

  b(y)   a blank    b(y) <- (b(y) + n(y)) p(∅)
  n(y)   a token    n(y) <- n(y) p(y_end) + grown(y)      grown(yw) = (b(y) + [w ≠ y_end] n(y)) p(w) e^bonus

As in both papers, there is a bonus per token: 0 searches for the most probable sentence, a positive bonus favours
longer ones.
"""
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.ops import ctc

_NEVER = -float("inf")


class _Beam(NamedTuple):
  """The K prefixes of each sentence, best first, of at most W tokens. A missing prefix has log probability -inf."""

  tokens: tf.Tensor  # int32 [B, K, W]
  count: tf.Tensor  # int32 [B, K], tokens of each prefix
  blank: tf.Tensor  # float32 [B, K], log b
  token: tf.Tensor  # float32 [B, K], log n


def greedy(token: tf.Tensor, log_prob: tf.Tensor, positions: tf.Tensor, *, longest: int) -> types.Translation:
  """Collapses the most probable path.

  Args:
    token, log_prob: the best token at each position and its log p, int32 and float32 [B, P].
    positions: int32 [B], the number of positions of each canvas, at most P; 0 for a padding row.
    longest: the greatest number of tokens; longer sentences are cut.

  Returns:
    A `types.Translation` of one candidate; its score is log p of the path, a lower bound of log p of the sentence.
  """
  path, score = argmax.predictions(token, log_prob, positions)
  tokens = ctc.collapse(path, positions)[:, None, :longest]
  return _ended(tokens, tf.where(positions > 0, score, _NEVER)[:, None])


def reach(beam: int) -> int:
  """Returns how many of the best tokens at a position suffice for an exact step of a beam of size K.

  For each prefix, at most K - 1 of the best 2K tokens lead to a prefix that is in the beam already, and one repeats the
  last token; K are left.
  """
  return 2 * beam


def prefix_beam(
    ids: tf.Tensor, best: tf.Tensor, log_prob: Callable[..., tf.Tensor], positions: tf.Tensor, *, beam: int, nbest: int,
    longest: int, bonus: float = 0.0) -> types.Translation:
  """Finds the `nbest` best sentences by prefix beam search.

  Args:
    ids, best: the best allowed tokens at each position, without the blank, and their log p: int32 and float32
      [B, P, kept]; `kept` is `reach(beam)`, or the number of all allowed tokens if that is smaller.
    log_prob: maps a position, int32 [], and tokens, which may include the blank, int32 [B, N], to their log p at that
      position, float32 [B, N].
    positions: int32 [B], the number of positions of each canvas, at most P; 0 for a padding row.
    beam: K, the number of prefixes.
    nbest: N, the number of candidates to return, at most `beam`.
    longest: the greatest number of tokens of a sentence.
    bonus: added to a sentence's score for each token, in nats.

  Returns:
    A `types.Translation`. The score is the bonus of all tokens plus the log of the sum over all paths that stayed in
    the beam: log p(y | x), or less where prefixes of y were dropped on the way.

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
  """Returns the empty prefix, once, as after a blank."""
  never = tf.fill([batch, beam], _NEVER)
  return _Beam(
    tf.fill([batch, beam, width], types.PAD), tf.zeros([batch, beam], tf.int32),
    tf.where(tf.range(beam) == 0, 0.0, never), never)


def _both(*logs):
  return tf.reduce_logsumexp(tf.stack(logs), 0)


def _last(beam):
  """Returns the last token of each prefix, int32 [B, K]; BLANK for the empty prefix, which no token repeats."""
  last = tf.reduce_sum(tf.where(_at(beam, -1), beam.tokens, 0), -1)
  return tf.where(beam.count > 0, last, ctc.BLANK)


def _at(beam, offset):
  """Returns bool [B, K, W], True at the index `offset` from the end of each prefix; 0 is the next free one."""
  return tf.range(tf.shape(beam.tokens)[2]) == beam.count[..., None] + offset


def _next(old, last, again, blank, best, ids, bonus):
  """Returns the log probabilities after one more position.

  Args:
    old: the `_Beam` before it.
    last: int32 [B, K], the last token of each prefix.
    again: float32 [B, K], its log p at this position.
    blank: float32 [B, 1], log p of the blank.
    best, ids: log p and ids of the best tokens, [B, kept].
    bonus: per token, in nats.

  Returns:
    stays: (log b, log n), float32 [B, K], of the prefixes in the beam.
    grows: log n of each prefix extended by each of the best tokens, float32 [B, K, kept]; -inf if the beam has that
      extended prefix already, which `stays` then includes.
  """
  total = _both(old.blank, old.token)  # [B, K]
  before = tf.where(_at(old, -1), types.PAD, old.tokens)  # Without the last token.
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
  """Returns the best K of the unchanged prefixes and those extended by a token."""
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
  """Returns a `Translation` by one decoder pass: tokens [B, N, W] and EOS, or all PAD for a missing candidate."""
  there = (score > _NEVER)[..., None]
  count = tf.math.count_nonzero(tokens, -1, keepdims=True, dtype=tf.int32)
  tokens = tf.pad(tokens, [[0, 0], [0, 0], [0, 1]])
  tokens = tf.where(tf.range(tf.shape(tokens)[2]) == count, types.EOS, tokens)
  return types.Translation(tf.where(there, tokens, types.PAD), score, tf.constant(1))
