"""Beam search for autoregressive models, ranked as GNMT does (Wu et al., arXiv:1609.08144, equation 14).

  score(y) = log p(y | x) / ((5 + |y|) / 6)^alpha,   |y| counts EOS

Alive and finished hypotheses are kept apart: a step looks at the 2·beam best extensions, of which at most
`beam` end, so `beam` always live on.
"""
from typing import Any, NamedTuple

import tensorflow as tf

from tf_nar import types

_NEVER = -float("inf")


class _Hypotheses(NamedTuple):
  """What the loop carries. K is the beam; a score of -inf marks a place that holds nothing."""

  alive: tf.Tensor  # float32 [B, K]: log p, best first. A sentence that is done has none alive.
  tokens: tf.Tensor  # int32 [B, K, T]: what the alive ones said.
  finished: tf.Tensor  # float32 [B, N]: scores, best first.
  sentences: tf.Tensor  # int32 [B, N, T]: the finished ones.
  predictions: tf.Tensor  # int32 [B * K]: the previous token.
  state: Any


def length_penalty(length, alpha):
  """Returns ((5 + length) / 6)^alpha, float32, in the shape of `length` (tokens, EOS included)."""
  return ((5.0 + tf.cast(length, tf.float32)) / 6.0) ** alpha


def beam_search(step, state, limit, *, beam, steps, alpha=0.6, nbest=1, forbid=()):
  """Finds the `nbest` best translations among those that a beam reaches.

  A sentence is searched until its `nbest`-th finished hypothesis cannot be beaten by any alive one, or until
  its own limit; the loop ends when every sentence is done. If nothing is finished when a sentence's limit
  comes, its alive hypotheses are closed there: their last token is EOS, scored as the model scores it. So
  every sentence with a limit has a translation, though of the `nbest` some may be missing.

  # Differs: the original program gives all sentences the largest limit of the batch, so batch-mates change
  results, and none to a sentence with nothing finished. The same limit for all reproduces the rest.

  Args:
    step: maps (previous tokens int32 [B*K], t int32 [] from 0, state) to (logits float [B*K, V], state).
      Hypothesis k of sentence b is row b*K + k. At t = 0 the previous token is BOS.
    state: a nest of tensors [B*K, ...] of fixed shapes, as a key/value cache written at t. The search gathers
      its rows as hypotheses survive; what never changes, as the encoder's memory, `step` closes over.
    limit: int32 [B], the most tokens of each sentence, EOS included; 0 for a blank row. Above `steps`,
      `steps` counts.
    beam: K, how many hypotheses live.
    steps: T, the width of the result, at least 1; a tensor int32 [] unless XLA compiles.
    alpha: the exponent of the length penalty; 0 ranks by log p.
    nbest: N, how many candidates to return, up to `beam`.
    forbid: ids that are never said. The probabilities of the others stay what they were.

  Returns:
    A `Translation`; `passes` counts the calls of `step`.

  Raises:
    ValueError: for beam, nbest or steps out of range.
  """
  _check(beam, steps, nbest)
  limit = tf.minimum(tf.cast(limit, tf.int32), steps)  # [B]
  start = _start(state, limit, beam, steps, nbest)

  def body(t, old):
    logits, state = step(old.predictions, t, old.state)
    closing = (t + 1 == limit) & (old.finished[:, 0] == _NEVER)  # [B]
    extensions = _extensions(old.alive, tf.cast(logits, tf.float32), closing, forbid)
    return t + 1, _advance(old._replace(state=state), extensions, t, limit, alpha)

  going = lambda t, now: (t < steps) & tf.reduce_any(now.alive > _NEVER)
  passes, last = tf.while_loop(going, body, (tf.constant(0), start))
  return types.Translation(last.sentences, last.finished, passes)


def _check(beam, steps, nbest):
  if beam < 1:
    raise ValueError(f"beam_search needs beam >= 1, got {beam}; 1 is greedy search.")
  if not 1 <= nbest <= beam:
    raise ValueError(f"beam_search needs 1 <= nbest <= beam, got nbest={nbest}, beam={beam}; raise beam.")
  if isinstance(steps, int) and steps < 1:
    raise ValueError(f"beam_search needs steps >= 1, got {steps}; it is the width T of the result.")


def _start(state, limit, beam, steps, nbest):
  """One empty hypothesis a sentence, for K equal ones would stay equal."""
  batch = tf.shape(limit)[0]
  blank = lambda count: tf.fill([batch, count, steps], types.PAD)
  alive = tf.where((tf.range(beam) == 0) & (limit > 0)[:, None], 0.0, _NEVER)  # [B, K]
  finished = tf.fill([batch, nbest], _NEVER)
  return _Hypotheses(alive, blank(beam), finished, blank(nbest), tf.fill([batch * beam], types.BOS), state)


def _advance(old, extensions, t, limit, alpha):
  """The hypotheses one token later; `old.state` is already that of the step that gave the `extensions`."""
  beam = old.alive.shape[1]
  total, parent, token = extensions  # [B, 2K] each
  here = tf.range(tf.shape(old.tokens)[2]) == t  # [T]
  tokens = tf.where(here, token[..., None], tf.gather(old.tokens, parent, batch_dims=1))  # [B, 2K, T]
  ends = token == types.EOS

  # The older ones come first, so they win a tie.
  score = tf.where(ends, total / length_penalty(t + 1, alpha), _NEVER)
  finished, which = tf.math.top_k(tf.concat([old.finished, score], 1), old.finished.shape[1])  # [B, N]
  sentences = tf.gather(tf.concat([old.sentences, tokens], 1), which, batch_dims=1)  # [B, N, T]
  sentences = tf.where((finished > _NEVER)[..., None], sentences, types.PAD)

  alive, which = tf.math.top_k(tf.where(ends, _NEVER, total), beam)  # [B, K]
  parent, token, tokens = (tf.gather(x, which, batch_dims=1) for x in (parent, token, tokens))
  # log p only falls. A penalty that grows with length favours the longest, one that shrinks, the next.
  hope = alive[:, 0] / length_penalty(limit if alpha >= 0 else t + 2, alpha)  # [B]
  done = (t + 1 >= limit) | (finished[:, -1] >= hope)
  alive = tf.where(done[:, None], _NEVER, alive)
  return _Hypotheses(alive, tokens, finished, sentences, tf.reshape(token, [-1]), _reorder(old.state, parent))


def _extensions(alive, logits, closing, forbid):
  """The 2K best extensions of each sentence: log p, which hypothesis each extends, by which token; [B, 2K].

  Where `closing`, only those by EOS.
  """
  batch, beam, vocab = tf.shape(alive)[0], alive.shape[1], logits.shape[-1]
  kept = min(2 * beam + len(forbid), vocab)  # Of one hypothesis no more can be among the best 2K of all.
  top, token = tf.math.top_k(logits, kept)  # [B*K, kept]
  # Normalised by the best word's share: no log p of V words is ever made.
  share = tf.gather(tf.nn.softmax(logits), token[:, :1], batch_dims=1)  # [B*K, 1]
  whole = top[:, :1] - tf.math.log(share)
  for never in forbid:
    top = tf.where(token == never, _NEVER, top)
  end = logits[:, types.EOS:types.EOS + 1]
  each, token, end = (tf.reshape(x, [batch, beam, -1]) for x in (top - whole, token, end - whole))
  only_end = tf.where(tf.range(kept) == 0, end, _NEVER)
  each = alive[..., None] + tf.where(closing[:, None, None], only_end, each)
  token = tf.where(closing[:, None, None], types.EOS, token)
  each, token = (tf.reshape(x, [batch, beam * kept]) for x in (each, token))
  total, which = tf.math.top_k(each, min(2, kept) * beam)
  return total, which // kept, tf.gather(token, which, batch_dims=1)


def _reorder(state, parent):
  """Gathers the rows of every tensor of `state` so that each hypothesis has that of the one it extends."""
  batch, beam = tf.unstack(tf.shape(parent))
  if parent.shape[1] == 1:
    return state  # Each is its own parent.
  rows = tf.reshape(tf.range(batch)[:, None] * beam + parent, [-1])  # [B * K]
  return tf.nest.map_structure(lambda x: tf.ensure_shape(tf.gather(x, rows), x.shape), state)
