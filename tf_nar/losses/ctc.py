"""The loss of CTC fused with the output layer: logits of places x words never exist at once.

With z_t the logits of place t, ∅ the blank and g_t(w) = z_t(w) - z_t(∅) what a word gains over it,

  -log p(y | x) = Σ_t -log p_t(∅)  -  log Σ over the paths of y of exp Σ_t g_t(a_t)

The first sum is the cross-entropy of a canvas of blanks, which is swept in chunks. The second needs the T words of
the sentence alone, [P, T] numbers of P places. tf.nn.ctc_loss gives the same, of all logits [B, P, V] and many times
as slowly on a CPU; and an impossible sentence has a finite price there, and a gradient.
"""
import tensorflow as tf

from tf_nar.losses import cross_entropy
from tf_nar.losses import emissions
from tf_nar.ops import ctc


def gains(states, table, bias, tokens):
  """Returns g, float32 [B, P, T], for words int32 [B, T] and states float [B, P, D]."""
  over = tf.gather(table, tokens) - table[ctc.BLANK]  # [B, T, D]
  gain = tf.einsum("bpd,btd->bpt", tf.cast(states, tf.float32), over)
  return gain + (tf.gather(bias, tokens) - bias[ctc.BLANK])[:, None]


def lattice(states, table, bias, tokens, count, positions):
  """Returns the `ctc.Lattice` in which each word says its gain and the blank nothing."""
  of_words = gains(states, table, bias, tokens)
  return ctc.lattice(of_words, tf.zeros(tf.shape(of_words)[:2]), tokens, count, positions)


def tied_ctc(states, table, bias, *, tokens, count, positions, weight):
  """Returns Σ_b -weight_b log p(y_b | x_b), float32 []; impossible pairs give exactly 0, and no gradient.

  Args:
    states: float [B, P, D].
    table: float32 [V, D], the word embeddings.
    bias: float32 [V].
    words: int32 [B, T], without EOS as far as `count` goes.
    count: int32 [B], how many of the T words are real.
    places: int32 [B], how many of the P places are real.
    weight: float32 [B].
  """
  can = ctc.possible(tokens, count, positions)
  paths = lattice(states, table, bias, tokens, count, positions)
  # The logsumexp comes with log p of the blank. Where that is below exp(-85) the value is too low, the gradient is not.
  blanks = tf.fill(tf.shape(states)[:2], ctc.BLANK)
  weight = tf.where(can, weight, 0.0)
  empty = cross_entropy.tied_cross_entropy(
    states, table, bias, blanks, weight[:, None] * tf.cast(paths.inside, tf.float32))
  return empty - tf.reduce_sum(weight * tf.where(can, ctc.log_prob(paths), 0.0))


def log_prob(states, table, bias, *, tokens, count, positions):
  """Returns log p(y | x), float32 [B], -inf where y is impossible; args as of `tied_ctc`, not differentiable."""
  labels = tf.pad(tokens, [[0, 0], [0, 1]], constant_values=ctc.BLANK)
  said = emissions.exact_log_probs(states, table, bias, labels)  # [B, P, T + 1]
  found = ctc.log_prob(ctc.lattice(said[..., :-1], said[..., -1], tokens, count, positions))
  return tf.where(ctc.possible(tokens, count, positions), found, -float("inf"))
