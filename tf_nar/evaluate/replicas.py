"""Runs a function of a batch on all devices of a distribution strategy at once: a batch on each.

The batches are those of a single device, and their results come in the order of the batches. So the number of devices
changes no result, not even by rounding, as each computes with the shapes that a single device has.

  GPUs   the batches that run together may have different shapes
  TPU    it compiles one program for all its cores, so they have the same shape, see `corpus._groups`
"""
import itertools
from typing import Callable, Iterable, Iterator, NamedTuple, Sequence

import tensorflow as tf


class Devices(NamedTuple):
  """The devices that a function runs on."""

  count: int = 1
  alike: bool = False  # Whether the batches that run together must have the same shape.


class Spread:
  """A graph of one batch, which `together` runs for a batch on each replica of a strategy."""

  def __init__(self, graph, signature, strategy):
    self.devices, self._graph, self._strategy = _devices(strategy), graph, strategy
    # Every shape is a program of its own on a TPU.
    static = None if self.devices.alike else [tuple(signature)] * self.devices.count
    self._everywhere = tf.function(
      lambda *batches: strategy.run(lambda: graph(*_own(batches))), input_signature=static, autograph=False)

  def __call__(self, *batch):
    """Returns the result for one batch; of several GPUs only the first computes it."""
    return self.together([batch])[0]

  def together(self, batches: Sequence[tuple]) -> list:
    """Returns the result for each of at most `devices.count` batches, tuples of arguments."""
    if len(batches) == 1 and not self.devices.alike:
      return [self._graph(*batches[0])]
    rest = [batches[-1]] * (self.devices.count - len(batches))  # All replicas run the same program.
    batches = tf.nest.map_structure(tf.convert_to_tensor, [*batches, *rest])
    found, local = self._everywhere(*batches), self._strategy.experimental_local_results
    return [tf.nest.map_structure(lambda value, number=number: local(value)[number], found)
            for number in range(self.devices.count - len(rest))]


def spread(fn: Callable, signature: Sequence[tf.TensorSpec]) -> Callable:
  """Returns a function of one batch as a graph for all shapes; in the scope of a strategy with several, a `Spread`.

  Args:
    fn: a function of tensors, or of tuples of tensors.
    signature: the `tf.TensorSpec`s of its arguments.
  """
  # Autograph is not needed, and would turn the one-line errors of a search into long ones.
  graph, strategy = tf.function(fn, input_signature=signature, autograph=False), tf.distribute.get_strategy()
  return graph if _devices(strategy) == Devices() else Spread(graph, signature, strategy)


def devices(run: Callable) -> Devices:
  """Returns the `Devices` of a function; those of a function that is no `Spread`, and wraps none, are one."""
  return getattr(run, "devices", Devices())


def together(run: Callable, batches: Sequence[tuple]) -> list:
  """Returns [run(*batch) for each batch], of at most `devices(run).count` batches, which run at the same time."""
  return run.together(batches) if hasattr(run, "together") else [run(*batch) for batch in batches]


def each(run: Callable, batches: Iterable[tuple]) -> Iterator:
  """Yields run(*batch) of every batch, in order, as many at a time as there are devices."""
  batches = iter(batches)
  while some := list(itertools.islice(batches, devices(run).count)):
    yield from together(run, some)


def _devices(strategy):
  """Returns the `Devices` of a strategy on this machine; of several machines each runs all batches."""
  if not tf.distribute.has_strategy():
    return Devices()
  return Devices(len(strategy.extended.worker_devices), isinstance(strategy, tf.distribute.TPUStrategy))


def _own(batches):
  """Returns the batch of this replica."""
  replica = tf.distribute.get_replica_context().replica_id_in_sync_group
  number = tf.get_static_value(replica)
  if number is None:  # A TPU's program is the same on all its cores; the batches have the same shape.
    return tf.nest.map_structure(lambda *parts: tf.stack(parts)[replica], *batches)
  return batches[number % len(batches)]

