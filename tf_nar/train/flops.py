"""The floating-point operations that an update asks for, by formula.

A multiply-add that is learned through costs 6 operations: a product and a sum forward, and the same backward for each
of its factors. One of a pass forward alone costs 2. `ops/operations.py` has the formula of each part of a net, and
what it leaves out; a family's `Traits.operations` adds up its passes.
"""


def update(traits, config, rows, source, target):
  """Returns the operations of an update on `rows` pairs of `source` and `target` positions, an int.

  Args:
    traits: the family's `family.Traits`.
    config: the family's, with the `vocab` of its net.
    rows, source, target: B, the batch's S and T.
  """
  one = traits.operations(config, source, target)
  return rows * (6 * one.learned + 2 * one.glanced)


def forward(traits, config, source, target):
  """Returns the operations of what an update learns, forward alone, for one pair."""
  return 2 * traits.operations(config, source, target).learned


def output_reads(traits, config, source, target):
  """Returns at how many positions the output layer is read for one pair, weighted as an update pays for them."""
  one = traits.operations(config, source, target)
  return one.positions + one.glanced_positions / 3
