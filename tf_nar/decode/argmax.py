"""Argmax decoding: the most probable token at every position."""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import masking


def predictions(token: tf.Tensor, log_prob: tf.Tensor, lengths: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
  """Cuts the best tokens at the lengths of their sentences, and sums their log p.

  Args:
    token: int32 [B, T], the most probable token at every position.
    log_prob: float32 [B, T], its log p.
    lengths: int32 [B], the number of positions of each sentence; 0 for a padding row.

  Returns:
    tokens: int32 [B, T], PAD past the length.
    score: float32 [B], Σ log p of the predicted tokens.
  """
  inside = tf.sequence_mask(lengths, tf.shape(token)[1])  # [B, T]
  return tf.where(inside, token, types.PAD), tf.reduce_sum(tf.where(inside, log_prob, 0.0), -1)


def collapsed(tokens: tf.Tensor, free: tf.Tensor | None = None) -> tf.Tensor:
  """Removes tokens that equal their left neighbour: int32 [..., T] -> int32 [..., T], PAD at the end.

  `free`, bool [..., T], is True for tokens that may be repeated; None: no token may be.
  """
  pad = [[0, 0]] * (tokens.shape.rank - 1) + [[1, 0]]
  kept = tokens != tf.pad(tokens, pad, constant_values=-1)[..., :-1]
  return masking.packed(tokens, kept if free is None else kept | free)


def finish(tokens: tf.Tensor) -> tf.Tensor:
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
