"""The plainest search: the likeliest word of every place."""
import tensorflow as tf

from tf_nar import types


def argmax(logits, lengths):
  """Says the likeliest word at every place.

  Args:
    logits: float [B, T, V]; log-probabilities give the same, being logits that are normalised already.
    lengths: int32 [B], how many places each sentence has; 0 is a blank row.

  Returns:
    tokens: int32 [B, T], PAD past the length.
    score: float32 [B], Σ log p of what is said.
  """
  logits = tf.cast(logits, tf.float32)
  inside = tf.sequence_mask(lengths, tf.shape(logits)[1])  # [B, T]
  tokens = tf.where(inside, tf.argmax(logits, -1, tf.int32), types.PAD)
  log_prob = tf.reduce_max(logits, -1) - tf.reduce_logsumexp(logits, -1)  # [B, T]
  return tokens, tf.reduce_sum(tf.where(inside, log_prob, 0.0), -1)


def finish(tokens):
  """Ends every sentence at its first EOS.

  Args:
    tokens: int32 [..., T].

  Returns:
    int32 [..., T]: PAD after the first EOS. A sentence without one stays as it is: what its last place says
    is a word like the others.
  """
  is_end = tf.cast(tokens == types.EOS, tf.int32)
  return tf.where(tf.cumsum(is_end, -1, exclusive=True) == 0, tokens, types.PAD)
