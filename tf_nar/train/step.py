"""One update: gradients of one or several micro-batches, on one or several replicas, and Adam.

Each replica takes its share of the rows of every micro-batch. Sums over replicas are taken in this order: counts,
before the loss is divided by them; then gradients; and only then is the gradient clipped. So k replicas minimise the
same loss as one, and each updates its own copy of the weights by the same numbers. Statistics are sums too: a family
with `absorb` gets those of the whole update, after the gradient step; nothing else changes state without a gradient.
"""
import tensorflow as tf

from tf_nar import types

NOISE = 1  # Random stream of dropout and masking; the order of the text is seeded separately.

BATCH = types.Batch(
  tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None, None], tf.int32), tf.TensorSpec([None], tf.float32))
SPECS = {types.Batch: BATCH, types.Aligned: types.Aligned(*BATCH, tf.TensorSpec([None, None], tf.int32))}


class Update:
  """An update on a list of micro-batches, equal to one on a single batch with all their rows.

  Losses are sums divided by counts of tokens (or sentences), and the counts of all micro-batches are computed before
  the first gradient, so that micro-batches of different sizes need no correction. To be made in the scope of the
  strategy of the model's weights.

  Raises:
    ValueError: for `train.jit` under a distribution strategy.
  """

  def __init__(self, model, adam, train, ema=None):
    self._model, self._adam, self._train, self._ema = model, adam, train, ema
    self._strategy = tf.distribute.get_strategy()
    if train.jit and tf.distribute.has_strategy():
      raise ValueError(
        "train.jit compiles the step of a single device, but there is a distribution strategy; set train.jit=False. "
        "A TPU compiles its step anyway.")
    self._paths = [v.path for v in model.trainable_variables]
    self._variables = [v.value for v in model.trainable_variables]
    self._absorbs = "absorb" in model.traits.offers
    several = train.optimizer.accumulate > 1
    self._sums = [_local(v) for v in self._variables] if several else []
    counts = tf.TensorSpec([None], tf.float32)
    self._whole = self._everywhere(self._descend)
    self._count = self._everywhere(lambda batch, draw: _sum_over_replicas(self._terms(batch, draw)[1]))
    self._gather = self._everywhere(self._add, counts)
    self._finish = tf.function(
      lambda loss, statistics: self._strategy.run(self._apply_sums, (loss, statistics)), autograph=False)

  def __call__(self, batches, step):
    """Returns {name: float32 []}: loss, each term, gradient norm and learning rate; does not wait for them."""
    if len(batches) == 1:
      return self._first(self._whole(batches[0], tf.constant(step, tf.int64)))
    draws = [tf.constant(step * len(batches) + i, tf.int64) for i in range(len(batches))]
    counts = [self._first(self._count(batch, draw)) for batch, draw in zip(batches, draws, strict=True)]
    counts = tf.add_n(counts)
    parts = [self._first(self._gather(batch, draw, counts)) for batch, draw in zip(batches, draws, strict=True)]
    summed, statistics = tf.nest.map_structure(lambda *values: tf.add_n(values), *parts)
    return summed | self._first(self._finish(summed["loss"], statistics))

  def graphs(self, batch: types.Batch | types.Aligned) -> dict[str, tuple]:
    """Returns {name: (tf.function, its arguments)} of all graphs that an update runs.

    Args:
      batch: a `Batch` of `tf.TensorSpec`; the arguments are `tf.TensorSpec` too.
    """
    draw = tf.TensorSpec([], tf.int64)
    if not self._sums:
      return {"update": (self._whole, (batch, draw))}
    counts = tf.TensorSpec(self._count.get_concrete_function(batch, draw).output_shapes, tf.float32)
    statistics = self._gather.get_concrete_function(batch, draw, counts).structured_outputs[1]
    statistics = tf.nest.map_structure(lambda one: tf.TensorSpec(one.shape, one.dtype), statistics)
    return {
      "count": (self._count, (batch, draw)), "gather": (self._gather, (batch, draw, counts)),
      "finish": (self._finish, (tf.TensorSpec([], tf.float32), statistics))}

  def _everywhere(self, fn, *more):
    """Returns `fn` as a graph that runs on every replica: one for all shapes, or one for each if XLA compiles it."""
    static = self._train.jit or isinstance(self._strategy, tf.distribute.TPUStrategy)
    batch = SPECS[self._model.traits.batch(self._model.config)]
    signature = None if static else (batch, tf.TensorSpec([], tf.int64), *more)
    return tf.function(
      lambda *args: self._strategy.run(fn, args), jit_compile=self._train.jit or None, input_signature=signature,
      autograph=False)

  def _first(self, values):
    """Returns the values of the first replica of this machine; after a sum all replicas have the same."""
    return tf.nest.map_structure(lambda value: self._strategy.experimental_local_results(value)[0], values)

  def _share(self, batch, draw):
    """Returns this replica's rows and draw index; k replicas have the indices of k consecutive micro-batches."""
    count, replica = self._strategy.num_replicas_in_sync, tf.distribute.get_replica_context().replica_id_in_sync_group
    return share(batch, count, replica), draw * count + tf.cast(replica, tf.int64)

  def _terms(self, batch, draw):
    batch, draw = self._share(batch, draw)
    seed = tf.random.fold_in([self._train.seed, NOISE], tf.cast(draw, tf.int32), alg="philox")
    step = draw // (self._train.optimizer.accumulate * self._strategy.num_replicas_in_sync)
    loss = self._model.objective(batch, seed=seed, training=True, step=step)
    return loss, tf.stack([term.count for term in loss.terms.values()])

  def _gradients(self, batch, draw, counts=None):
    """Returns this replica's part of the gradients, of the logged values, and of the statistics."""
    with tf.GradientTape() as tape:
      made, own = self._terms(batch, draw)
      with tape.stop_recording():
        counts = _sum_over_replicas(own) if counts is None else counts
      counts = tf.unstack(counts, num=len(made.terms))
      terms = {name: term._replace(count=n) for (name, term), n in zip(made.terms.items(), counts, strict=True)}
      loss = types.loss(terms)
    gradients = tape.gradient(loss, self._variables)
    if missing := [path for path, gradient in zip(self._paths, gradients, strict=True) if gradient is None]:
      raise ValueError(f"The objective does not depend on {missing[0]} ({len(missing)} trainable variables have no "
                       "gradient); make it trainable=False, or use it.")
    means = {name: tf.math.divide_no_nan(term.total, term.count) for name, term in terms.items()}
    return [tf.convert_to_tensor(each) for each in gradients], {"loss": loss} | means, made.statistics

  def _descend(self, batch, draw):
    gradients, means, statistics = _sum_over_replicas(self._gradients(batch, draw))
    return means | self._move(gradients, means["loss"], statistics)

  def _move(self, gradients, loss, statistics):
    """Makes the step; none that is not finite, if such are skipped. Returns the last of the logged values."""
    if self._train.nonfinite == "skip":
      norm = tf.linalg.global_norm(gradients)
      step = lambda: self._step(gradients, statistics)
      norm, rate = tf.cond(tf.math.is_finite(loss + norm), step, lambda: (norm, self._adam.rate()))
    else:
      norm, rate = self._step(gradients, statistics)
    return {"gradient_norm": norm, "learning_rate": rate}

  def _step(self, gradients, statistics):
    norm, rate = self._adam.apply(gradients)
    if self._absorbs:
      self._model.absorb(statistics)
    if self._ema:
      self._ema.update(self._adam.step)
    return norm, rate

  def _add(self, batch, draw, counts):
    gradients, means, statistics = self._gradients(batch, draw, counts)
    for total, gradient in zip(self._sums, gradients, strict=True):
      total.assign_add(gradient)
    return _sum_over_replicas((means, statistics))

  def _apply_sums(self, loss, statistics):
    means = self._move(_sum_over_replicas([tf.convert_to_tensor(total) for total in self._sums]), loss, statistics)
    for total in self._sums:
      total.assign(tf.zeros_like(total))
    return means


def share(batch: types.Batch | types.Aligned, count: int, replica: tf.Tensor | int) -> types.Batch | types.Aligned:
  """Returns the rows of replica number `replica` of `count`; padding rows make the shares equal."""
  if count == 1:
    return batch
  total = _rows(batch)
  rows = -(-total // count)

  def part(x):
    others = x.shape.rank - 1
    x = tf.pad(x, [[0, rows * count - total]] + [[0, 0]] * others)
    return tf.slice(x, [replica * rows] + [0] * others, [rows] + [-1] * others)

  return type(batch)(*map(part, batch))


def _rows(batch):
  """Returns the number of rows, as a Python number if it is known, so that shapes are static on a TPU."""
  return batch.weight.shape[0] if batch.weight.shape[0] is not None else tf.shape(batch.weight)[0]


def _sum_over_replicas(values):
  """Sums a structure of tensors over all replicas, each of which gets the result."""
  if tf.distribute.get_strategy().num_replicas_in_sync == 1:
    return values
  flat = tf.distribute.get_replica_context().all_reduce("SUM", tf.nest.flatten(values))
  return tf.nest.pack_sequence_as(values, flat)


def _local(variable):
  """Returns a variable of zeros of the shape of `variable`, with a separate copy on each replica."""
  return tf.Variable(
    tf.zeros(variable.shape), trainable=False, synchronization=tf.VariableSynchronization.ON_READ,
    aggregation=tf.VariableAggregation.NONE)
