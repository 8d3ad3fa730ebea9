"""How fast a training goes, and how fast it could: the real update, and in turns with it what bounds it.

A round measures all of these one after the other, so that a machine that is busy for a while is so for all of them.
Rates of rounds are compared, and least, median and greatest told; the mean of all would hide a bad round.
"""
import os
import resource
import statistics
import sys
import time
from typing import NamedTuple

import tensorflow as tf

from tf_nar import types
from tf_nar.losses import cross_entropy
from tf_nar.train import ema
from tf_nar.train import flops
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

LEAST = 0.25  # Seconds that something short is repeated for.


class Turn(NamedTuple):
  """Some updates in a row."""

  seconds: float
  waited: float  # Seconds of them in which the next batch was not there.
  batches: list  # Of `types.Batch`.

  @property
  def stepped(self):
    """Seconds without the wait for batches."""
    return self.seconds - self.waited

  @property
  def tokens(self):
    """Target tokens, EOS counted."""
    return sum(int(tf.math.count_nonzero(batch.tgt)) for batch in self.batches)

  @property
  def positions(self):
    return sum(batch.tgt.shape.num_elements() for batch in self.batches)


class Training:
  """The update of `bin/train.py`, on an endless iterable of `types.Batch`."""

  def __init__(self, model, train, batches):
    adam = optimizer.Adam.of(train.optimizer, model)
    averages = ema.Ema(train.ema, model.trainable_variables) if train.ema else None
    self._update, self.traits = step_lib.Update(model, adam, train, averages), model.traits
    self._batches, self._accumulate, self._done = iter(batches), train.optimizer.accumulate, 0

  def turn(self, updates):
    """Makes some updates and returns the `Turn`."""
    waited, drawn, began = 0.0, [], time.perf_counter()
    for _ in range(updates):
      start = time.perf_counter()
      batches = [next(self._batches) for _ in range(self._accumulate)]
      waited += time.perf_counter() - start
      self._update(batches, self._done)
      self._done += 1
      drawn += batches
    tf.test.experimental.sync_devices()
    return Turn(time.perf_counter() - began, waited, drawn)

  def warm_up(self, updates):
    """Goes on until so many updates in a row brought no new shape; XLA compiles for each. Returns the last `Turn`."""
    seen, quiet = set(), 0
    while quiet < updates:
      turn = self.turn(1)
      shapes = {tuple(batch.tgt.shape) for batch in turn.batches}
      quiet = quiet + 1 if shapes <= seen else 0
      seen |= shapes
    return turn


def made_up(rows, length, words, kind=types.Batch):
  """Yields one batch for ever: random pairs without padding, int32 [rows, length]; every fertility is 1."""
  draw = lambda n: tf.random.stateless_uniform(
    [rows, length - 1], [n, 0], len(types.SPECIALS), words, tf.int32, alg="philox")
  whole = lambda n: tf.pad(draw(n), [[0, 0], [0, 1]], constant_values=types.EOS)
  batch = types.Batch(whole(0), whole(1), tf.ones([rows]))
  if kind is types.Aligned:
    batch = types.Aligned(*batch, tf.ones([rows, length], tf.int32))
  while True:
    yield batch


def seconds(fn):
  """Returns the seconds that a call takes, over calls that fill `LEAST` seconds."""
  calls, began = 0, time.perf_counter()
  while (took := time.perf_counter() - began) < LEAST or not calls:
    fn()
    tf.test.experimental.sync_devices()
    calls += 1
  return took / calls


def product(rows, inner, columns, dtype):
  """Returns (the function that multiplies two random matrices, its operations)."""
  draw = lambda n, shape: tf.cast(tf.random.stateless_normal(shape, [n, 0], alg="philox"), dtype)
  left, right = draw(0, [rows, inner]), draw(1, [inner, columns])
  multiply = tf.function(tf.matmul)
  multiply(left, right)
  return lambda: multiply(left, right), 2 * rows * inner * columns


def ceilings(net, positions):
  """Returns {name: what `product` gives}: the largest products of an update, in both types.

  The output layer's is of as many places as the fused cross-entropy takes at a time.
  """
  shapes = {
    "ffn": (positions, net.width, net.ffn), "output": (min(positions, cross_entropy.ROWS), net.width, net.vocab)}
  return {f"{dtype} {name} {' x '.join(map(str, shape))}": product(*shape, dtype)
          for dtype in ("bfloat16", "float32") for name, shape in shapes.items()}


def output_softmax(net, smoothing, positions):
  """Returns a function: the output layer, its softmax and the loss of `places` places, and all gradients."""
  normal = lambda n, shape: tf.random.stateless_normal(shape, [n, 0], stddev=0.1, alg="philox")
  states = tf.cast(normal(0, [positions, net.width]), "float32" if net.dtype == "float32" else "bfloat16")
  given = states, normal(1, [net.vocab, net.width]), tf.zeros([net.vocab])
  labels = tf.random.stateless_uniform([positions], [2, 0], 0, net.vocab, tf.int32, alg="philox")

  @tf.function
  def gradients(*given):
    with tf.GradientTape() as tape:
      tape.watch(given)
      loss = cross_entropy.tied_cross_entropy(*given, labels, tf.ones([positions]), smoothing)
    return tape.gradient(loss, given)

  gradients(*given)
  return lambda: gradients(*given)


class Bench:
  """Measures rounds of a warm `Training`."""

  def __init__(self, training, experiment, positions, *, baseline=None, decode=None):
    """Takes what to measure.

    Args:
      training: a `Training`.
      experiment: what it trains, `net.vocab` filled in.
      places: output places of a typical batch, as many as the output softmax is timed with.
      baseline: a `baseline.Process`, or None.
      decode: gives the text of a list of ids, to count words; None: they are not counted.
    """
    self._training, self._experiment, self._baseline, self._decode = training, experiment, baseline, decode
    net = experiment.model.net
    self._ceilings, self._places = ceilings(net, positions), positions
    self._traits = training.traits
    smoothing = experiment.model.smoothing if self._traits.smoothed else 0.0
    self._softmax = output_softmax(net, smoothing, positions)
    self._dtype = "float32" if net.dtype == "float32" else "bfloat16"

  def round(self, updates):
    """Returns {what: number} of `updates` updates and of all that they are compared with."""
    turn = self._training.turn(updates)
    found = {
      "target tokens/s": turn.tokens / turn.seconds,
      "updates/s": updates / turn.seconds,
      "padding": 1 - turn.tokens / turn.positions,
      "share of input": turn.waited / turn.seconds,
      "share of step": turn.stepped / turn.seconds,
    }
    if self._decode:
      texts = [self._decode(ids) for batch in turn.batches for ids in batch.tgt.numpy().tolist()]
      found["target words/s"] = sum(len(text.split()) for text in texts) / turn.seconds
    found["share of output softmax"] = seconds(self._softmax) * self._read(turn) / self._places / turn.seconds
    rates = {name: operations / seconds(fn) for name, (fn, operations) in self._ceilings.items()}
    found |= {f"GFLOP/s, {name}": rate / 1e9 for name, rate in rates.items()}
    rate = self._operations(turn) / turn.seconds
    ceiling = max(rate for name, rate in rates.items() if name.startswith(self._dtype))
    found |= {"GFLOP/s, model": rate / 1e9, "model flop utilisation": rate / ceiling}
    if self._baseline:
      theirs = self._baseline.turn(turn.batches)
      found |= {"baseline tokens/s": turn.tokens / theirs, "times the baseline's speed": theirs / turn.stepped}
    return found

  def _operations(self, turn):
    model = self._experiment.model
    return sum(flops.update(self._traits, model, *batch.src.shape, batch.tgt.shape[1]) for batch in turn.batches)

  def _read(self, turn):
    """Returns the positions that the output layer reads."""
    model = self._experiment.model
    return sum(len(batch.src) * flops.output_reads(self._traits, model, batch.src.shape[1], batch.tgt.shape[1])
               for batch in turn.batches)


def spreads(rounds):
  """Returns {what: {"min", "median", "max"}} of a list of {what: number}."""
  columns = {name: [found[name] for found in rounds] for name in rounds[0]}
  return {name: {"min": min(values), "median": statistics.median(values), "max": max(values)}
          for name, values in columns.items()}


def peak_memory():
  """Returns the GiB that this process had at most so far, on the host."""
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return most / (2**30 if sys.platform == "darwin" else 2**20)  # Linux counts KiB.


def cores():
  """Returns the cores that this process may use, where the system tells; else those that there are."""
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
