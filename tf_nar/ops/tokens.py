"""Forbidden tokens, and the best tokens of a distribution."""
from collections.abc import Sequence

import tensorflow as tf

from tf_nar import types

RUN = 128  # Tokens per run in `largest`, about the square root of a typical vocabulary size.


def forbidden(unknown: bool = False) -> tuple[int, ...]:
  """Returns the ids that no translation contains: PAD and BOS, and UNK too unless `unknown`."""
  return (types.PAD, types.BOS) if unknown else (types.PAD, types.UNK, types.BOS)


def best(logits: tf.Tensor, count: int, forbid: Sequence[int] = ()) -> tuple[tf.Tensor, tf.Tensor]:
  """Finds the most probable tokens at every position, best first; ties go to the lower id.

  Args:
    logits: float [..., V].
    count: the number of tokens; V if that is smaller.
    forbid: ids to leave out. The probabilities of the other tokens are not renormalised.

  Returns:
    Tokens int32 [..., count] and log p float32 [..., count]; -inf for a forbidden token, if no others are left.
  """
  return best_of_shards([best_and_log_sum(logits, count, forbid)], count)


def best_of_shards(shards: list[tuple], count: int) -> tuple[tf.Tensor, tf.Tensor]:
  """Does what `best` does for a vocabulary in shards, given the results of `best_and_log_sum` for each shard, in order
  and with ids of the whole vocabulary.
  """
  token, logit, log_sum = zip(*shards, strict=True)
  if len(shards) == 1:
    return token[0], logit[0] - log_sum[0][..., None]
  token, logit = tf.concat(token, -1), tf.concat(logit, -1)
  logit, order = tf.math.top_k(logit, min(count, token.shape[-1]))
  log_prob = logit - tf.reduce_logsumexp(tf.stack(log_sum), 0)[..., None]
  return tf.gather(token, order, batch_dims=token.shape.rank - 1), log_prob


def best_and_log_sum(
    logits: tf.Tensor, count: int, forbid: Sequence[int] = ()) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
  """Returns the tokens that `best` finds, their logits, and the logsumexp of all V logits, float32 [...]."""
  logits = tf.cast(logits, tf.float32)
  positions, vocab = logits.shape.rank - 1, logits.shape[-1]
  top, token = largest(logits, min(count + len(forbid), vocab))
  # From the best token's probability: softmax is one kernel, while a logsumexp makes four passes over the vocabulary.
  share = tf.gather(tf.nn.softmax(logits), token[..., :1], batch_dims=positions)
  log_sum = (top[..., :1] - tf.math.log(share))[..., 0]
  for never in forbid:
    top = tf.where(token == never, -float("inf"), top)
  top, order = tf.math.top_k(top, min(count, vocab))
  return tf.gather(token, order, batch_dims=positions), top, log_sum


def likeliest(logits: tf.Tensor) -> tf.Tensor:
  """Returns the most probable token of logits [..., V], int32 [...]; ties go to the lower id."""
  return largest(tf.cast(logits, tf.float32), 1)[1][..., 0]


def largest(logits: tf.Tensor, count: int) -> tuple[tf.Tensor, tf.Tensor]:
  """tf.math.top_k, faster for large V: the best k tokens are in the k runs with the greatest maxima."""
  positions, vocab = logits.shape.rank - 1, logits.shape[-1]
  runs = vocab // RUN
  if runs <= count:
    return tf.math.top_k(logits, count)
  shape, rest = tf.shape(logits)[:-1], vocab % RUN
  whole = tf.reshape(logits[..., :runs * RUN] if rest else logits, tf.concat([shape, [runs, RUN]], 0))
  run = tf.sort(tf.math.top_k(tf.reduce_max(whole, -1), count)[1])  # Sorted, so that ties go to the first.
  seen = tf.reshape(tf.gather(whole, run, batch_dims=positions), tf.concat([shape, [count * RUN]], 0))
  if rest:  # It is a run too.
    seen = tf.concat([seen, logits[..., runs * RUN:]], -1)
    run = tf.concat([run, tf.fill(tf.concat([shape, [1]], 0), runs)], -1)
  top, at = tf.math.top_k(seen, count)
  return top, tf.gather(run, at // RUN, batch_dims=positions) * RUN + at % RUN
