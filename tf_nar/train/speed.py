"""Measures the speed of training updates and, in turns with them, of the matrix products that bound it.

A round measures all of these in turn, so that temporary load on the machine affects all of them. The minimum, median
and maximum over rounds are reported, as a mean would hide a disturbed round.
"""
import os
import resource
import statistics
import sys
import time
from typing import Any, Callable, Iterator, NamedTuple, Sequence

import tensorflow as tf

from tf_nar import types
from tf_nar.losses import cross_entropy
from tf_nar.ops import depth
from tf_nar.ops import graphs
from tf_nar.train import ema
from tf_nar.train import flops
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

LEAST = 0.25  # Seconds for which a short call is repeated.


class Turn(NamedTuple):
  """The measurement of some consecutive updates."""

  seconds: float
  waited: float  # Seconds of these that were spent waiting for batches.
  batches: list  # The `types.Batch`es.

  @property
  def stepped(self) -> float:
    """Seconds without those of waiting for batches."""
    return self.seconds - self.waited

  @property
  def tokens(self) -> int:
    """Number of target tokens, EOS included."""
    return sum(int(tf.math.count_nonzero(batch.tgt)) for batch in self.batches)

  @property
  def positions(self) -> int:
    return sum(batch.tgt.shape.num_elements() for batch in self.batches)


class Training:
  """The update of `bin/train.py`, on an endless iterable of `types.Batch`."""

  def __init__(self, model, train, batches):
    adam = optimizer.Adam.of(train.optimizer, model, train.steps)
    averages = ema.Ema(train.ema, model.trainable_variables) if train.ema else None
    self._update, self._model, self.traits = step_lib.Update(model, adam, train, averages), model, model.traits
    self._batches, self._accumulate, self._done = iter(batches), train.optimizer.accumulate, 0

  def turn(self, updates: int) -> Turn:
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

  def chain(self, batch: types.Batch | types.Aligned) -> int:
    """Returns the matrix products in a row of the forward part of an update, see `ops/depth.py`."""
    loss = lambda: types.loss(self._model.objective(batch, seed=tf.constant([0, 0]), training=True))
    with graphs.freed():
      return depth.longest(tf.function(loss, autograph=False).get_concrete_function().graph)

  def warm_up(self, updates: int) -> Turn:
    """Makes updates until `updates` in a row had no new batch shape, as each is compiled. Returns the last `Turn`."""
    seen, quiet = set(), 0
    while quiet < updates:
      turn = self.turn(1)
      shapes = {tuple(batch.tgt.shape) for batch in turn.batches}
      quiet = quiet + 1 if shapes <= seen else 0
      seen |= shapes
    return turn


def made_up(rows: int, length: int, words: int, kind: type = types.Batch) -> Iterator[types.Batch | types.Aligned]:
  """Yields the same batch forever: random pairs without padding, int32 [rows, length]; every fertility is 1."""
  draw = lambda n: tf.random.stateless_uniform(
    [rows, length - 1], [n, 0], len(types.SPECIALS), words, tf.int32, alg="philox")
  whole = lambda n: tf.pad(draw(n), [[0, 0], [0, 1]], constant_values=types.EOS)
  batch = types.Batch(whole(0), whole(1), tf.ones([rows]))
  if kind is types.Aligned:
    batch = types.Aligned(*batch, tf.ones([rows, length], tf.int32))
  while True:
    yield batch


def seconds(fn: Callable) -> float:
  """Returns the mean seconds of a call, over as many calls as take `LEAST` seconds."""
  calls, began = 0, time.perf_counter()
  while (took := time.perf_counter() - began) < LEAST or not calls:
    fn()
    tf.test.experimental.sync_devices()
    calls += 1
  return took / calls


def product(rows: int, inner: int, columns: int, dtype: str) -> tuple[Callable, int]:
  """Returns (a function that multiplies two random matrices, its number of operations)."""
  draw = lambda n, shape: tf.cast(tf.random.stateless_normal(shape, [n, 0], alg="philox"), dtype)
  left, right = draw(0, [rows, inner]), draw(1, [inner, columns])
  multiply = tf.function(tf.matmul, autograph=False)
  multiply(left, right)
  return lambda: multiply(left, right), 2 * rows * inner * columns


def ceilings(net: Any, positions: int) -> dict[str, tuple[Callable, int]]:
  """Returns {name: the result of `product`} of the largest matrix products of an update, in bfloat16 and float32.

  That of the output layer has as many positions as the fused cross-entropy processes at a time.
  """
  shapes = {
    "ffn": (positions, net.width, net.ffn), "output": (min(positions, cross_entropy.ROWS), net.width, net.vocab)}
  return {f"{dtype} {name} {' x '.join(map(str, shape))}": product(*shape, dtype)
          for dtype in ("bfloat16", "float32") for name, shape in shapes.items()}


def output_softmax(net: Any, smoothing: float, positions: int) -> Callable:
  """Returns a function that computes the output layer, softmax and loss of `positions` positions, and the gradients."""
  normal = lambda n, shape: tf.random.stateless_normal(shape, [n, 0], stddev=0.1, alg="philox")
  states = tf.cast(normal(0, [positions, net.width]), "float32" if net.dtype == "float32" else "bfloat16")
  given = states, normal(1, [net.vocab, net.width]), tf.zeros([net.vocab])
  labels = tf.random.stateless_uniform([positions], [2, 0], 0, net.vocab, tf.int32, alg="philox")

  @tf.function(autograph=False)
  def gradients(*given):
    with tf.GradientTape() as tape:
      tape.watch(given)
      loss = cross_entropy.tied_cross_entropy(*given, labels, tf.ones([positions]), smoothing)
    return tape.gradient(loss, given)

  gradients(*given)
  return lambda: gradients(*given)


class Bench:
  """Measures rounds of a warm `Training`."""

  def __init__(self, training, experiment, positions, *, baseline=None, beside=None, decode=None):
    """Prepares the measurements.

    Args:
      training: a `Training`.
      experiment: its experiment, with `net.vocab` filled in.
      positions: target positions of a typical batch, for which the output softmax is timed.
      baseline: a `baseline.Process`, or None.
      beside: {name: (`Training`, experiment)} of others, which are measured in turns with this one.
      decode: maps a list of ids to text, to count words; None: words are not counted.
    """
    self._training, self._experiment, self._baseline, self._decode = training, experiment, baseline, decode
    self._beside = beside or {}
    net = experiment.model.net
    self._ceilings, self._positions = ceilings(net, positions), positions
    self._traits = training.traits
    smoothing = experiment.model.smoothing if self._traits.smoothed else 0.0
    self._softmax = output_softmax(net, smoothing, positions)
    self._dtype = "float32" if net.dtype == "float32" else "bfloat16"

  def round(self, updates: int) -> dict[str, float]:
    """Returns {name: number} of `updates` updates and of everything that they are compared with."""
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
    found["share of output softmax"] = seconds(self._softmax) * self._read(turn) / self._positions / turn.seconds
    rates = {name: operations / seconds(fn) for name, (fn, operations) in self._ceilings.items()}
    found |= {f"GFLOP/s, {name}": rate / 1e9 for name, rate in rates.items()}
    operations = _operations(self._traits, self._experiment, turn)
    rate = operations / turn.seconds
    ceiling = max(rate for name, rate in rates.items() if name.startswith(self._dtype))
    found |= {"GFLOP/s, model": rate / 1e9, "model flop utilisation": rate / ceiling}
    if self._baseline:
      theirs = self._baseline.turn(turn.batches)
      found |= {"baseline tokens/s": turn.tokens / theirs, "times the baseline's speed": theirs / turn.stepped}
    for name, (training, experiment) in self._beside.items():
      other = training.turn(updates)
      theirs = _operations(training.traits, experiment, other)
      found |= {
        f"{name}: target tokens/s": other.tokens / other.seconds,
        f"{name}: times its speed": turn.tokens / turn.seconds * other.seconds / other.tokens,
        f"{name}: times its operations": operations / turn.tokens / theirs * other.tokens}
    return found

  def _read(self, turn):
    """Returns the number of positions at which the output layer is computed."""
    model = self._experiment.model
    return sum(len(batch.src) * flops.output_reads(self._traits, model, batch.src.shape[1], batch.tgt.shape[1])
               for batch in turn.batches)


def _operations(traits, experiment, turn):
  return sum(flops.update(traits, experiment.model, *batch.src.shape, batch.tgt.shape[1]) for batch in turn.batches)


def spreads(rounds: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
  """Returns {name: {"min", "median", "max"}} of a list of {name: number}."""
  columns = {name: [found[name] for found in rounds] for name in rounds[0]}
  return {name: {"min": min(values), "median": statistics.median(values), "max": max(values)}
          for name, values in columns.items()}


def peak_memory() -> float:
  """Returns the peak host memory of this process so far, in GiB."""
  most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
  return most / (2**30 if sys.platform == "darwin" else 2**20)  # In bytes on macOS, in KiB on Linux.


def cores() -> int:
  """Returns the number of cores that this process may use, if the system reports it; else that of all cores."""
  return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
