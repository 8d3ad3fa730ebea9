"""How sequential a graph is: the matrix products that wait for each other.

However many products a device computes at a time, a pass takes as long as the longest chain of them: a Transformer
block is a chain of six or more, so that a flow of 120 blocks is slow with few operations in each.
"""
from typing import Any, Iterator

PRODUCTS = "MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"
# Type of an operation, without "Stateless" or "Stateful" -> attributes that name the functions that it runs.
BODIES = {"While": ("body",), "PartitionedCall": ("f",), "If": ("then_branch", "else_branch"), "Case": ("branches",)}


def longest(graph: Any) -> int:
  """Returns the number of matrix products in the longest chain in a graph, each of which needs the one before.

  A loop counts as one turn of it, and a call or a branch as its own longest chain, whichever of its inputs that needs.

  Args:
    graph: a `tf.Graph`, as of a concrete function.
  """
  found = {}  # Operation -> the products in the longest chain that ends with it.
  for op in graph.get_operations():  # In the order of their making, so that inputs come first.
    own = op.type in PRODUCTS or max(map(longest, _bodies(op)), default=0)
    found[op] = max((found.get(each.op, 0) for each in op.inputs), default=0) + own
  return max(found.values(), default=0)


def _bodies(op: Any) -> Iterator[Any]:
  """Yields the graphs of the functions that an operation runs."""
  for attribute in BODIES.get(op.type.removeprefix("Stateless").removeprefix("Stateful"), ()):
    functions = op.get_attr(attribute)
    for function in functions if isinstance(functions, list) else [functions]:
      yield op.graph._get_function(function.name).graph  # Private: no public call gives a graph by its function's name.
