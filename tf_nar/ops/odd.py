"""Optimal de-duplicated decoding, ODD (Sun and Yang, arXiv:2006.16378): the best sentence without repeated tokens.

  maximise Σ_i log p(y_i | x, T)   subject to y_i ≠ y_{i+1}

The length T is kept, while the usual removal of repeats shortens the sentence.
"""
import tensorflow as tf

from tf_nar import types

# The three best tokens at each position suffice: its neighbours exclude at most two of them, so that any other token
# can be replaced by one of the three without loss. Two do not suffice.
KEPT = 3


def among(
    token: tf.Tensor, log_prob: tf.Tensor, lengths: tf.Tensor, *, penalty: float = 1e9,
    free: tf.Tensor | None = None) -> tuple[tf.Tensor, tf.Tensor]:
  """Returns the best sentences in which neighbours differ.

  Args:
    token: int32 [B, T, 3], the `KEPT` best tokens at every position, best first.
    log_prob: float32 [B, T, 3], their log p.
    lengths: int32 [B], the number of positions of each sentence; later ones neither count nor constrain. 0 for a
      padding row.
    penalty: the cost of a pair of equal neighbours, in nats. The default forbids such pairs wherever V allows; a small
      penalty only discourages them.
    free: bool [B, T, 3], True for tokens that may be repeated; None: no token may be.

  Returns:
    tokens: int32 [B, T], PAD past the length.
    score: float32 [B], Σ log p of the predicted tokens, without penalties.

  Raises:
    ValueError: for a negative penalty, with which three tokens per position would not suffice.
  """
  if penalty < 0:
    raise ValueError(f"odd needs penalty >= 0, got {penalty}; 0 is argmax decoding.")
  token, log_prob = tf.transpose(token, [1, 0, 2]), tf.transpose(log_prob, [1, 0, 2])  # [T, B, 3]: time first.
  inside = tf.transpose(tf.sequence_mask(lengths, tf.shape(token)[0]))  # [T, B]
  repeat = token[:-1, :, :, None] == token[1:, :, None, :]  # [T-1, B, 3 from, 3 to]
  if free is not None:
    repeat &= ~tf.transpose(free, [1, 0, 2])[1:, :, None, :]
  cost = tf.where(repeat, float(penalty), 0.0)
  cost = tf.pad(cost, [[1, 0], [0, 0], [0, 0], [0, 0]])  # The first position has no cost.
  choice = _path(log_prob, cost, inside)[..., None]  # [T, B, 1]
  chosen = tf.gather(token, choice, batch_dims=2)[..., 0]  # [T, B]
  paid = tf.gather(log_prob, choice, batch_dims=2)[..., 0]
  return tf.transpose(tf.where(inside, chosen, types.PAD)), tf.reduce_sum(tf.where(inside, paid, 0.0), 0)


def _path(log_prob, cost, inside):
  """Returns which of the three tokens the best path has at each position (Viterbi), int32 [T, B].

  Both passes are prefix products, forward of matrices over the semiring (max, +), backward of maps from the three
  tokens to their predecessors. So each takes log T steps.
  """
  kept = tf.shape(log_prob)[2]
  stay = tf.where(tf.eye(kept, dtype=tf.bool), 0.0, -float("inf"))  # Past the length.
  step = tf.where(inside[..., None, None], log_prob[:, :, None] - cost, stay)  # [T, B, 3 from, 3 to]
  score = tf.reduce_max(_products(_best_of_sums, step), 2)  # [T, B, 3]: of the best path that ends in each token.
  before = tf.where(inside[1:, :, None], tf.argmax(score[:-1, ..., None] - cost[1:], 2, tf.int32), tf.range(kept))
  last = tf.argmax(score[-1], -1, tf.int32)  # [B]
  back = _products(lambda later, earlier: tf.gather(earlier, later, batch_dims=2), before[::-1])[::-1]  # [T-1, B, 3]
  choice = tf.gather(back, tf.broadcast_to(last[None, :, None], tf.shape(back[..., :1])), batch_dims=2)
  return tf.concat([choice[..., 0], last[None]], 0)


def _best_of_sums(a, b):
  """Returns the product of matrices [..., 3, 3] over the semiring (max, +)."""
  return tf.reduce_max(a[..., :, :, None] + b[..., None, :, :], -2)


def _products(times, x):
  """Returns the prefix products x_0, x_0 x_1, x_0 x_1 x_2, ...: [T, ...] -> [T, ...], by doubling their spans."""
  positions = tf.range(tf.shape(x)[0])

  def double(span, x):
    longer = times(tf.gather(x, tf.maximum(positions - span, 0)), x)
    begun = tf.reshape(positions < span, [-1] + [1] * (x.shape.rank - 1))
    return 2 * span, tf.where(begun, x, longer)

  return tf.while_loop(lambda span, _: span < tf.size(positions), double, (1, x))[1]
