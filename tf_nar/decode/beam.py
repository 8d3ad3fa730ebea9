"""Beam search for autoregressive models, ranked as GNMT does (Wu et al., arXiv:1609.08144, equation 14), or by length.

  gnmt:    score(y) = log p(y | x) / ((5 + |y|) / 6)^alpha     |y| counts EOS
  length:  score(y) = log p(y | x) / |y|^alpha

Active and finished hypotheses are kept separately. Each step takes the 2·beam best extensions, of which at most `beam`
end with EOS, so that at least `beam` remain active.
"""
from collections.abc import Callable
from typing import Any, NamedTuple

import tensorflow as tf

from tf_nar import types

_NEVER = -float("inf")
PENALTIES = ("gnmt", "length")


class _Hypotheses(NamedTuple):
  """The state of the search loop. K is the beam size; a score of -inf marks an empty entry."""

  alive: tf.Tensor  # float32 [B, K]: log p of the active hypotheses, best first; all -inf once a sentence is done.
  tokens: tf.Tensor  # int32 [B, K, T]: their tokens.
  finished: tf.Tensor  # float32 [B, N]: scores of the finished hypotheses, best first.
  sentences: tf.Tensor  # int32 [B, N, T]: their tokens.
  count: tf.Tensor  # int32 [B]: how many hypotheses have finished, those that are not kept included.
  predictions: tf.Tensor  # int32 [B·K]: the previous token of each active hypothesis.
  state: Any  # That of `step`, such as a key/value cache.


def length_penalty(length: int | tf.Tensor, alpha: float, kind: str = "gnmt") -> tf.Tensor:
  """Returns what `kind`, one of `PENALTIES`, divides by: float32, in the shape of `length` (tokens, EOS included)."""
  length = tf.cast(length, tf.float32)
  return ((5.0 + length) / 6.0 if kind == "gnmt" else length) ** alpha


def beam_search(
    step: Callable, state: Any, limit: tf.Tensor, *, beam: int, steps: int | tf.Tensor, nbest: int = 1,
    forbid: tuple = (), **ranking: Any) -> types.Translation:
  """Finds the `nbest` best translations by beam search.

  The search for a sentence ends when no active hypothesis can score better than its `nbest`-th finished one, or at the
  sentence's own limit; the loop ends when all sentences are done. With `early_stop` it ends when K hypotheses have
  finished, and one finishes only if it is among the K best extensions, as in fairseq (Ott et al., 2019). If a sentence
  has no finished hypothesis at its limit, its active hypotheses are ended there with EOS as the last token, at the
  model's log p of EOS. So every sentence with a limit has a translation, but there may be fewer than `nbest`.

  # Differs: the original program uses the largest limit of the batch for all sentences, so that results depend on the
  batch, and returns nothing for a sentence without a finished hypothesis. With one limit for all sentences the rest is
  reproduced.

  Args:
    step: maps (previous tokens int32 [B·K], t int32 [] from 0, state) to (logits float [B·K, V], state).
      Hypothesis k of sentence b is row b·K + k. At t = 0 the previous token is BOS. An ensemble returns a list of the
      logits of each model, and the search goes by the mean of their log p.
    state: a nest of tensors [B·K, ...] of fixed shapes, such as a key/value cache written at t. The search reorders its
      rows with the hypotheses. Constant tensors, such as the encoder's memory, belong in the closure of `step`.
    limit: int32 [B], the greatest length of each translation in tokens, EOS included; 0 for a padding row. A limit
      above `steps` counts as `steps`.
    beam: K, the number of active hypotheses.
    steps: T, the length of the result, at least 1; an int32 [] tensor unless compiled by XLA.
    nbest: N, the number of candidates to return, at most `beam`.
    forbid: ids that are never predicted, or pairs of an id and a count, if it is not predicted among the first `count`
      tokens. The probabilities of the other tokens are not renormalised.
    **ranking: `alpha`, the exponent of the length penalty, 0 to rank by log p; `penalty`, its kind, one of `PENALTIES`;
      `early_stop`, see above.

  Returns:
    A `Translation`; `passes` is the number of calls of `step`.

  Raises:
    ValueError: for beam, nbest or steps out of range.
  """
  _check(beam, steps, nbest)
  limit = tf.minimum(tf.cast(limit, tf.int32), steps)  # [B]
  start = _start(state, limit, beam, steps, nbest)
  forbid = [each if isinstance(each, tuple) else (each, steps) for each in forbid]
  def body(t, old):
    logits, state = step(old.predictions, t, old.state)
    closing = (t + 1 == limit) & (old.finished[:, 0] == _NEVER)  # [B]
    extensions = _extensions(old.alive, logits, closing, [(token, t < count) for token, count in forbid])
    return t + 1, _advance(old._replace(state=state), extensions, t, limit, **ranking)

  going = lambda t, now: (t < steps) & tf.reduce_any(now.alive > _NEVER)
  passes, last = tf.while_loop(going, body, (tf.constant(0), start))
  return types.Translation(last.sentences, last.finished, passes)


def _check(beam, steps, nbest):
  if beam < 1:
    raise ValueError(f"beam_search needs beam >= 1, got {beam}; 1 is greedy search.")
  if not 1 <= nbest <= beam:
    raise ValueError(f"beam_search needs 1 <= nbest <= beam, got nbest={nbest}, beam={beam}; raise beam.")
  if isinstance(steps, int) and steps < 1:
    raise ValueError(f"beam_search needs steps >= 1, got {steps}; it is the length T of the result.")


def _start(state, limit, beam, steps, nbest):
  """Returns one empty hypothesis per sentence; K equal ones would remain equal."""
  batch = tf.shape(limit)[0]
  blank = lambda count: tf.fill([batch, count, steps], types.PAD)
  alive = tf.where((tf.range(beam) == 0) & (limit > 0)[:, None], 0.0, _NEVER)  # [B, K]
  finished = tf.fill([batch, nbest], _NEVER)
  none = tf.zeros([batch], tf.int32)
  return _Hypotheses(alive, blank(beam), finished, blank(nbest), none, tf.fill([batch * beam], types.BOS), state)


def _advance(old, extensions, t, limit, *, alpha=0.6, penalty="gnmt", early_stop=False):
  """Returns the hypotheses after one token more; `old.state` already is the state after the current step."""
  beam = old.alive.shape[1]
  total, parent, token = extensions  # [B, 2K] each
  here = tf.range(tf.shape(old.tokens)[2]) == t  # [T]
  tokens = tf.where(here, token[..., None], tf.gather(old.tokens, parent, batch_dims=1))  # [B, 2K, T]
  ends = token == types.EOS
  finishes = ends & (tf.range(tf.shape(token)[1]) < beam) if early_stop else ends
  count = old.count + tf.reduce_sum(tf.cast(finishes, tf.int32), 1)

  # Older hypotheses come first, so that they win ties.
  score = tf.where(finishes, total / length_penalty(t + 1, alpha, penalty), _NEVER)
  finished, which = tf.math.top_k(tf.concat([old.finished, score], 1), old.finished.shape[1])  # [B, N]
  sentences = tf.gather(tf.concat([old.sentences, tokens], 1), which, batch_dims=1)  # [B, N, T]
  sentences = tf.where((finished > _NEVER)[..., None], sentences, types.PAD)

  alive, which = tf.math.top_k(tf.where(ends, _NEVER, total), beam)  # [B, K]
  parent, token, tokens = (tf.gather(x, which, batch_dims=1) for x in (parent, token, tokens))
  # The best score that an active hypothesis can still reach: log p only decreases, so the bound is at the limit if the
  # penalty grows with the length, and at the next step if it shrinks.
  hope = alive[:, 0] / length_penalty(limit if alpha >= 0 else t + 2, alpha, penalty)  # [B]
  done = (t + 1 >= limit) | (count >= beam if early_stop else finished[:, -1] >= hope)
  alive = tf.where(done[:, None], _NEVER, alive)
  return _Hypotheses(alive, tokens, finished, sentences, count, tf.reshape(token, [-1]), _reorder(old.state, parent))


def _extensions(alive, logits, closing, forbid):
  """Returns the 2K best extensions of each sentence: log p, extended hypothesis and new token, each [B, 2K].

  Where `closing`, the new token is EOS. `forbid` has pairs of an id and whether it is forbidden now, bool [].
  """
  several = isinstance(logits, (list, tuple))
  logits = _mean_log_prob(logits) if several else tf.cast(logits, tf.float32)
  batch, beam, vocab = tf.shape(alive)[0], alive.shape[1], logits.shape[-1]
  kept = min(2 * beam + len(forbid), vocab)  # No more extensions of one hypothesis can be among the best 2K of all.
  top, token = tf.math.top_k(logits, kept)  # [B*K, kept]
  if several:
    whole = 0.0  # The mean of log p needs no normalisation, so that a sentence's is the mean of the models' log p.
  else:
    # Normalised by means of the best token's probability, so that log p is not computed for all V tokens.
    share = tf.gather(tf.nn.softmax(logits), token[:, :1], batch_dims=1)  # [B*K, 1]
    whole = top[:, :1] - tf.math.log(share)
  for never, now in forbid:
    top = tf.where((token == never) & now, _NEVER, top)
  end = logits[:, types.EOS:types.EOS + 1]
  each, token, end = (tf.reshape(x, [batch, beam, -1]) for x in (top - whole, token, end - whole))
  only_end = tf.where(tf.range(kept) == 0, end, _NEVER)
  each = alive[..., None] + tf.where(closing[:, None, None], only_end, each)
  token = tf.where(closing[:, None, None], types.EOS, token)
  each, token = (tf.reshape(x, [batch, beam * kept]) for x in (each, token))
  total, which = tf.math.top_k(each, min(2, kept) * beam)
  return total, which // kept, tf.gather(token, which, batch_dims=1)


def _mean_log_prob(logits):
  """Returns the mean of the log p of several models, given the logits of each: float32 [B·K, V]."""
  return tf.add_n([tf.nn.log_softmax(tf.cast(each, tf.float32)) for each in logits]) / len(logits)


def _reorder(state, parent):
  """Gathers the rows of every tensor of `state` so that each hypothesis has those of its parent."""
  batch, beam = tf.unstack(tf.shape(parent))
  if parent.shape[1] == 1:
    return state  # With a beam of 1 each hypothesis is its own parent.
  rows = tf.reshape(tf.range(batch)[:, None] * beam + parent, [-1])  # [B * K]
  return tf.nest.map_structure(lambda x: tf.ensure_shape(tf.gather(x, rows), x.shape), state)
