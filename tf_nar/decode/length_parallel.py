"""Length-parallel decoding: several lengths are filled at once and the best translation wins.

Gu et al. (arXiv:1711.02281) and Wei et al. (arXiv:1906.02041) rank by an autoregressive teacher, which scores
all candidates in parallel.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import beam
from tf_nar.ops import masking


def candidates(length_logits, count, longest):
  """Returns int32 [B, count]: consecutive lengths around the likeliest one.

  Args:
    length_logits: float [B, L]; class n stands for the length n, EOS included.
    count: how many lengths, at least 1. An odd number has the likeliest in its middle.
    longest: the largest length to try. At the borders lengths repeat, for the shapes stay fixed.

  Raises:
    ValueError: if `count` or `longest` is below 1.
  """
  if count < 1:
    raise ValueError(f"candidates needs count >= 1, got {count}; 1 tries the likeliest length alone.")
  if isinstance(longest, int) and longest < 1:
    raise ValueError(f"candidates needs longest >= 1, got {longest}; it counts EOS.")
  # Differs: the original replaces a length above 128 by the source's, a limit of its buffers.
  likeliest = tf.argmax(length_logits, -1, tf.int32)  # [B]
  base = tf.maximum(likeliest - count // 2, 2)  # One word and EOS.
  return tf.clip_by_value(base[:, None] + tf.range(count), 1, longest)


def likeliest(length_logits, count):
  """Returns int32 [B, count]: the likeliest lengths from 2, one word and EOS, best first; no two are equal.

  Args:
    length_logits: float [B, L]; class n stands for the length n, EOS included.
    count: how many lengths.

  Raises:
    ValueError: if there are not so many.
  """
  if not 1 <= count <= length_logits.shape[1] - 2:
    raise ValueError(f"likeliest needs a count of lengths from 1 to {length_logits.shape[1] - 2}, got {count}; "
                     "a model's lengths are 2 to net.max_length.")
  return 2 + tf.math.top_k(length_logits[:, 2:], count)[1]


def nonempty(lengths, src):
  """Returns the lengths, int32 [B, N], with 0 in the blank rows of src, int32 [B, S], which stay blank."""
  return tf.where(masking.valid(src)[:, :1], lengths, 0)


def positions(lengths, longest, src):
  """Returns T, how many places hold targets of all `lengths`, int32 [B, N]; at least 1, for a scan needs one.

  A graph for sources of one shape has the `longest` for all: XLA compiles no shape that depends on what was said.
  """
  if src.shape.is_fully_defined() and not tf.executing_eagerly():
    return longest
  return tf.maximum(tf.reduce_max(lengths), 1)


def length_parallel(fill, lengths, rescore=None, *, alpha):
  """Fills all lengths in one call and ranks what comes by score / ((5 + T) / 6)^alpha.

  Args:
    fill: maps lengths int32 [B*N] to (tokens int32 [B*N, T], score float32 [B*N]); candidate n of sentence
      b is row b*N + n. Tokens are cut at their first EOS here, or get one.
    lengths: int32 [B, N], EOS included.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N], as an autoregressive teacher does; None
      ranks by the score of `fill`.
    alpha: the exponent of the length penalty; 0 ranks by log p.

  Returns:
    A `Translation` of T + 1 places, best candidate first, of equals the first. `passes` is 1, for the call of
    `fill`, or 2 with a teacher's.
  """
  batch, count = tf.unstack(tf.shape(lengths))
  tokens, score = fill(tf.reshape(lengths, [-1]))
  tokens = argmax.finish(tokens)
  tokens = tf.reshape(tokens, [batch, count, tf.shape(tokens)[1]])
  if rescore is not None:
    return ranked(types.Translation(tokens, None, tf.constant(1)), rescore, alpha=alpha)
  score = tf.reshape(score, [batch, count])  # Of all places, those after EOS too.
  score = tf.where(lengths > 0, score / beam.length_penalty(lengths, alpha), -float("inf"))
  return ordered(tokens, score, tf.constant(1))


def ranked(found, rescore, *, alpha, passes=1):
  """Returns a `Translation` whose candidates `rescored` has put in order, by so many more passes: a teacher's one."""
  score = rescored(trimmed(found.tokens), rescore, alpha=alpha)
  return ordered(found.tokens, score, found.passes + passes)


def trimmed(tokens):
  """Leaves out the last places, where no candidate of int32 [B, N, T] has a word, for whoever ranks reads every place.

  A graph for sources of one shape keeps them: see `places`.
  """
  if tokens.shape.is_fully_defined() and not tf.executing_eagerly():
    return tokens
  return tokens[..., :tf.maximum(tf.reduce_max(masking.lengths(tokens)), 1)]


def rescored(tokens, rescore, *, alpha):
  """Returns log p / ((5 + T) / 6)^alpha under `rescore` of candidates int32 [B, N, T], float32 [B, N].

  # Differs: the original takes for T the length asked for, and scores the places after EOS too. Cut, they have
  # no log p to pay, and an early EOS would be a bargain.
  """
  lengths = masking.lengths(tokens)  # [B, N]
  score = rescore(tokens) / beam.length_penalty(lengths, alpha)
  return tf.where(lengths > 0, score, -float("inf"))


def ordered(tokens, score, passes):
  """Returns the `Translation` of candidates int32 [B, N, T] with the greatest score, float32 [B, N], first."""
  score, order = tf.math.top_k(score, tf.shape(score)[1])  # [B, N]; of equals the first.
  return types.Translation(tf.gather(tokens, order, batch_dims=1), score, passes)
