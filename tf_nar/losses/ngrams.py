"""The loss of expected n-grams: how far all that a model may say is from the target, however its words are aligned.

  f1          2 m / (Σ_g C_y(g) + Σ_g E[C(g)])                       m = Σ_g min(C_y(g), E[C(g)])
  precision   m / Σ_g E[C(g)] times min(1, exp(1 - T / E[T']))       g: n-grams; T: words; both without EOS

The loss is 1 - score. F1 is of CTC: Shao & Feng, "Non-Monotonic Latent Alignments for CTC-Based Non-Autoregressive
Machine Translation", NeurIPS 2022. Precision with a penalty of brevity is of graphs: Ma et al., "Fuzzy Alignments in
Directed Acyclic Graph for Non-Autoregressive Machine Translation", ICLR 2023. Both fine-tune with bigrams what has
learned the likelihood. E[C(g)] and E[T']: `ops.ctc.expected`, `ops.dag.expected`.
"""
import tensorflow as tf

from tf_nar import config
from tf_nar import types
from tf_nar.ops import masking
from tf_nar.ops import ngrams

SCORES = "f1", "precision"
LEAST = 1e-2  # Words and n-grams that are divided by: who says less has a score near 0 either way.


def check(order, score):
  """Refuses an order that is not to be learned, 0 is for the likelihood, and an unknown score."""
  if order and not 2 <= order <= 4:
    raise ValueError(f"model.ngrams is 0, for the likelihood, or from 2 to 4; got {order}.")
  config.check_choice("model.ngram_score", score, SCORES)


def terms(tgt, counts, said, nonempty, weight, order, score):
  """Returns the term of a batch: `ngram`, 1 - score, a mean over the sentences that have n-grams.

  Args:
    tgt: int32 [B, T].
    counts: float32 [B, T], how often the n-gram that begins at each target word is expected.
    said: float32 [B], how many n-grams are expected in all.
    spoken: float32 [B], how many words.
    weight: float32 [B].
    order: n.
    score: one of SCORES.
  """
  tokens = tf.maximum(masking.lengths(tgt) - 1, 0)
  matches, grams = ngrams.matches(tgt, counts, tokens, order)
  if score == "f1":
    agreement = tf.math.divide_no_nan(2.0 * matches, grams + said)
  else:
    brevity = tf.exp(tf.minimum(0.0, 1.0 - tf.cast(tokens, tf.float32) / tf.maximum(nonempty, LEAST)))
    agreement = brevity * matches / tf.maximum(said, LEAST)
  there = weight * tf.cast(grams > 0, tf.float32)
  return {"ngram": types.Term(tf.reduce_sum(there * (1.0 - agreement)), tf.reduce_sum(there))}
