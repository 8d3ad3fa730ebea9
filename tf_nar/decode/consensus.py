"""The consensus of several candidates: the one that agrees most with all that the model may say.

  argmax_y  BLEU(y; E[c], E[T])        DeNero, Chiang & Knight, "Fast Consensus Decoding over Translation Forests", 2009

The likeliest sentence is often too short, and a penalty of length that mends it must be chosen for each text. Here the
model itself says how long a sentence is: y is compared, as BLEU does, with how often each of its n-grams is expected in
a translation, and with the expected length. Expectations are exact, over all paths of a graph (`ops.dag.expected`) or
of CTC (`ops.ctc.expected`), not of a list of candidates.

# Differs: n-grams are of tokens and not of whole words.
"""
from typing import NamedTuple

import tensorflow as tf

from tf_nar.decode import length_parallel
from tf_nar.ops import masking
from tf_nar.ops import ngrams

ORDER = 4  # The longest n-grams of BLEU.
_LEAST = 1e-9  # Of an expected count, whose logarithm is taken.


class Expected(NamedTuple):
  """What a model expects of its translations; of candidates int32 [B, N, T] with EOS."""

  counts: tf.Tensor  # float32 [ORDER, B, N, T]: how often the n-gram that begins there occurs; not read past the end.
  length: tf.Tensor  # float32 [B]: tokens, without EOS.


def ranked(found, expect):
  """Returns a `Translation` whose candidates are put in order by what they have in common with what is expected.

  Args:
    found: a `Translation` of N candidates a sentence.
    expect: maps the candidates' tokens, int32 [B, N T], one behind the other, to counts float32 [ORDER, B, N T], of the
      n-grams that begin at each, and the expected length float32 [B].
  """
  tokens = length_parallel.trimmed(found.tokens)
  counts, length = expect(tf.reshape(tokens, [tf.shape(tokens)[0], -1]))
  counts = tf.reshape(counts, tf.concat([[ORDER], tf.shape(tokens)], 0))
  return length_parallel.ordered(found.tokens, scores(tokens, Expected(counts, length)), found.passes)


def scores(tokens, expected):
  """Returns log BLEU of each candidate against what is expected, float32 [B, N]; -inf for one that is not there.

  Of a candidate of fewer than n tokens the mean is over the n-grams that it has. What says nothing agrees with nothing.

  Args:
    tokens: int32 [B, N, T]: words, EOS, then PAD.
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
