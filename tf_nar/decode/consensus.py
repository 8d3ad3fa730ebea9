"""Consensus decoding: the candidate that agrees best with the n-grams and the length that the model expects.

  argmax_y  BLEU(y; E[c], E[T])        DeNero, Chiang & Knight, "Fast Consensus Decoding over Translation Forests", 2009

The most probable translation is often too short, and a length penalty that corrects this must be tuned for each text.
Here the length follows from the model: as in BLEU, the n-grams of y are compared with their expected counts E[c] in a
translation, and its length with the expected length E[T]. The expectations are exact, over all paths of a graph
(`ops.dag.expected`) or of CTC (`ops.ctc.expected`), and not over a list of candidates.

# Differs: n-grams are of tokens and not of whole words.
"""
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.decode import length_parallel
from tf_nar.ops import masking
from tf_nar.ops import ngrams

ORDER = 4  # The longest n-grams of BLEU.
_LEAST = 1e-9  # Lower bound of precisions, for their logarithm, and of lengths, which are divisors.


class Expected(NamedTuple):
  """Expectations under the model, for the n-grams of candidates int32 [B, N, T] with EOS."""

  counts: tf.Tensor  # float32 [ORDER, B, N, T]: count of the n-gram that begins at each token; not read past the end.
  length: tf.Tensor  # float32 [B]: number of tokens without EOS.


def ranked(found: types.Translation, expect: Callable[[tf.Tensor], tuple[tf.Tensor, tf.Tensor]]) -> types.Translation:
  """Returns a `Translation` with the candidates ranked by their agreement with the expectations.

  Args:
    found: a `Translation` of N candidates per sentence.
    expect: maps the concatenated candidates, int32 [B, N·T], to the expected counts, float32 [ORDER, B, N·T], of the
      n-grams that begin at each token, and to the expected length, float32 [B].
  """
  tokens = length_parallel.trimmed(found.tokens)
  counts, length = expect(tf.reshape(tokens, [tf.shape(tokens)[0], -1]))
  counts = tf.reshape(counts, tf.concat([[ORDER], tf.shape(tokens)], 0))
  return length_parallel.ordered(found.tokens, scores(tokens, Expected(counts, length)), found.passes)


def scores(tokens: tf.Tensor, expected: Expected) -> tf.Tensor:
  """Returns log BLEU of each candidate against the expectations, float32 [B, N]; -inf for a missing candidate.

  If a candidate has fewer than ORDER tokens, the mean is over the orders of which it has n-grams. The brevity penalty
  makes the score of an empty candidate very low.

  Args:
    tokens: int32 [B, N, T]: tokens, EOS, then PAD.
    expected: an `Expected`.
  """
  lengths = masking.lengths(tokens)  # [B, N]
  real = tf.maximum(lengths - 1, 0)  # Without EOS.
  precision, orders = 0.0, 0.0
  for order, counts in enumerate(tf.unstack(expected.counts, ORDER), 1):
    matches, grams = ngrams.matches(tokens, counts, real, order)
    some = tf.math.log(tf.maximum(tf.math.divide_no_nan(matches, grams), _LEAST))
    precision += tf.where(grams > 0, some, 0.0)
    orders += tf.cast(grams > 0, tf.float32)
  brevity = tf.minimum(1.0 - expected.length[:, None] / tf.maximum(tf.cast(real, tf.float32), _LEAST), 0.0)
  return tf.where(lengths > 0, tf.math.divide_no_nan(precision, orders) + brevity, -float("inf"))
