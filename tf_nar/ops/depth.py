"""How sequential a graph is: the matrix products that wait for each other.

However many products a device computes at a time, a pass takes as long as the longest chain of them: a Transformer
block is a chain of six or more, so that a flow of 120 blocks is slow with few operations in each.
"""
from typing import Any

PRODUCTS = "MatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum"
LOOPS = "While", "StatelessWhile"
CALLS = "PartitionedCall", "StatefulPartitionedCall"
BRANCHES = "If", "StatelessIf", "Case", "StatelessCase"


def longest(graph: Any) -> int:
  """Returns the number of matrix products in the longest chain in a graph, each of which needs the one before.

  A loop counts as one turn of it, and a call or a branch as its own longest chain, whichever of its inputs that needs.

  Args:
    graph: a `tf.Graph`, as of a concrete function.
  """
  return max(_behind(graph).values(), default=0)


def _behind(graph):
  """Returns {operation: the products in the longest chain that ends with it}."""
  found = {}
  for op in graph.get_operations():  # In the order of their making, so that inputs come first.
    found[op] = max((found.get(each.op, 0) for each in op.inputs), default=0) + _own(op, graph)
  return found


def _own(op, graph):
  if op.type in PRODUCTS:
    return 1
  names = [op.get_attr("body").name] if op.type in LOOPS else [op.get_attr("f").name] if op.type in CALLS else []
  if op.type in BRANCHES:
    both = [op.get_attr(f"{way}_branch") for way in ("then", "else")] if "If" in op.type else op.get_attr("branches")
    names = [each.name for each in both]
  # Private: no public call gives the graph of a function by its name.
  return max((longest(graph._get_function(name).graph) for name in names), default=0)
