"""One update: gradients of one or several micro-batches, and Adam."""
import tensorflow as tf

from tf_nar import types

NOISE = 1  # The stream of dropout and masks; the text's order has a seed of its own.

BATCH = types.Batch(
  tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.float32))


class Update:
  """Descends the loss over a list of micro-batches as over the one batch that they make up.

  Losses are sums over counts of tokens (or sentences), and the counts of all micro-batches are known
  before the first gradient, so unequal batches need no correction.
  """

  def __init__(self, model, adam, train):
    self._model, self._adam, self._train = model, adam, train
    self._variables = [v.value for v in model.trainable_variables]
    several = train.optimizer.accumulate > 1
    self._sums = [tf.Variable(tf.zeros_like(v), trainable=False) for v in self._variables] if several else []
    # One program for all lengths; with XLA one for each.
    compiled = lambda fn, *more: tf.function(
      fn, jit_compile=train.jit, input_signature=None if train.jit else (BATCH, tf.TensorSpec([], tf.int64), *more))
    counts = tf.TensorSpec([None], tf.float32)
    self._whole = compiled(self._descend)
    self._count = compiled(lambda batch, draw: self._terms(batch, draw)[1])
    self._gather = compiled(self._add, counts)
    self._finish = tf.function(self._apply_sums)

  def __call__(self, batches, step):
    """Returns {name: float32 []}: loss, each term, gradient norm and learning rate; does not wait for them."""
    if len(batches) == 1:
      return self._whole(batches[0], tf.constant(step, tf.int64))
    draws = [tf.constant(step * len(batches) + i, tf.int64) for i in range(len(batches))]
    counts = tf.add_n([self._count(batch, draw) for batch, draw in zip(batches, draws, strict=True)])
    parts = [self._gather(batch, draw, counts) for batch, draw in zip(batches, draws, strict=True)]
    summed = {name: tf.add_n([part[name] for part in parts]) for name in parts[0]}
    return summed | self._finish()

  def _terms(self, batch, draw):
    seed = tf.random.fold_in([self._train.seed, NOISE], tf.cast(draw, tf.int32), alg="philox")
    step = draw // self._train.optimizer.accumulate
    terms = self._model.objective(batch, seed=seed, training=True, step=step)
    return terms, tf.stack([term.count for term in terms.values()])

  def _gradients(self, batch, draw, counts=None):
    with tf.GradientTape() as tape:
      terms, own = self._terms(batch, draw)
      counts = tf.unstack(own if counts is None else counts, num=len(terms))
      terms = {name: term._replace(count=n) for (name, term), n in zip(terms.items(), counts, strict=True)}
      loss = types.loss(terms)
    gradients = [tf.convert_to_tensor(g) for g in tape.gradient(loss, self._variables)]
    said = {name: tf.math.divide_no_nan(term.total, term.count) for name, term in terms.items()}
    return gradients, {"loss": loss} | said

  def _descend(self, batch, draw):
    gradients, said = self._gradients(batch, draw)
    norm, rate = self._adam.apply(gradients)
    return said | {"gradient_norm": norm, "learning_rate": rate}

  def _add(self, batch, draw, counts):
    gradients, said = self._gradients(batch, draw, counts)
    for total, gradient in zip(self._sums, gradients, strict=True):
      total.assign_add(gradient)
    return said

  def _apply_sums(self):
    norm, rate = self._adam.apply([total.value() for total in self._sums])
    for total in self._sums:
      total.assign(tf.zeros_like(total))
    return {"gradient_norm": norm, "learning_rate": rate}
