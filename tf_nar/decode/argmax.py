"""Argmax decoding: the most probable token at every position."""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import masking
from tf_nar.ops import tokens as tokens_lib


def argmax(logits, lengths, *, forbid=()):
  """Returns the most probable token at every position.

  Args:
    logits: float [B, T, V]; log-probabilities give the same result, as they are normalised logits.
    lengths: int32 [B], the number of positions of each sentence; 0 for a padding row.
    forbid: ids that are never predicted. The probabilities of the other tokens are not renormalised.

  Returns:
    tokens: int32 [B, T], PAD past the length.
    score: float32 [B], Σ log p of the predicted tokens.
  """
  return predictions(*best(logits, forbid=forbid), lengths)


def predictions(token, log_prob, lengths):
  """Cuts the best tokens and their log p, int32 and float32 [B, T], at `lengths`; returns what `argmax` does."""
  inside = tf.sequence_mask(lengths, tf.shape(token)[1])  # [B, T]
  return tf.where(inside, token, types.PAD), tf.reduce_sum(tf.where(inside, log_prob, 0.0), -1)


def best(logits, *, forbid=()):
  """Returns the best token not in `forbid` at every position, and its log p: int32 and float32 [B, T]."""
  return tuple(x[..., 0] for x in tokens_lib.best(logits, 1, forbid))


def collapsed(tokens, free=None):
  """Removes tokens that equal their left neighbour: int32 [..., T] -> int32 [..., T], PAD at the end.

  `free`, bool [..., T], is True for tokens that may be repeated; None: no token may be.
  """
  pad = [[0, 0]] * (tokens.shape.rank - 1) + [[1, 0]]
  kept = tokens != tf.pad(tokens, pad, constant_values=-1)[..., :-1]
  return masking.packed(tokens, kept if free is None else kept | free)


def finish(tokens):
  """Cuts every sentence after its first EOS, and appends EOS to a sentence without one.

  # Differs: the original appends no EOS. A rescoring teacher would then not count log p of EOS for such a sentence, and
  # so prefer unfinished sentences.

  Args:
    tokens: int32 [..., T], PAD past the length.

  Returns:
    int32 [..., T + 1]: tokens, EOS, then PAD; a padding row stays all PAD.
  """
  wider = tf.pad(tokens, [[0, 0]] * (tokens.shape.rank - 1) + [[0, 1]])
  ends = tf.cumsum(tf.cast(wider == types.EOS, tf.int32), -1, exclusive=True)  # Number of EOS before each position.
  length = tf.math.count_nonzero(wider != types.PAD, -1, keepdims=True, dtype=tf.int32)
  after = (tf.range(tf.shape(wider)[-1]) == length) & (length > 0)
  return tf.where(ends == 0, tf.where(after, types.EOS, wider), types.PAD)
