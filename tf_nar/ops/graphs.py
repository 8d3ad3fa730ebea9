"""Frees graphs that TensorFlow would keep for the life of the process."""
import contextlib
import gc
from typing import Iterator

from tensorflow.python.framework import ops


@contextlib.contextmanager
def freed() -> Iterator[None]:
  """Context manager that lets go, at its end, of the graphs traced inside in which there is a `tf.custom_gradient`.

  TensorFlow registers the gradient of each such call, as of a layer norm, and with it the graph and the variables that
  it reads, for ever. Afterwards no new gradient can be taken of a function that was traced inside.
  """
  registry = ops.gradient_registry._registry
  before = set(registry)
  try:
    yield
  finally:
    names = [name for name in registry if name.startswith("CustomGradient-") and name not in before]
    for name in names:
      del registry[name]
    if names:
      gc.collect()
