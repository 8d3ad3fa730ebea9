"""The floating-point operations of an update, by formula.

A multiply-add with a backward pass costs 6 operations: a product and a sum in the forward pass, and the same for the
gradient of each of its two factors. One in a forward pass only costs 2. `ops/operations.py` has the formula of each
part of a model, and what it leaves out; a family's `Traits.operations` adds up its passes. All positions are counted,
also padding and observed tokens, at which the output layer is not computed (`losses/cross_entropy.py`).
"""
from typing import Any


def update(traits: Any, config: Any, rows: int, source: int, target: int) -> int:
  """Returns the number of operations of an update on `rows` pairs of `source` and `target` positions, an int.

  Args:
    traits: the family's `family.Traits`.
    config: the family's `Config`, with `net.vocab` filled in.
    rows, source, target: the shape of the batch, B, S and T.
  """
  one = traits.operations(config, source, target)
  return rows * (6 * one.learned + 2 * one.glanced)


def forward(traits: Any, config: Any, source: int, target: int) -> int:
  """Returns the operations, for one pair, of the forward passes of an update that have a backward pass."""
  return 2 * traits.operations(config, source, target).learned


def output_reads(traits: Any, config: Any, source: int, target: int) -> float:
  """Returns the number of positions of one pair at which the output layer is computed; without backward, 1/3 each."""
  one = traits.operations(config, source, target)
  return one.positions + one.glanced_positions / 3
