"""The loss of expected n-grams: how far all that a model may say is from the target, however its words are aligned.

  1 - F1      F1 = 2 Σ_g min(C_y(g), E[C(g)]) / (Σ_g C_y(g) + Σ_g E[C(g)])        g: n-grams, without EOS

CTC: Shao & Feng, "Non-Monotonic Latent Alignments for CTC-Based Non-Autoregressive Machine Translation", NeurIPS 2022.
Graphs: Ma et al., "Fuzzy Alignments in Directed Acyclic Graph for Non-Autoregressive Machine Translation", ICLR 2023.
Both fine-tune with bigrams what has learned the likelihood. E[C(g)]: `ops.ctc.expected`, `ops.dag.expected`.

# Differs: the two families have one loss, F1; Ma et al. have a score of their own of clipped matches.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import ngrams


def check(order):
  """Refuses an order that is not to be learned: 0 is for the likelihood."""
  if order and not 2 <= order <= 4:
    raise ValueError(f"model.ngrams is 0, for the likelihood, or from 2 to 4; got {order}.")


def terms(tgt, counts, said, words, weight, order):
  """Returns the term of a batch: `ngram`, 1 - F1, a mean over the sentences that have n-grams.

  Args:
    tgt: int32 [B, T].
    counts: float32 [B, T], how often the n-gram that begins at each target word is expected.
    said: float32 [B], how many n-grams are expected in all.
    words: int32 [B], target words without EOS.
    weight: float32 [B].
    order: n.
  """
  matches, grams = ngrams.matches(tgt, counts, words, order)
  score = tf.math.divide_no_nan(2.0 * matches, grams + said)
  there = weight * tf.cast(grams > 0, tf.float32)
  return {"ngram": types.Term(tf.reduce_sum(there * (1.0 - score)), tf.reduce_sum(there))}
