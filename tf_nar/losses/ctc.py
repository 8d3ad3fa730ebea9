"""The CTC loss fused with the output layer, so that the logits [B, P, V] never exist at once.

With z_t the logits at position t, ∅ the blank and g_t(w) = z_t(w) - z_t(∅) the gain of a token over the blank,

  -log p(y | x) = Σ_t -log p_t(∅)  -  log Σ over the paths of y of exp Σ_t g_t(a_t)

The first sum is the cross-entropy of a canvas of blanks, which is computed in chunks. The second needs only the T
tokens of the sentence, that is [P, T] numbers for P positions. tf.nn.ctc_loss computes the same from all logits
[B, P, V], many times as slowly on a CPU; and it gives a finite loss with a gradient for a sentence of probability 0.
"""
import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.losses import emissions
from tf_nar.ops import ctc


def gains(states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, tokens: tf.Tensor) -> tf.Tensor:
  """Returns g, float32 [B, P, T], for tokens int32 [B, T] and states float [B, P, D]."""
  over = tf.gather(table, tokens) - table[ctc.BLANK]  # [B, T, D]
  gain = tf.einsum("bpd,btd->bpt", tf.cast(states, tf.float32), over)
  return gain + (tf.gather(bias, tokens) - bias[ctc.BLANK])[:, None]


def lattice(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, tokens: tf.Tensor, count: tf.Tensor,
    positions: tf.Tensor) -> ctc.Lattice:
  """Returns the `ctc.Lattice` with the gain g as emission of each token and 0 as that of the blank."""
  of_words = gains(states, table, bias, tokens)
  return ctc.lattice(of_words, tf.zeros(tf.shape(of_words)[:2]), tokens, count, positions)


def tied_ctc(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, *, tokens: tf.Tensor, count: tf.Tensor, positions: tf.Tensor,
    weight: tf.Tensor) -> tf.Tensor:
  """Returns Σ_b -weight_b log p(y_b | x_b), float32 []; pairs of probability 0 add exactly 0, with no gradient.

  Args:
    states: float [B, P, D].
    table: float32 [V, D], the token embeddings.
    bias: float32 [V].
    tokens: int32 [B, T]; the first `count` contain no EOS.
    count: int32 [B], the number of tokens of each sentence, at most T.
    positions: int32 [B], the number of positions of each canvas, at most P.
    weight: float32 [B].
  """
  can = ctc.possible(tokens, count, positions)
  paths = lattice(states, table, bias, tokens, count, positions)
  # The logsumexp is computed from log p of the blank. Where p is below exp(-85), the value is too low, but the gradient
  # is correct.
  blanks = tf.fill(tf.shape(states)[:2], ctc.BLANK)
  weight = tf.where(can, weight, 0.0)
  empty = cross_entropy.tied_cross_entropy(
    states, table, bias, blanks, weight[:, None] * tf.cast(paths.inside, tf.float32))
  return empty - tf.reduce_sum(weight * tf.where(can, ctc.log_prob(paths), 0.0))


def log_prob(
    states: tf.Tensor, table: tf.Tensor, bias: tf.Tensor, *, tokens: tf.Tensor, count: tf.Tensor,
    positions: tf.Tensor) -> tf.Tensor:
  """Returns log p(y | x), float32 [B], -inf where y has probability 0; arguments as for `tied_ctc`; not differentiable.
  """
  labels = tf.pad(tokens, [[0, 0], [0, 1]], constant_values=ctc.BLANK)
  log_probs = emissions.exact_log_probs(states, table, bias, labels)  # [B, P, T + 1]
  found = ctc.log_prob(ctc.lattice(log_probs[..., :-1], log_probs[..., -1], tokens, count, positions))
  return tf.where(ctc.possible(tokens, count, positions), found, -float("inf"))
