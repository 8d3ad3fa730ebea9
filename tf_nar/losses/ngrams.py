"""The loss of expected n-grams, which compares the model's translations with the target whatever the alignment.

  f1          2 m / (Σ_g C_y(g) + Σ_g E[C(g)])                       m = Σ_g min(C_y(g), E[C(g)])
  precision   m / Σ_g E[C(g)] times min(1, exp(1 - T / E[T']))       g: n-grams; T: tokens; both without EOS

The loss is 1 - score. F1 was proposed for CTC: Shao & Feng, "Non-Monotonic Latent Alignments for CTC-Based
Non-Autoregressive Machine Translation", NeurIPS 2022. Precision with a brevity penalty was proposed for the
DA-Transformer: Ma et al., "Fuzzy Alignments in Directed Acyclic Graph for Non-Autoregressive Machine Translation", ICLR
2023. E[C(g)] and E[T'] come from `ops.ctc.expected` and `ops.dag.expected`.

Where the tokens are independent given their number, which in training is the target's, both are the bag of n-grams of
Shao et al., "Minimizing the Bag-of-Ngrams Difference for Non-Autoregressive Neural Machine Translation", AAAI 2020,
whose L1 distance is 2 (T - n + 1 - m), where T counts EOS. All fine-tune models trained by likelihood, with bigrams.
"""
import tensorflow as tf

from tf_nar import config
from tf_nar import types
from tf_nar.ops import masking
from tf_nar.ops import ngrams

SCORES = "f1", "precision"
LEAST = 1e-2  # Lower bound of the divisors, expected tokens and n-grams; with fewer the score is near 0 anyway.


def check(order: int, score: str = SCORES[0]) -> None:
  """Raises ValueError for an order that is neither 0, for the likelihood, nor from 2 to 4, or for an unknown score."""
  if order and not 2 <= order <= 4:
    raise ValueError(f"model.ngrams must be 0, for the likelihood, or from 2 to 4; got {order}.")
  config.check_choice("model.ngram_score", score, SCORES)


def terms(
    tgt: tf.Tensor, counts: tf.Tensor, expected: tf.Tensor, nonempty: tf.Tensor, weight: tf.Tensor, order: int,
    score: str) -> dict[str, types.Term]:
  """Returns the term of a batch: `ngram`, 1 - score, a mean over the sentences that have n-grams.

  Args:
    tgt: int32 [B, T].
    counts: float32 [B, T], the expected count of the n-gram that begins at each target token.
    expected: float32 [B], the expected number of all n-grams.
    nonempty: float32 [B], the expected number of tokens.
    weight: float32 [B].
    order: n.
    score: one of SCORES.
  """
  tokens = tf.maximum(masking.lengths(tgt) - 1, 0)
  matches, grams = ngrams.matches(tgt, counts, tokens, order)
  if score == "f1":
    agreement = tf.math.divide_no_nan(2.0 * matches, grams + expected)
  else:
    brevity = tf.exp(tf.minimum(0.0, 1.0 - tf.cast(tokens, tf.float32) / tf.maximum(nonempty, LEAST)))
    agreement = brevity * matches / tf.maximum(expected, LEAST)
  return _term(agreement, grams, weight)


def bag(tgt: tf.Tensor, log_prob: tf.Tensor, weight: tf.Tensor, order: int) -> dict[str, types.Term]:
  """Returns the same term for independent tokens of the target's number; with as many n-grams, both scores are equal.

  # Differs: EOS counts as a token here, as the position of the last token learns to predict it.

  Args:
    tgt: int32 [B, T].
    log_prob: float32 [B, T, T], log p at each position of each token of the target.
    weight: float32 [B].
    order: n.
  """
  lengths = masking.lengths(tgt)
  matches, grams = ngrams.matches(tgt, ngrams.expected(log_prob, lengths, order), lengths, order)
  return _term(tf.math.divide_no_nan(matches, grams), grams, weight)


def _term(agreement, grams, weight):
  there = weight * tf.cast(grams > 0, tf.float32)
  return {"ngram": types.Term(tf.reduce_sum(there * (1.0 - agreement)), tf.reduce_sum(there))}
