"""The values that cross module borders, and the ids that every vocabulary reserves.

Shapes are spelled in these letters, everywhere:
  B  sentences (rows of a batch; blank rows, all PAD, may fill it up)
  S  source tokens        T  target tokens
  N  candidates of one sentence, best first
  V  words                D  features            H  heads
"""
from typing import NamedTuple

import tensorflow as tf

PAD, EOS, UNK, BOS, MASK = range(5)
SPECIALS = ("<pad>", "<eos>", "<unk>", "<bos>", "<mask>")


class Batch(NamedTuple):
  """Sentence pairs. A blank row (all PAD, weight 0) counts nowhere."""

  src: tf.Tensor  # int32 [B, S]: words, EOS, then PAD.
  tgt: tf.Tensor  # int32 [B, T]: words, EOS, then PAD.
  weight: tf.Tensor  # float32 [B]: how much the sentence counts; 1 for plain text.


class Aligned(NamedTuple):
  """A `Batch` of aligned pairs, for a family that is `aligned`: how often each source token is translated."""

  src: tf.Tensor
  tgt: tf.Tensor
  weight: tf.Tensor
  fertility: tf.Tensor  # int32 [B, S]: target tokens of each source token, all of them together; EOS has EOS.


class Translation(NamedTuple):
  """N candidates a sentence. A candidate that is not there is all PAD with score -inf."""

  tokens: tf.Tensor  # int32 [B, N, T]: words, EOS, then PAD.
  score: tf.Tensor  # float32 [B, N]: what the search ranked by, higher is better.
  passes: tf.Tensor  # int32 []: decoder passes spent, the unit of NAR cost; a teacher's that ranks counts.


class Trace(NamedTuple):
  """What each of P decoder passes was given and what it made of it, candidates in the order of the `Translation`."""

  inputs: tf.Tensor  # int32 [B, N, P, T]: words, and MASK where the pass is to say one; PAD past the length.
  predictions: tf.Tensor  # int32 [B, N, P, T]: words. The last is the translation, not yet cut at its first EOS.


class Term(NamedTuple):
  """One term of a loss: it contributes scale * total / count.

  Totals and counts are added over micro-batches and replicas before the division, so one core and
  eight descend the same loss.
  """

  total: tf.Tensor  # float32 [], differentiable.
  count: tf.Tensor  # float32 [].
  scale: float = 1.0


class Loss(NamedTuple):
  """What an objective returns."""

  terms: dict  # Name -> `Term`.
  statistics: dict = {}  # Name -> float32 tensor, a sum over the batch; see `family.Model`.


def loss(terms):
  """Returns the scalar that a dict of `Term`, or a `Loss`, stands for."""
  terms = terms.terms if isinstance(terms, Loss) else terms
  return tf.add_n([term.scale * tf.math.divide_no_nan(term.total, term.count) for term in terms.values()])
