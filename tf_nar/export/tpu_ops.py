"""Finds operators of a graph that a TPU does not support, by inspecting the graph without compiling it.

Each finding names the line of the program that created the operator.
"""
import os
import re
from typing import Any

import tensorflow as tf

# Patterns of complete operator names. Summaries and Print are those that TensorFlow's own TPU rewrite rejects.
DENIED = {
  "runs Python on the host": "(Eager)?PyFunc(Stateless)?",
  "prints or writes a summary": "Print(V2)?|.*Summary(V2)?|Write.*Summary.*",
  "has a result whose shape depends on values":
    "Unique.*|Where|ListDiff|DynamicPartition|NonMaxSuppression(V[2-5])?|SparseToDense|StringSplit.*",
  "is of ragged tensors": "Ragged.*",
  "looks up a table on the host": "(Mutable|Anonymous)*(Dense)?HashTable.*|LookupTable.*|InitializeTable.*",
  "reads or writes files or queues":
    "(Read|Write|Matching)Files?|.*(Queue|Iterator|Dataset|Reader).*|(Save|Restore)(V2)?",
  "draws random numbers from a state of its own, whose seed XLA ignores; use tf.random.stateless_...":
    "Random(Uniform|UniformInt|StandardNormal|Gamma|Poisson.*|Shuffle)|TruncatedNormal|Multinomial|"
    "Stateful(Uniform|StandardNormal|TruncatedNormal|Random).*",
}
KINDS = {
  tf.string: "has strings, which stay on the host",
  tf.float64: "is float64, which a TPU does not have",
}


def findings(concrete: Any) -> list[str]:
  """Returns a line for each input of unknown shape and each operator that a TPU does not support.

  Args:
    concrete: a concrete function; the bodies of its loops and the functions it calls are inspected too.
  """
  given = concrete.inputs[:len(concrete.inputs) - len(concrete.captured_inputs)]
  wrong = [f"input {tensor.op.name} has the shape {tensor.shape}; a TPU needs every dimension known"
           for tensor in given if not tensor.shape.is_fully_defined()]
  for graph in _graphs(concrete.graph):
    wrong += [f"{op.type} {op.name} {why}; from {origin(op)}" for op in graph.get_operations() if (why := denied(op))]
  return list(dict.fromkeys(wrong))


def denied(op: tf.Operation) -> str:
  """Returns why a TPU does not support an operator; "" if it does."""
  for why, pattern in DENIED.items():
    if re.fullmatch(pattern, op.type):
      return why
  kinds = {tensor.dtype for tensor in op.outputs} & KINDS.keys()
  if not kinds or _is_message(op):
    return ""
  return KINDS[min(kinds, key=str)]


def _is_message(op):
  """Whether an operator is the text of assertions, which XLA drops."""
  users = [user for tensor in op.outputs for user in tensor.consumers()]
  return op.type == "Const" and all(user.type == "Assert" for user in users)


def origin(op: tf.Operation) -> str:
  """Returns "path, line n" of the innermost line outside of libraries that created an operator."""
  frames = [frame for frame in op.traceback or () if "site-packages" not in frame.filename]
  if not frames:
    return "a library"
  path = os.path.relpath(frames[-1].filename)
  return f"{frames[-1].filename if path.startswith('..') else path}, line {frames[-1].lineno}"


def count(concrete: Any) -> int:
  """Returns the number of operators of a concrete function, those of its loops and calls included."""
  return sum(len(graph.get_operations()) for graph in _graphs(concrete.graph))


def _graphs(graph, inputs=None):
  """Returns a graph and those of all functions that it may call, each once."""
  inputs, found = set() if inputs is None else inputs, [graph]
  # A private attribute: the public as_graph_def().library has no tracebacks of operators.
  for name, function in graph._functions.items():
    if name not in inputs:
      inputs.add(name)
      found += _graphs(function.graph, inputs)
  return found
