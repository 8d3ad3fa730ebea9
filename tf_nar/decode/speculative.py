"""Speculative decoding: an autoregressive teacher checks a draft of the whole sentence, many tokens in one pass.

As Leviathan et al. (ICML 2023) and Stern et al. (NeurIPS 2018), with a non-autoregressive student as the drafter. The
result is the teacher's own greedy translation, token for token:

  block     K inputs: the last token of the translation so far, then K - 1 tokens of a draft
  pass      the teacher's best token after each input, for R blocks at once, each from another position of the drafts
  accepted  the block's tokens as long as they are the teacher's best, then the teacher's own next token: 1 to K tokens

Each sentence is drafted once. After a disagreement, the next blocks begin at the R positions of the drafts whose two
preceding tokens agree best with the translation so far, and that are near to where the last accepted block ended.

# Differs: those papers draft autoregressively, with a small model or with additional heads, a few tokens at a time.
"""
from collections.abc import Callable
from collections.abc import Sequence
from typing import Any, NamedTuple

import tensorflow as tf

from tf_nar import types

_MATCH = 4  # One agreeing token makes up for so many positions of distance.


class Drafting(NamedTuple):
  """How drafts are checked."""

  block: int = 8  # K, the inputs of a block; 1 is plain greedy search.
  positions: int = 2  # R, the blocks of one pass, each from another position of the drafts.
  margin: float = 0.0  # A drafted token is also accepted if its logit is at most this much below the best, and
  top: int = 0  # if it is one of so many best tokens; 0: any. Then the result need not be the teacher's greedy one.


class _Progress(NamedTuple):
  """The state of the loop; T is `steps`."""

  tokens: tf.Tensor  # int32 [B, T], the accepted tokens, then PAD.
  count: tf.Tensor  # int32 [B], their number.
  at: tf.Tensor  # int32 [B], the position in a draft after the last accepted token.
  done: tf.Tensor  # bool [B].
  score: tf.Tensor  # float32 [B], log p of the accepted tokens.
  state: Any  # That of `step`.


def speculative(
    step: Callable, commit: Callable, state: Any, drafts: tf.Tensor, limit: tf.Tensor, *, steps: int | tf.Tensor,
    drafting: Drafting, forbid: Sequence[int] = ()) -> types.Translation:
  """Returns the greedy translation of each sentence.

  Args:
    step: maps (inputs int32 [B, R, K], number of accepted tokens int32 [B], state) to (logits float [B, R, K, V], what
      `commit` takes as `new`). Input k of every block stands at position count + k, where BOS is at position 0, and
      depends on the accepted tokens and on the inputs of its block up to itself.
    commit: maps (state, new, R's chosen block int32 [B], count int32 [B], inputs to keep int32 [B]) to the next state.
    state: a nest of tensors, such as a key/value cache.
    drafts: int32 [B, N, T'], N drafts of each sentence, each with EOS where it ends, then PAD.
    limit: int32 [B], the greatest length of each translation with EOS; 0 for a padding row. At the limit the last token
      is EOS.
    steps: T, the length of the result, at least every limit.
    drafting: a `Drafting`.
    forbid: ids that are never predicted.

  Returns:
    A `types.Translation` of one candidate, whose score is its log p; `passes` is the number of calls of `step`, at most
    the number of tokens of the longest translation.

  Raises:
    ValueError: for block or positions below 1, or a negative margin.
  """
  block, positions, margin, top = drafting
  if block < 1 or positions < 1 or margin < 0:
    raise ValueError("speculative needs block >= 1, positions >= 1 and margin >= 0; "
                     f"got {block}, {positions} and {margin}.")
  batch = tf.shape(limit)[0]
  limit = tf.minimum(limit, steps)
  zeros = tf.zeros([batch], tf.int32)
  start = _Progress(tf.fill([batch, steps], types.PAD), zeros, zeros, limit <= 0, tf.cast(zeros, tf.float32), state)

  def body(now, passes):
    first = _positions(drafts, now, positions)  # Draft and position, int32 [B, R] each.
    inputs = _inputs(drafts, now, first, block)
    logits, new = step(inputs, now.count, now.state)
    logits = tf.cast(logits, tf.float32)
    tokens, agreed = _checked(logits, inputs, now.count, limit, margin, top, forbid)
    length = _lengths(tokens, agreed, limit - now.count)  # [B, R]
    chosen = tf.argmax(length, 1, output_type=tf.int32)
    pick = lambda x: tf.gather(x, chosen, batch_dims=1)
    more = tf.where(now.done, 0, pick(length))  # [B]
    nats = tf.nn.sparse_softmax_cross_entropy_with_logits(pick(tokens), pick(logits))  # [B, K]
    nats = tf.reduce_sum(tf.where(tf.sequence_mask(more, block), nats, 0.0), 1)
    now = now._replace(score=now.score - nats, state=commit(now.state, new, chosen, now.count, more))
    return _advance(now, pick(tokens), more, pick(first[1]), limit), passes + 1

  going = lambda now, passes: ~tf.reduce_all(now.done)
  last, passes = tf.while_loop(going, body, (start, tf.constant(0)), maximum_iterations=steps)
  score = tf.where(limit > 0, last.score, -float("inf"))
  return types.Translation(last.tokens[:, None], score[:, None], passes)


def _history(now):
  """Returns the last accepted token of each sentence and the one before it, int32 [B] each; at first BOS and PAD."""
  tokens = tf.pad(now.tokens, [[0, 0], [1, 0]], constant_values=types.BOS)
  tokens = tf.pad(tokens, [[0, 0], [1, 0]], constant_values=types.PAD)
  return (tf.gather(tokens, now.count + back, batch_dims=1) for back in (1, 0))


def _positions(drafts, now, count):
  """Returns the `count` best positions to go on from: the draft and the position in it, int32 [B, R] each."""
  batch, number, positions = tf.unstack(tf.shape(drafts))
  last, before = (x[:, None, None] for x in _history(now))
  one = tf.pad(drafts, [[0, 0], [0, 0], [1, 0]], constant_values=types.BOS)  # Before each position, [B, N, T'+1].
  two = tf.pad(one, [[0, 0], [0, 0], [1, 0]], constant_values=types.PAD)[..., :-1]  # The token before that.
  agree = tf.cast(one == last, tf.int32) * (1 + tf.cast(two == before, tf.int32))
  far = tf.abs(tf.range(positions + 1) - now.at[:, None])  # [B, T'+1]
  score = tf.reshape(_MATCH * agree - far[:, None], [batch, number * (positions + 1)])
  best = tf.math.top_k(score, count).indices  # [B, R]
  return best // (positions + 1), best % (positions + 1)


def _inputs(drafts, now, first, block):
  """Returns the blocks, int32 [B, R, K]: the last accepted token, then the drafts from the positions `first`."""
  which, position = first
  rows = tf.gather(tf.pad(drafts, [[0, 0], [0, 0], [0, block]]), which, batch_dims=1)  # [B, R, T' + K]
  rest = tf.gather(rows, position[..., None] + tf.range(block - 1), batch_dims=2)  # [B, R, K - 1]
  last, _ = _history(now)
  return tf.concat([tf.broadcast_to(last[:, None, None], [*tf.unstack(tf.shape(position)), 1]), rest], 2)


def _checked(logits, inputs, count, limit, margin, top, forbid):
  """Returns the token after each input, int32 [B, R, K], and whether the draft's is accepted, bool [B, R, K]."""
  if forbid:
    never = tf.reduce_max(tf.one_hot(forbid, logits.shape[-1]), 0) > 0
    logits = tf.where(never, -float("inf"), logits)
  best = tf.argmax(logits, -1, output_type=tf.int32)
  position = count[:, None] + tf.range(tf.shape(inputs)[2])  # [B, K], of the token after each input.
  closing = (position >= limit[:, None] - 1)[:, None]
  best = tf.where(closing, types.EOS, best)
  drafted = tf.pad(inputs[..., 1:], [[0, 0], [0, 0], [0, 1]])  # After each input in its draft; PAD at the end.
  accepted = best == drafted
  if margin:
    logit = tf.gather(logits, drafted, batch_dims=3)
    near = (logit >= tf.reduce_max(logits, -1) - margin) & ~closing & (drafted != types.PAD)
    if top:
      near &= tf.reduce_sum(tf.cast(logits > logit[..., None], tf.int32), -1) < top
    accepted, best = accepted | near, tf.where(near, drafted, best)
  return best, accepted


def _lengths(tokens, agreed, room):
  """Returns the number of accepted tokens of each block, int32 [B, R]: at most `room` int32 [B], and up to EOS."""
  leading = tf.reduce_sum(tf.math.cumprod(tf.cast(agreed, tf.int32), -1), -1)
  length = tf.minimum(leading + 1, tf.shape(tokens)[2])
  ends = tf.cast(tokens == types.EOS, tf.int32)
  until = tf.reduce_sum(tf.math.cumprod(1 - ends, -1), -1) + 1  # Tokens up to the first EOS, with it.
  return tf.minimum(tf.minimum(length, until), room[:, None])


def _advance(now, tokens, more, position, limit):
  """Appends the first `more` int32 [B] of tokens int32 [B, K] to each translation."""
  offset = tf.range(tf.shape(now.tokens)[1]) - now.count[:, None]  # [B, T]
  there = (offset >= 0) & (offset < more[:, None])
  taken = tf.gather(tokens, tf.clip_by_value(offset, 0, tf.shape(tokens)[1] - 1), batch_dims=1)
  ended = tf.reduce_any(there & (taken == types.EOS), 1)
  count = now.count + more
  return now._replace(tokens=tf.where(there, taken, now.tokens), count=count, at=position + more,
                      done=now.done | ended | (count >= limit))
