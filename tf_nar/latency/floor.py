"""How fast the machine could be: its best product of matrices, and how fast it reads memory.

The floor of a one-pass model at batch 1 is the longer of two times: that of its operations at the best rate, and
that of reading each weight once.
"""
import statistics

import numpy as np
import tensorflow as tf

from tf_nar import runs
from tf_nar.train import flops
from tf_nar.train import speed

ROWS = 1024  # Of the product.
MEMORY = 2**28  # Bytes that are read: more than a cache of this machine's share.
BYTES = {"float32": 4, "bfloat16": 2}


class Machine:
  """Measures this machine, in this process; threads are TensorFlow's."""

  def __init__(self, net):
    """Args: net: a `transformer.Config`, whose largest inner product is measured."""
    self._products = {dtype: speed.product(ROWS, net.width, net.ffn, dtype) for dtype in BYTES}
    self._memory = tf.zeros([MEMORY // 4])
    self._read = tf.function(tf.reduce_sum)

  def rates(self):
    """Returns {"GFLOP/s, float32", "GFLOP/s, bfloat16", "GB/s"}."""
    found = {f"GFLOP/s, {dtype}": operations / speed.seconds(fn) / 1e9
             for dtype, (fn, operations) in self._products.items()}
    return found | {"GB/s": MEMORY / speed.seconds(lambda: self._read(self._memory)) / 1e9}


def one_pass(workdir, source, target, rates):
  """Returns {dtype: {what: number}}, the floor of a run at batch 1 in each type; {} for a family that is not counted.

  Args:
    workdir: the run.
    source, target: tokens, EOS included.
    rates: a list of what `Machine.rates` gave; medians count.
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
