"""The smallest model to train: predicts each token from the source token at its position, with dropout."""
import keras
import tensorflow as tf

from tf_nar import family
from tf_nar import types
from tf_nar.losses import cross_entropy
from tf_nar.ops import masking
from tf_nar.ops import noise as noise_lib


class Bigram(keras.Model):
  """Two terms, counted by token and by sentence. `traced` counts how often `objective` was called."""

  traits = family.Traits(lambda *_: family.Operations(0, 0))

  def __init__(self, tokens=45, width=4, rate=0.3):
    super().__init__(name="bigram")
    self.config = None
    keras.utils.set_random_seed(0)
    self.table = self.add_weight(name="table", shape=(tokens, width))
    self.speak = self.add_weight(name="speak", shape=(width, tokens))
    self.length = self.add_weight(name="length", shape=(), initializer="ones")
    self.rate, self.traced = rate, 0
    self.built = True

  def objective(self, batch, *, seed, training, step=0):
    self.traced += 1
    dropout = noise_lib.Dropout(seed if training else None)
    states = dropout.drop(tf.gather(tf.convert_to_tensor(self.table), batch.src), self.rate)
    logits = tf.einsum("btd,dv->btv", states, tf.convert_to_tensor(self.speak))
    weight = tf.cast(masking.valid(batch.tgt), tf.float32) * batch.weight[:, None]
    token = cross_entropy.cross_entropy(logits, batch.tgt, weight)
    lengths = tf.cast(masking.lengths(batch.tgt), tf.float32)
    length = tf.reduce_sum(batch.weight * (lengths - self.length) ** 2)
    return types.Loss({
      "token": types.Term(token, tf.reduce_sum(weight)),
      "length": types.Term(length, tf.reduce_sum(batch.weight), 0.1),
    })
