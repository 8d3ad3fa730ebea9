"""Length-parallel decoding: candidates of several lengths are decoded at once, and the best one is chosen.

Gu et al. (arXiv:1711.02281) and Wei et al. (arXiv:1906.02041) rank the candidates with an autoregressive teacher, which
scores them all in parallel.
"""
from collections.abc import Callable

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import argmax
from tf_nar.decode import beam
from tf_nar.ops import masking


def candidates(length_logits: tf.Tensor, count: int, longest: int | tf.Tensor, least: int = 2) -> tf.Tensor:
  """Returns int32 [B, count]: consecutive lengths around the most probable one.

  Args:
    length_logits: float [B, L]; class n is the length n, EOS included.
    count: number of lengths, at least 1. With an odd number the most probable length is in the middle.
    longest: the greatest length. Lengths are clipped to it and so may repeat, which keeps the shape fixed.
    least: the smallest length, unless it is above `longest`; 2 is one token and EOS.

  Raises:
    ValueError: if `count` or `longest` is below 1.
  """
  if count < 1:
    raise ValueError(f"candidates needs count >= 1, got {count}; 1 decodes the likeliest length alone.")
  if isinstance(longest, int) and longest < 1:
    raise ValueError(f"candidates needs longest >= 1, got {longest}; it counts EOS.")
  # Differs: the original replaces a length above 128, a limit of its buffers, by the source length.
  likeliest = tf.argmax(length_logits, -1, tf.int32)  # [B]
  base = tf.maximum(likeliest - count // 2, max(least, 2))
  return tf.clip_by_value(base[:, None] + tf.range(count), 1, longest)


def likeliest(length_logits: tf.Tensor, count: int, least: int = 2) -> tf.Tensor:
  """Returns int32 [B, count]: the most probable lengths of at least `least`, best first, all different.

  Args:
    length_logits: float [B, L]; class n is the length n, EOS included.
    count: number of lengths.
    least: the smallest length; 2 is one token and EOS, and less counts as 2.

  Raises:
    ValueError: if `count` is below 1 or there are fewer lengths.
  """
  least = max(least, 2)
  if not 1 <= count <= length_logits.shape[1] - least:
    raise ValueError(f"Expected 1 to {length_logits.shape[1] - least} lengths, as a model's are {least} to "
                     f"net.max_length; got {count}; set fewer search.candidates, or more search.latents of a length.")
  return least + tf.math.top_k(length_logits[:, least:], count)[1]


def nonempty(lengths: tf.Tensor, src: tf.Tensor) -> tf.Tensor:
  """Returns the lengths, int32 [B, N], with 0 for the padding rows of src, int32 [B, S], so that they stay empty."""
  return tf.where(masking.valid(src)[:, :1], lengths, 0)


def positions(lengths: tf.Tensor, longest: int, src: tf.Tensor) -> int | tf.Tensor:
  """Returns T, the greatest of `lengths`, int32 [B, N], and at least 1, since a scan needs one position.

  In a graph for sources of one fixed shape T is `longest`, since XLA cannot compile shapes that depend on predictions.
  """
  if src.shape.is_fully_defined() and not tf.executing_eagerly():
    return longest
  return tf.maximum(tf.reduce_max(lengths), 1)


def length_parallel(
    fill: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]], lengths: tf.Tensor, rescore: types.Rescore | None = None,
    *, alpha: float) -> types.Translation:
  """Decodes all lengths in one call and ranks the candidates by score / ((5 + T) / 6)^alpha.

  Args:
    fill: the decoder; maps lengths int32 [B·N] to (tokens int32 [B·N, T], score float32 [B·N]). Candidate n of sentence
      b is row b·N + n. Tokens are then cut at their first EOS, or EOS is appended.
    lengths: int32 [B, N], EOS included.
    rescore: maps tokens int32 [B, N, T] to log p float32 [B, N], as an autoregressive teacher does; None
      ranks by the score of `fill`.
    alpha: the exponent of the length penalty; 0 ranks by log p.

  Returns:
    A `Translation` of T + 1 positions, best candidate first; ties keep their order. `passes` is 1, for the call of
    `fill`, or 2 if a teacher rescores.
  """
  batch, count = tf.unstack(tf.shape(lengths))
  tokens, score = fill(tf.reshape(lengths, [-1]))
  tokens = argmax.finish(tokens)
  tokens = tf.reshape(tokens, [batch, count, tf.shape(tokens)[1]])
  if rescore is not None:
    return ranked(types.Translation(tokens, None, tf.constant(1)), rescore, alpha=alpha)
  score = tf.reshape(score, [batch, count])  # Over all positions, including those after EOS.
  score = tf.where(lengths > 0, score / beam.length_penalty(lengths, alpha), -float("inf"))
  return ordered(tokens, score, tf.constant(1))


def ranked(
    found: types.Translation, rescore: types.Rescore, *, alpha: float, penalty: str = "gnmt",
    passes: int = 1) -> types.Translation:
  """Returns a `Translation` with the candidates ranked by `rescored`; `passes` are added, 1 for a teacher's."""
  score = rescored(trimmed(found.tokens), rescore, alpha=alpha, penalty=penalty)
  return ordered(found.tokens, score, found.passes + passes)


def trimmed(tokens: tf.Tensor) -> tf.Tensor:
  """Removes the last positions of int32 [B, N, T] if no candidate has a token there, which saves time in rescoring.

  A graph for sources of one fixed shape keeps them: see `positions`.
  """
  if tokens.shape.is_fully_defined() and not tf.executing_eagerly():
    return tokens
  return tokens[..., :tf.maximum(tf.reduce_max(masking.lengths(tokens)), 1)]


def rescored(tokens: tf.Tensor, rescore: types.Rescore, *, alpha: float, penalty: str = "gnmt") -> tf.Tensor:
  """Returns log p / the `beam.length_penalty` under `rescore` of candidates int32 [B, N, T], float32 [B, N].

  A candidate of log p -inf, as of a length that has no class, is the last and not a missing one.

  # Differs: the original takes the requested length for T, and scores the positions after EOS too. Here these are cut
  # and add no log p, so that the requested length for T would favour candidates with an early EOS.
  """
  lengths = masking.lengths(tokens)  # [B, N]
  score = rescore(tokens) / beam.length_penalty(lengths, alpha, penalty)
  return tf.where(lengths > 0, tf.maximum(score, score.dtype.min), -float("inf"))


def by_rows(score: Callable[[tf.Tensor], tf.Tensor]) -> types.Rescore:
  """Returns the `types.Rescore` of a function that maps the tokens of all candidates, int32 [R, T], to float32 [R]."""
  return lambda tokens: tf.reshape(score(tf.reshape(tokens, [-1, tf.shape(tokens)[2]])), tf.shape(tokens)[:2])


def ordered(tokens: tf.Tensor, score: tf.Tensor, passes: tf.Tensor) -> types.Translation:
  """Returns the `Translation` of candidates int32 [B, N, T], sorted by falling score, float32 [B, N]."""
  score, order = tf.math.top_k(score, tf.shape(score)[1])  # [B, N]; ties keep their order.
  return types.Translation(tf.gather(tokens, order, batch_dims=1), score, passes)
