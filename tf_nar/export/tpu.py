"""Checks without a TPU whether an experiment can run on one: its graphs are inspected, and compiled by XLA for the CPU.

The bridge from TensorFlow to XLA is the same for a TPU, and rejects most of what it would reject there. This does not
cover the memory and layout of the TPU's compiler (`tpu_compile.py` does), nor anything between replicas.
"""
import time
from typing import Any, Callable, NamedTuple, Sequence

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import pipeline
from tf_nar.export import tpu_ops

# Of losses and gradient norms, compiled against uncompiled: fused operators round differently.
TOLERANCE = {"float32": 1e-3, "mixed_bfloat16": 3e-2}


class Program(NamedTuple):
  """A function that a TPU compiles as one program."""

  name: str
  run: Callable  # A function of tensors.
  specs: list  # A `tf.TensorSpec` for each tensor.


class Examined(NamedTuple):
  """The result of `examine` for one program."""

  findings: list  # One line for each problem.
  operators: int
  traced: float  # Seconds that tracing took.
  compiled: float | None  # Seconds that XLA took to compile for the CPU; None if it did not compile.
  hlo: bytes  # The serialized module, empty if there are findings.


class Epoch(NamedTuple):
  """The result of `epoch`: updates on batches of all shapes, twice."""

  findings: list
  predictions: dict  # Losses and norms of the very first update.
  compiled: dict  # (rows, length) -> seconds by which the first update took longer than the second.


def shapes(train: Any, longest: int, histogram: dict[int, int] | None = None) -> list[tuple[int, int]]:
  """Returns [(rows, length)], the shapes of all batches of a training.

  Args:
    train: a `config.Train`.
    longest: the maximum number of tokens of the model.
    histogram: dict, length -> number of pairs, as in a data folder; None: up to `longest`, longer pairs being rarer.
  """
  longest = min(longest, train.max_length)
  return pipeline.shapes(histogram or {length: longest + 1 - length for length in range(1, longest + 1)}, train)


def spec(shape: tuple[int, int], kind: type = types.Batch) -> types.Batch | types.Aligned:
  """Returns the specs of a batch of (rows, length) of the type in `Traits.batch`: `types.Batch` or `types.Aligned`."""
  tokens = tf.TensorSpec(shape, tf.int32)
  more = [tokens] * (len(kind._fields) - len(types.Batch._fields))
  return kind(tokens, tokens, tf.TensorSpec(shape[:1], tf.float32), *more)


def batch(shape: tuple[int, int], vocab: int, kind: type = types.Batch) -> types.Batch | types.Aligned:
  """Returns a batch of random tokens, of mixed lengths and with one padding row.

  Source and target of a pair have the same length, so fertilities, if any, are all 1.
  """
  draw, (rows, length) = np.random.default_rng(0), shape
  sizes = draw.integers(length // 2 + 1, length, rows, endpoint=True) * (np.arange(rows) < rows - 1)
  position = np.arange(length)
  words = draw.integers(len(types.SPECIALS), vocab, (2, rows, length))
  ended = np.where(position == sizes[:, None] - 1, types.EOS, np.where(position < sizes[:, None], words, types.PAD))
  src, tgt = tf.constant(ended, tf.int32)
  made = types.Batch(src, tgt, tf.cast(sizes > 0, tf.float32))
  return types.Aligned(*made, tf.cast(src != types.PAD, tf.int32)) if kind is types.Aligned else made


def programs_of_update(update: Any, shape: tuple[int, int], kind: type = types.Batch) -> list[Program]:
  """Returns the `Program`s of one update; `update` has `graphs`, as `train.step.Update` has; `kind`: see `spec`."""
  name = lambda part: f"{part} {shape[0]} x {shape[1]}"
  return [Program(name(part), _flat(graph, arguments), tf.nest.flatten(arguments))
          for part, (graph, arguments) in update.graphs(spec(shape, kind)).items()]


def _flat(graph, arguments):
  """Returns `graph` as a function of a flat list of tensors, as XLA's interface accepts no structures of specs."""
  return lambda *tensors: graph(*tf.nest.pack_sequence_as(arguments, tensors))


def programs_of_model(model: Any, search: Any, shape: tuple[int, int]) -> list[Program]:
  """Returns the `Program`s of `translate`, of `score`, and of the losses of validation, which need no alignments."""
  def validate(src, tgt, weight):
    made = model.objective(types.Batch(src, tgt, weight), seed=None, training=False, step=tf.constant(0, tf.int64))
    return [(term.total, term.count) for term in made.terms.values()]

  name = f"{shape[0]} x {shape[1]}"
  found = [program_of_search("translate", model, search, shape),
           Program(f"score {name}", lambda src, tgt: model.score(src, tgt), [spec(shape).src] * 2)]
  needs_none = model.traits.batch(model.config) is types.Batch
  return found + [Program(f"validate {name}", validate, list(spec(shape)))] * needs_none


def program_of_search(name: str, model: Any, search: Any, shape: tuple[int, int]) -> Program:
  """Returns the `Program` of a search; candidates that are decoded together divide the rows of the shape."""
  rows = max(1, shape[0] // search.candidates) if model.traits.side_by_side else shape[0]
  tokens = tf.TensorSpec([rows, shape[1]], tf.int32)
  return Program(f"{name} {rows} x {shape[1]}", lambda src: model.translate(src, search), [tokens])


def examine(program: Program, compiling: bool = True) -> Examined:
  """Traces a program, inspects its graph, lowers it to HLO, and compiles that for the CPU if `compiling`.

  Only specs are given, no values, so this finds operators that need a compile-time value and would be compiled anew for
  each value.
  """
  graph, began = tf.function(program.run, jit_compile=True, autograph=False), time.perf_counter()
  try:
    concrete = graph.get_concrete_function(*program.specs)
  except (ValueError, TypeError, tf.errors.OpError) as error:
    return Examined([f"{program.name}: cannot be traced with static shapes: {_reason(error)}"], 0, 0.0, None, b"")
  traced, operators = time.perf_counter() - began, tpu_ops.count(concrete)
  wrong, compiled, serialized = tpu_ops.findings(concrete), None, b""
  if not wrong:
    try:
      lower = graph.experimental_get_compiler_ir(*program.specs)
      wrong, serialized = hlo_findings(lower(stage="hlo")), lower(stage="hlo_serialized")
      if compiling:
        began = time.perf_counter()
        lower(stage="optimized_hlo")
        compiled = time.perf_counter() - began
    except (ValueError, tf.errors.OpError) as error:
      wrong = [f"XLA: {_reason(error)}"]
  wrong = [f"{program.name}: {each}" for each in wrong]
  return Examined(wrong, operators, traced, compiled, b"" if wrong else serialized)


def hlo_findings(text: str) -> list[str]:
  """Returns a line for each feature of an HLO module's text that a TPU does not support."""
  lines = text.splitlines()
  bounded = [line for line in lines if "[<=" in line or ",<=" in line]
  double = [line for line in lines if " f64[" in line or "(f64[" in line]
  return [f"HLO has {what}, as in {found[0].strip()[:200]}" for what, found in (
    ("a dimension that depends on values (<=)", bounded), ("float64", double)) if found]


def _reason(error):
  """Returns the first line of an error and, if it is there, the source line of the operator."""
  lines = str(error).strip().splitlines()
  frames = [line.strip() for line in lines if line.startswith("File ") and "site-packages" not in line]
  return lines[0] + (f" From {frames[-1]}" if frames else "")


def epoch(update: Callable, batches: Sequence[types.Batch | types.Aligned], accumulate: int, buckets: int) -> Epoch:
  """Makes updates on each of the batches, twice, and counts how often each graph is traced.

  A graph with `jit_compile` is compiled once per trace, since `examine` has found that it needs no values.

  Args:
    update: a `train.step.Update`.
    batches: `Batch`es, one of each shape.
    accumulate: micro-batches per update.
    buckets: the expected number of shapes.
  """
  took, predictions = {}, []
  for step, each in enumerate([*batches, *batches]):
    began = time.perf_counter()
    predictions.append({name: float(value) for name, value in update([each] * accumulate, step).items()})
    took.setdefault(tuple(each.src.shape), []).append(time.perf_counter() - began)
  wrong = []
  for name, (graph, _) in update.graphs(spec(tuple(batches[0].src.shape), type(batches[0]))).items():
    # No argument of `finish` has the shape of a batch.
    traces, wanted = graph.experimental_get_tracing_count(), 1 if name == "finish" else buckets
    if traces != wanted:
      wrong.append(f"{name}: {traces} programs were compiled in an epoch of {buckets} buckets, expected {wanted}; "
                   "look for a batch of another shape, or an argument that is a Python number")
  return Epoch(wrong, predictions[0], {shape: max(0.0, times[0] - times[-1]) for shape, times in took.items()})


def differing(predictions: dict[str, float], plain: dict[str, tf.Tensor], dtype: str) -> list[str]:
  """Returns a line for each number of a compiled and an uncompiled update that differ by more than `TOLERANCE`."""
  near = TOLERANCE[dtype]
  return [f"{name} is {predictions[name]:.6g} compiled and {float(value):.6g} uncompiled, over {near:g} apart"
          for name, value in plain.items() if not np.isclose(predictions[name], float(value), rtol=near, atol=near)]


def weights(model: Any) -> Callable[[], None]:
  """Returns a function that restores the model's present weights."""
  kept = [variable.numpy() for variable in model.variables]

  def back():
    for variable, value in zip(model.variables, kept, strict=True):
      variable.assign(value)

  return back
