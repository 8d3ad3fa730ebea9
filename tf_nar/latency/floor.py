"""A lower bound of latency on this machine, from its rate of matrix products and its memory bandwidth.

The floor of a one-pass model at batch 1 is the longer of two times: that of its operations at the best rate, and
that of reading each weight once.
"""
import statistics
from typing import Sequence

import numpy as np
import tensorflow as tf

from tf_nar import runs
from tf_nar.train import flops
from tf_nar.train import speed

ROWS = 1024  # Rows of the matrix product that is measured.
MEMORY = 2**28  # Bytes read to measure bandwidth: more than fit into the caches.
BYTES = {"float32": 4, "bfloat16": 2}


class Machine:
  """Measures this machine, in this process, with TensorFlow's threads."""

  def __init__(self, net):
    """Args: net: a `transformer.Config`, whose largest product, [D, ffn], is measured."""
    self._products = {dtype: speed.product(ROWS, net.width, net.ffn, dtype) for dtype in BYTES}
    self._memory = tf.zeros([MEMORY // 4])
    self._read = tf.function(tf.reduce_sum, autograph=False)

  def rates(self) -> dict[str, float]:
    """Returns {"GFLOP/s, float32", "GFLOP/s, bfloat16", "GB/s"}, measured now."""
    found = {f"GFLOP/s, {dtype}": operations / speed.seconds(fn) / 1e9
             for dtype, (fn, operations) in self._products.items()}
    return found | {"GB/s": MEMORY / speed.seconds(lambda: self._read(self._memory)) / 1e9}


def one_pass(workdir: str, source: int, target: int, rates: Sequence[dict[str, float]]) -> dict[str, dict[str, float]]:
  """Returns {dtype: {name: number}}, a run's floor at batch 1 in each type; {} for a family that is not one-pass.

  Args:
    workdir: the run.
    source, target: lengths in tokens, EOS included.
    rates: a list of results of `Machine.rates`, of which the medians are used.
  """
  run = runs.load(workdir)
  if not run.model.traits.one_pass:
    return {}
  median = {name: statistics.median(rate[name] for rate in rates) for name in rates[0]}
  operations = flops.forward(run.model.traits, run.experiment.model, source, target)
  weights = sum(int(np.prod(variable.shape)) for variable in run.model.variables)
  found = {}
  for dtype, size in BYTES.items():
    computing, reading = operations / median[f"GFLOP/s, {dtype}"] / 1e6, weights * size / median["GB/s"] / 1e6
    found[dtype] = {"GFLOP": operations / 1e9, "weights, M": weights / 1e6, "computing, ms": computing,
                    "reading, ms": reading, "floor, ms": max(computing, reading)}
  return found
