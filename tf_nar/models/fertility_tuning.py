"""Fine-tuning of `nat_fertility` by a frozen autoregressive teacher, which judges what the model predicts itself.

Gu, Bradbury, Xiong, Li & Socher (ICLR 2018), "Fine-Tuning". With p_t the model's distributions for fertilities f and ŷ
their argmax, the teacher's loss is

  L(f) = -Σ_t Σ_v p_t(v) log AR(v | ŷ_<t, x)

  in the paper or its program               here
  (1 - λ) of the loss of the text           `Tuning.share`, λ
  λ L(f) of the aligner's fertilities       term `teacher`, with a gradient; `losses/soft_cross_entropy.py`
  REINFORCE: f drawn from p(f | x) has the  term `policy`, `Tuning.policy`
    reward L(mean f) - L(f), centred

# Differs: L is a mean over tokens in the reward, and the policy's term a mean over the target tokens of the update, as
the loss of the fertilities; rewards are centred over the sentences of a replica. As in the program, L is called a
reverse KL but lacks the entropy of p.
"""
import dataclasses
from typing import Any

import tensorflow as tf

from tf_nar import config as core_config
from tf_nar import family
from tf_nar import types
from tf_nar.layers import encoder_decoder
from tf_nar.losses import soft_cross_entropy
from tf_nar.models import ar
from tf_nar.ops import fertility as fertility_lib
from tf_nar.ops import masking
from tf_nar.ops import noise
from tf_nar.ops import operations as operations_lib

_DRAW = 0  # Number of the random stream of fertilities; dropout uses those from 1.


@dataclasses.dataclass(frozen=True)
class Tuning:
  share: float = 0.0  # Weight of the teacher's loss; that of the text has the rest. 0: no teacher.
  policy: float = 0.1  # Weight of the reinforcement of fertilities.
  teacher: ar.Config = ar.Config()  # Its sizes; its weights are those of a finished run.

  def __post_init__(self):
    if not 0 <= self.share < 1:
      raise ValueError(f"model.tuning.share is from 0 to below 1; got {self.share}.")
    core_config.check_at_least(0, self, "policy", group="model.tuning.")


def operations(net: Any, tuning: Tuning, source: int, target: int) -> family.Operations:
  """Returns what the two terms cost, for one sentence pair."""
  if not tuning.share:
    return family.Operations(0, 0)
  teacher, drawn = tuning.teacher.net, min(net.max_length, 2 * source)
  glanced = 2 * operations_lib.encoder(teacher, source)
  for positions, times in ((target, 1), (drawn, 2)):
    glanced += times * operations_lib.decoder(teacher, teacher.decoder_layers, positions, source)
  glanced += 2 * operations_lib.decoder(net, net.decoder_layers, drawn, source)
  glanced += operations_lib.output(teacher, target + 2 * drawn) + operations_lib.output(net, target + 4 * drawn)
  return family.Operations(operations_lib.output(net, target), target, glanced, 2 * target + 6 * drawn)


def terms(model: Any, batch: types.Aligned, memory: encoder_decoder.Memory, states: tf.Tensor,
          seed: tf.Tensor) -> dict[str, types.Term]:
  """Returns the terms `teacher` and `policy`.

  Args:
    model: a `nat_fertility.Model` with a `teacher`.
    batch: the batch.
    memory: its encoded sources.
    states: float [B, T, D], decoder states for the aligner's fertilities.
    seed: int32 [2], of the update.
  """
  tuning, lengths = model.config.tuning, masking.lengths(batch.tgt)
  count = tf.reduce_sum(tf.cast(lengths, tf.float32) * batch.weight)
  total = tf.reduce_sum(judged(model, batch.src, states, lengths) * batch.weight[:, None])
  log_prob = model.log_fertility(memory, batch.src)
  drawn = fertility_lib.drawn(log_prob, noise.uniform(tf.shape(batch.src), noise.stream(seed, _DRAW))[..., None])
  reward = _reward(model, batch.src, memory, fertility_lib.mean(log_prob)[:, None], drawn)
  reward -= tf.math.divide_no_nan(tf.reduce_sum(reward * batch.weight), tf.reduce_sum(batch.weight))
  policy = -tf.reduce_sum(tf.stop_gradient(reward) * fertility_lib.of(log_prob, drawn)[:, 0] * batch.weight)
  return {"teacher": types.Term(total, count, tuning.share), "policy": types.Term(policy, count, tuning.policy)}


def judged(model: Any, src: tf.Tensor, states: tf.Tensor, lengths: tf.Tensor) -> tf.Tensor:
  """Returns the teacher's loss of each position, float32 [R, T], 0 past the length.

  Args:
    model: a `nat_fertility.Model` with a `teacher`.
    src: int32 [B, S].
    states: float [R, T, D], of R / B consecutive rows for each source.
    lengths: int32 [R].
  """
  inside = tf.sequence_mask(lengths, tf.shape(states)[1])
  predicted = tf.where(inside, model.net.likeliest(states), types.PAD)
  own, other = model.net.embed, model.teacher.embed
  found = soft_cross_entropy.soft_cross_entropy(
    (states, own.table, own.bias), (model.teacher.states(src, predicted), other.table, other.bias))
  return tf.where(inside, found, 0.0)


def _reward(model, src, memory, mean, drawn):
  """Returns the loss per token after the mean fertilities less that after drawn ones, both int32 [B, 1, S]: [B]."""
  longest = model.config.net.max_length
  # Bounds of each source alone, so that the target and other sentences do not matter.
  most = tf.minimum(2 * masking.lengths(src), longest)[:, None, None]
  both = fertility_lib.bounded(tf.concat([mean, drawn], 1), src, most)
  both = tf.reshape(both, [-1, tf.shape(src)[1]])  # [2·B, S]
  lengths, positions = tf.reduce_sum(both, -1), tf.minimum(2 * tf.shape(src)[1], longest)
  states = model.net.decode(model.canvas(tf.repeat(src, 2, axis=0), lengths, positions, both), lengths, memory)
  each = tf.reduce_sum(judged(model, src, states, lengths), -1) / tf.maximum(tf.cast(lengths, tf.float32), 1.0)
  by_mean, by_draw = tf.unstack(tf.reshape(each, [-1, 2]), axis=1)
  return by_mean - by_draw
