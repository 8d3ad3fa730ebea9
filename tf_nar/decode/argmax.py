"""The plainest search: the likeliest word of every place."""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import tokens as tokens_lib


def argmax(logits, lengths, *, forbid=()):
  """Says the likeliest word at every place.

  Args:
    logits: float [B, T, V]; log-probabilities give the same, being logits that are normalised already.
    lengths: int32 [B], how many places each sentence has; 0 is a blank row.
    forbid: ids that are never said. The probabilities of the others stay what they were.

  Returns:
    tokens: int32 [B, T], PAD past the length.
    score: float32 [B], Σ log p of what is said.
  """
  return predictions(*best(logits, forbid=forbid), lengths)


def predictions(token, log_prob, lengths):
  """Keeps of the best words and their log p, int32 and float32 [B, T], what is within `lengths`; see `argmax`."""
  inside = tf.sequence_mask(lengths, tf.shape(token)[1])  # [B, T]
  return tf.where(inside, token, types.PAD), tf.reduce_sum(tf.where(inside, log_prob, 0.0), -1)


def best(logits, *, forbid=()):
  """Returns the likeliest word of every place that is not in `forbid`, and its log p: int32, float32 [B, T]."""
  return tuple(x[..., 0] for x in tokens_lib.best(logits, 1, forbid))


def finish(tokens):
  """Ends every sentence at its first EOS, and gives one to a sentence that said none.

  # Differs: the original leaves a sentence without EOS open. A teacher that ranks would let it off the price of
  # its end, and so prefer broken-off sentences.

  Args:
    tokens: int32 [..., T], PAD past the length.

  Returns:
    int32 [..., T + 1]: words, EOS, then PAD; a blank row stays blank.
  """
  wider = tf.pad(tokens, [[0, 0]] * (tokens.shape.rank - 1) + [[0, 1]])
  ends = tf.cumsum(tf.cast(wider == types.EOS, tf.int32), -1, exclusive=True)  # How many before a place.
  length = tf.math.count_nonzero(wider != types.PAD, -1, keepdims=True, dtype=tf.int32)
  after = (tf.range(tf.shape(wider)[-1]) == length) & (length > 0)
  return tf.where(ends == 0, tf.where(after, types.EOS, wider), types.PAD)
