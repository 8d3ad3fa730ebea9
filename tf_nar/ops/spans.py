"""Spans of tokens, chosen at random: the masks of JANUS (Liang et al., EMNLP 2022), as in its program.

Spans begin at different positions, drawn at random. Their lengths are Poisson with mean `MEAN`, at least 1, and add up
to a budget of ceil(share · N) of the N tokens, the last one being cut to fit. A span that would pass the end of the
sentence covers only its first token. Spans may overlap, so that fewer tokens than the budget are covered: 0.54 of them
with a share of 0.7.

# Differs: N counts EOS, which may be covered. In the program it also counts the start of the sentence, and neither is
covered: by simulation 0.60 of 10 tokens are, 0.56 of 50.
"""
import math

import numpy as np
import tensorflow as tf

from tf_nar.ops import noise

MEAN = 2.0  # Of the Poisson distribution; that of the lengths is greater, since 0 is left out.
LONGEST = 10  # In 100,000 spans, one would be longer.


def spans(seed: tf.Tensor, inside: tf.Tensor, share: float) -> tf.Tensor:
  """Draws the covered tokens, bool [B, T]; at least one of each row that has any.

  Args:
    seed: int32 [2], the only source of randomness.
    inside: bool [B, T], True at the tokens of a row, which come first.
    share: of the tokens of a row, the budget; above 0, at most 1.
  """
  draw = lambda n: noise.uniform(tf.shape(inside), tf.random.fold_in(seed, n, alg="philox"))
  size = tf.math.count_nonzero(inside, 1, dtype=tf.int32)[:, None]  # [B, 1]
  # Rounded, as 0.7 · 10 is 7.0000002 in float32.
  budget = tf.cast(tf.math.ceil(tf.cast(size, tf.float32) * share - 1e-3), tf.int32)
  order = tf.argsort(tf.where(inside, draw(0), 2.0))  # Where the spans begin, in the order in which they are taken.
  length = 1 + tf.reduce_sum(tf.cast(draw(1)[..., None] >= _cumulative(), tf.int32), -1)  # [B, T]
  spent = tf.cumsum(length, axis=1, exclusive=True)
  length = tf.clip_by_value(budget - spent, 0, length)
  length = tf.where(order + length > size, tf.minimum(length, 1), length)
  position = tf.range(tf.shape(inside)[1])
  covered = (order[..., None] <= position) & (position < (order + length)[..., None])  # [B, spans, T]
  return inside & tf.reduce_any(covered, 1)


def _cumulative():
  """Returns P(length <= n) for n from 1 to LONGEST - 1, float32, of a Poisson variable above 0."""
  p = np.array([MEAN**n / math.factorial(n) for n in range(1, LONGEST + 1)])
  return (np.cumsum(p) / p.sum())[:-1].astype(np.float32)
