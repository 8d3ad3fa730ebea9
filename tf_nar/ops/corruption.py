"""Corrupted targets: repeated, replaced and swapped tokens, as in Lee, Mansimov & Cho (EMNLP 2018).

At each of max(1, floor(rate T)) positions t < T - 1, drawn without replacement, one of three changes, equally likely:

  repeat    y_{t+1} <- y_t
  replace   y_t <- any token but the reserved ones
  swap      y_t <-> y_{t+1}

They are made from left to right, so that a token can move further by several of them. `replaced` makes replacements
alone, each position by itself.

# Differs: the program makes the changes in random order.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import choice
from tf_nar.ops import masking
from tf_nar.ops import noise

_WHERE, _WHICH, _WHAT = range(3)  # Numbers of the random streams.
KINDS = NOTHING, REPEAT, REPLACE, SWAP = range(4)


def corrupted(seed: tf.Tensor, tokens: tf.Tensor, rate: float, vocab: int) -> tf.Tensor:
  """Returns a corrupted copy of targets, of the same lengths.

  Args:
    seed: int32 [2], the only source of randomness.
    tokens: int32 [B, T], with EOS, which may be moved or overwritten, then PAD.
    rate: float in [0, 1], the share of positions at which tokens are changed.
    vocab: V; tokens are replaced by ids from the first that is not reserved to V - 1.
  """
  draw = lambda number: noise.uniform(tf.shape(tokens), noise.stream(seed, number))
  last = masking.lengths(tokens) - 1  # int32 [B]; changes are made before it.
  among = tf.sequence_mask(tf.maximum(last, 0), tf.shape(tokens)[1])
  counts = tf.maximum(tf.cast(rate * tf.cast(last + 1, tf.float32), tf.int32), 1)
  at = choice.uniform(noise.stream(seed, _WHERE), counts, among)
  kinds = tf.where(at, 1 + tf.cast(3 * draw(_WHICH), tf.int32), NOTHING)
  first = len(types.SPECIALS)
  return changed(tokens, kinds, first + tf.cast(draw(_WHAT) * (vocab - first), tf.int32))


def changed(tokens: tf.Tensor, kinds: tf.Tensor, others: tf.Tensor) -> tf.Tensor:
  """Makes the given changes from left to right, without a loop.

  A repeat or a swap carries the token at its position on to the next one. So the token that arrives at a position comes
  from the start of the run of such changes before it.

  Args:
    tokens: int32 [B, T].
    kinds: int32 [B, T], one of `KINDS` at each position; NOTHING at the last token and at PAD.
    others: int32 [B, T], by which tokens are replaced.
  """
  carried = tf.pad((kinds == REPEAT) | (kinds == SWAP), [[0, 0], [1, 0]])[:, :-1]  # Whether a token arrives here.
  positions = tf.range(tf.shape(tokens)[1])
  before = ~carried[:, None] & (positions <= positions[:, None])  # [B, T, T]: possible starts of each position's run.
  start = tf.reduce_max(tf.where(before, positions, 0), -1)
  here = tf.gather(tokens, start, batch_dims=1)
  following = tf.pad(tokens[:, 1:], [[0, 0], [0, 1]])
  return tf.where(kinds == SWAP, following, tf.where(kinds == REPLACE, others, here))


def replaced(seed: tf.Tensor, tokens: tf.Tensor, share: float, vocab: int) -> tf.Tensor:
  """Replaces a share of the tokens int32 [B, T], but not EOS and PAD, by tokens drawn from the vocabulary."""
  if not share:
    return tokens
  shape, ordinary = tf.shape(tokens), len(types.SPECIALS)
  chosen = (noise.uniform(shape, noise.stream(seed, 0)) < share) & masking.valid(tokens) & (tokens != types.EOS)
  drawn = noise.uniform(shape, noise.stream(seed, 1)) * (vocab - ordinary)
  return tf.where(chosen, ordinary + tf.cast(drawn, tf.int32), tokens)
