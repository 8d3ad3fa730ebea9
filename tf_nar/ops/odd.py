"""Optimal de-duplicated decoding (Sun and Yang, arXiv:2006.16378): the best sentence without stutter.

  maximise Σ_i log p(y_i | x, T)   subject to y_i ≠ y_{i+1}

The length T is kept, unlike in the usual collapsing of repeats, which shortens the sentence.
"""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import words

# Three words a place are enough: its neighbours exclude at most two of them, so any other word can be
# replaced by one of the three without loss. Two are not enough.
_KEPT = 3


def odd(logits, lengths, *, penalty=1e9, forbid=()):
  """Says the best word at every place under the rule that neighbours differ.

  Args:
    logits: float [B, T, V]; log-probabilities give the same, being logits that are normalised already.
    lengths: int32 [B], how many places each sentence has; later ones neither count nor constrain. 0 is a
      blank row.
    penalty: what a pair of equal neighbours costs, in nats. The default forbids it wherever V allows, a small
      one only discourages.
    forbid: ids that are never said. The probabilities of the others stay what they were.

  Returns:
    tokens: int32 [B, T], PAD past the length.
    score: float32 [B], Σ log p of what is said, penalties not counted.

  Raises:
    ValueError: for a negative penalty, under which three words a place would not be enough.
  """
  if penalty < 0:
    raise ValueError(f"odd needs penalty >= 0, got {penalty}; 0 is plain argmax.")
  log_prob, word = _best(tf.cast(logits, tf.float32), forbid)  # [T, B, 3] each
  inside = tf.transpose(tf.sequence_mask(lengths, tf.shape(word)[0]))  # [T, B]
  repeat = word[:-1, :, :, None] == word[1:, :, None, :]  # [T-1, B, 3 from, 3 to]
  cost = tf.where(repeat, float(penalty), 0.0)
  cost = tf.pad(cost, [[1, 0], [0, 0], [0, 0], [0, 0]])  # Nothing is before the first.
  choice = _path(log_prob, cost, inside)[..., None]  # [T, B, 1]
  said = tf.gather(word, choice, batch_dims=2)[..., 0]  # [T, B]
  paid = tf.gather(log_prob, choice, batch_dims=2)[..., 0]
  return tf.transpose(tf.where(inside, said, types.PAD)), tf.reduce_sum(tf.where(inside, paid, 0.0), 0)


def _best(logits, forbid):
  """The log p and the ids of the best words of each place, time first: [T, B, 3]."""
  whole = tf.reduce_logsumexp(logits, -1, keepdims=True)  # Before `forbid`, which must not change p.
  vocab = logits.shape[-1]
  top, word = tf.math.top_k(words.without(logits, forbid), min(_KEPT, vocab))
  return tf.transpose(top - whole, [1, 0, 2]), tf.transpose(word, [1, 0, 2])


def _path(log_prob, cost, inside):
  """The index, int32 [T, B], of the word that the best path takes at each place (Viterbi)."""
  _, batch, kept = tf.unstack(tf.shape(log_prob))
  stay = tf.tile(tf.range(kept)[None], [batch, 1])  # [B, 3]

  def extend(before, place):
    log_prob, cost, inside = place
    reach = before[0][:, :, None] - cost  # [B, 3 from, 3 to]
    score = tf.where(inside[:, None], log_prob + tf.reduce_max(reach, 1), before[0])
    return score, tf.where(inside[:, None], tf.argmax(reach, 1, tf.int32), stay)

  start = (tf.zeros_like(log_prob[0]), stay)
  scores, origin = tf.scan(extend, (log_prob, cost, inside), start)  # [T, B, 3] each
  last = tf.argmax(scores[-1], -1, tf.int32)  # [B]
  back = lambda choice, origin: tf.gather(origin, choice, batch_dims=1)
  before = tf.scan(back, origin, last, reverse=True)  # [T, B]; at i what place i-1 takes
  return tf.concat([before[1:], last[None]], 0)
