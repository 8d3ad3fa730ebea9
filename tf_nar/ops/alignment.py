"""The source tokens that a target token comes from: float32 [B, T, S], rows of sum 1, or 0 where there are none."""
import tensorflow as tf

from tf_nar import types
from tf_nar.ops import masking


def attended(weights: list[tf.Tensor], src: tf.Tensor, tgt: tf.Tensor, first: int | tf.Tensor = 0) -> tf.Tensor:
  """Returns the mean cross-attention of target tokens to source tokens, EOS of either left out.

  Args:
    weights: list of float [B, H, P, S], for each block and shard; or [B, H, P, S + 1], with a slot before the source.
    src: int32 [B, S].
    tgt: int32 [B, T].
    first: the first of the T among the P positions of the decoder that stand for the target.
  """
  mean = tf.add_n([tf.reduce_mean(tf.cast(each, tf.float32), 1) for each in weights])  # [B, P, S]
  mean = mean[:, first:first + tf.shape(tgt)[1], tf.shape(mean)[2] - tf.shape(src)[1]:]
  return _shares(tf.where(_words(src)[:, None] & _words(tgt)[..., None], mean, 0.0))


def upsampled(emitted: tf.Tensor, tgt: tf.Tensor, factor: int, sources: int | tf.Tensor) -> tf.Tensor:
  """Returns the source tokens of upsampled positions: position p is of source token p // factor.

  Args:
    emitted: float32 [B, T, P], 1 at the positions of the canvas that emit each target token, 0 elsewhere.
    tgt: int32 [B, T].
    factor: positions of the canvas per source token.
    sources: S; P is `factor` times it.
  """
  shape = tf.shape(emitted)
  by_source = tf.reduce_sum(tf.reshape(emitted, [shape[0], shape[1], sources, factor]), -1)
  return _shares(tf.where(_words(tgt)[..., None], by_source, 0.0))


def copied(which: tf.Tensor, tgt: tf.Tensor, sources: int | tf.Tensor) -> tf.Tensor:
  """Returns the alignment of target tokens, each with one source token, whose index is in `which`, int32 [B, T]."""
  return tf.where(_words(tgt)[..., None], tf.one_hot(which, sources), 0.0)


def _words(tokens):
  return masking.valid(tokens) & (tokens != types.EOS)


def _shares(weights):
  return tf.math.divide_no_nan(weights, tf.reduce_sum(weights, -1, keepdims=True))
