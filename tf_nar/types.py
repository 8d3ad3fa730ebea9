"""The types that modules exchange, and the token ids that every vocabulary reserves.

Shapes use these letters everywhere:
  B  sentences of a batch, which may be filled up with padding rows, all PAD
  S  source length        T  target length, both in tokens
  N  candidates of one sentence, best first
  V  vocabulary size      D  features            H  attention heads
  R  rows of a flattened batch, such as the B·T positions of all its sentences
"""
from collections.abc import Callable
from typing import NamedTuple

import tensorflow as tf

PAD, EOS, UNK, BOS, MASK = range(5)
SPECIALS = ("<pad>", "<eos>", "<unk>", "<bos>", "<mask>")
Rescore = Callable[[tf.Tensor], tf.Tensor]  # Maps tokens int32 [B, N, T] to the log p float32 [B, N] that ranks them.


class Batch(NamedTuple):
  """Sentence pairs. A padding row (all PAD, weight 0) contributes to no loss and no count."""

  src: tf.Tensor  # int32 [B, S]: tokens, EOS, then PAD.
  tgt: tf.Tensor  # int32 [B, T]: tokens, EOS, then PAD.
  weight: tf.Tensor  # float32 [B]: the weight of each pair in the loss; 1 for plain text.


class Aligned(NamedTuple):
  """A `Batch` with fertilities from a word aligner, for families whose `Traits.batch` returns this type."""

  src: tf.Tensor
  tgt: tf.Tensor
  weight: tf.Tensor
  fertility: tf.Tensor  # int32 [B, S]: target tokens aligned to each source token; their sum is T. EOS has EOS.


class Translation(NamedTuple):
  """N candidates per sentence. A missing candidate is all PAD and has score -inf."""

  tokens: tf.Tensor  # int32 [B, N, T]: tokens, EOS, then PAD.
  score: tf.Tensor  # float32 [B, N]: the score that candidates are ranked by; higher is better.
  passes: tf.Tensor  # int32 []: number of decoder passes, the unit of NAR cost; a rescoring teacher's pass counts.
  steps: tf.Tensor | int = 0  # int32 []: steps of a small network before them, which predicts codes one by one.


class Trace(NamedTuple):
  """Inputs and predictions of each of P decoder passes, with candidates in the order of the `Translation`."""

  inputs: tf.Tensor  # int32 [B, N, P, T]: tokens, MASK at the positions to predict, and PAD past the length.
  predictions: tf.Tensor  # int32 [B, N, P, T]: the last pass holds the translation, not yet cut at its first EOS.


class Latents(NamedTuple):
  """Gaussian latents of each sentence at its A positions, 0 at padding, and where refinement leads from their mean."""

  prior: tf.Tensor  # float32 [B, A, Z], the mean of the prior.
  draws: tf.Tensor  # float32 [B, K, A, Z], draws from it, at the temperature of the search.
  walks: dict  # Name of a refinement -> float32 [B, P + 1, A, Z], from the mean through P steps.
  posterior: tf.Tensor | None  # float32 [B, A, Z], the mean given a target; None: no target is given.


class Term(NamedTuple):
  """One term of a loss, which contributes scale * total / count.

  Totals and counts are summed over micro-batches and replicas before the division, so that the loss does not depend
  on the number of replicas.
  """

  total: tf.Tensor  # float32 [], differentiable.
  count: tf.Tensor  # float32 [].
  scale: float = 1.0


class Loss(NamedTuple):
  """The result of a model's `objective`."""

  terms: dict  # Name -> `Term`.
  statistics: dict = {}  # Name -> float32 tensor, summed over the batch; see `absorb` in `family.Model`.


def counted(terms: dict[str, Term], count: tf.Tensor) -> dict[str, Term]:
  """Returns the same terms, of which those whose count is None have `count`."""
  return {name: term._replace(count=count) if term.count is None else term for name, term in terms.items()}


def loss(terms: Loss | dict[str, Term]) -> tf.Tensor:
  """Returns the scalar loss, the sum of scale * total / count, of a dict of `Term` or of a `Loss`."""
  terms = terms.terms if isinstance(terms, Loss) else terms
  return tf.add_n([term.scale * tf.math.divide_no_nan(term.total, term.count) for term in terms.values()])
