"""Whether a TPU will take an experiment, without a TPU: its graphs are read, and compiled by XLA for the CPU.

The bridge from TensorFlow to XLA is also the TPU's, and refuses most of what it refuses there. Not shown are the memory
and layout of the TPU's compiler (`tpu_compile.py` does) and all that happens between replicas.
"""
import time
from typing import Callable, NamedTuple

import numpy as np
import tensorflow as tf

from tf_nar import types
from tf_nar.data import pipeline
from tf_nar.export import tpu_ops

# Of losses and gradient norms, compiled against not: operators are fused and rounded otherwise.
TOLERANCE = {"float32": 1e-3, "mixed_bfloat16": 3e-2}


class Program(NamedTuple):
  """What a TPU compiles as one."""

  name: str
  run: Callable  # Of tensors.
  specs: list  # Of `tf.TensorSpec`, one a tensor.


class Examined(NamedTuple):
  """What was seen of a program."""

  findings: list  # Lines; none if all is well.
  operators: int
  traced: float  # Seconds.
  compiled: float | None  # Seconds of XLA for the CPU; None where it was not asked.
  hlo: bytes  # The serialized module, empty if there are findings.


class Epoch(NamedTuple):
  """What was seen of updates over all shapes, twice."""

  findings: list
  predictions: dict  # Of the first update of all.
  compiled: dict  # (rows, length) -> seconds: what the first update took more than the second.


def shapes(train, longest, histogram=None):
  """Returns [(rows, length)] of every batch of a training.

  Args:
    train: a `config.Train`.
    longest: the most tokens that the model takes.
    histogram: dict, length -> pairs, as a data folder has; None: as if the longer were the rarer, to the longest.
  """
  longest = min(longest, train.max_length)
  return pipeline.shapes(histogram or {length: longest + 1 - length for length in range(1, longest + 1)}, train)


def spec(shape, kind=types.Batch):
  """Returns the specs of a batch of (rows, length), as `Traits.batch` says: `types.Batch` or `types.Aligned`."""
  tokens = tf.TensorSpec(shape, tf.int32)
  more = [tokens] * (len(kind._fields) - len(types.Batch._fields))
  return kind(tokens, tokens, tf.TensorSpec(shape[:1], tf.float32), *more)


def batch(shape, vocab, kind=types.Batch, seed=0):
  """Returns a batch of random words, all lengths and a blank row in it; no target is longer than its source.

  Sources and targets are of one length, so where there are fertilities each is 1.
  """
  draw, (rows, length) = np.random.default_rng(seed), shape
  sizes = draw.integers(length // 2 + 1, length, rows, endpoint=True) * (np.arange(rows) < rows - 1)
  position = np.arange(length)
  words = draw.integers(len(types.SPECIALS), vocab, (2, rows, length))
  ended = np.where(position == sizes[:, None] - 1, types.EOS, np.where(position < sizes[:, None], words, types.PAD))
  src, tgt = tf.constant(ended, tf.int32)
  made = types.Batch(src, tgt, tf.cast(sizes > 0, tf.float32))
  return types.Aligned(*made, tf.cast(src != types.PAD, tf.int32)) if kind is types.Aligned else made


def programs_of_update(update, shape, kind=types.Batch):
  """Returns the `Program`s of one update; `update` has `graphs`, as `train.step.Update`; `kind`: see `spec`."""
  name = lambda part: f"{part} {shape[0]} x {shape[1]}"
  return [Program(name(part), _flat(graph, arguments), tf.nest.flatten(arguments))
          for part, (graph, arguments) in update.graphs(spec(shape, kind)).items()]


def _flat(graph, arguments):
  """Returns `graph` as a function of tensors alone: XLA is asked for specs, and takes no structures of them."""
  return lambda *tensors: graph(*tf.nest.pack_sequence_as(arguments, tensors))


def programs_of_model(model, search, shape):
  """Returns the `Program`s of `translate` and `score`; candidates that are decoded side by side share the rows."""
  rows = max(1, shape[0] // search.candidates) if model.traits.side_by_side else shape[0]
  tokens = tf.TensorSpec([rows, shape[1]], tf.int32)
  return [
    Program(f"translate {rows} x {shape[1]}", lambda src: model.translate(src, search), [tokens]),
    Program(f"score {shape[0]} x {shape[1]}", lambda src, tgt: model.score(src, tgt), [spec(shape).src] * 2)]


def examine(program, compiling=True):
  """Traces a program, reads its graph, brings it to HLO, and compiles that for the CPU if `compiling`.

  No value is given, so what XLA would need one for, and would compile anew for each, is found.
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


def hlo_findings(text):
  """Returns what in the text of an HLO module a TPU does not take."""
  lines = text.splitlines()
  bounded = [line for line in lines if "[<=" in line or ",<=" in line]
  double = [line for line in lines if " f64[" in line or "(f64[" in line]
  return [f"HLO has {what}, as in {found[0].strip()[:200]}" for what, found in (
    ("a dimension that depends on values (<=)", bounded), ("float64", double)) if found]


def _reason(error):
  """The first line of an error and, if it says so, where the operator came from."""
  lines = str(error).strip().splitlines()
  frames = [line.strip() for line in lines if line.startswith("File ") and "site-packages" not in line]
  return lines[0] + (f" From {frames[-1]}" if frames else "")


def epoch(update, batches, accumulate, buckets):
  """Goes twice over one batch of each shape, all mixed, and counts what was traced.

  A graph of `jit_compile` is compiled once a trace, as `examine` has seen it needs no value.

  Args:
    update: a `train.step.Update`.
    batches: `Batch`es.
    accumulate: micro-batches an update.
    buckets: how many shapes there should be.
  """
  took, predictions = {}, []
  for step, each in enumerate([*batches, *batches]):
    began = time.perf_counter()
    predictions.append({name: float(value) for name, value in update([each] * accumulate, step).items()})
    took.setdefault(tuple(each.src.shape), []).append(time.perf_counter() - began)
  wrong = []
  for name, (graph, _) in update.graphs(spec(tuple(batches[0].src.shape), type(batches[0]))).items():
    traces, wanted = graph.experimental_get_tracing_count(), 1 if name == "finish" else buckets  # Of no batch.
    if traces != wanted:
      wrong.append(f"{name}: {traces} programs were compiled in an epoch of {buckets} buckets, wanted is {wanted}; "
                   "some batch has another shape, or an argument is a Python number")
  return Epoch(wrong, predictions[0], {shape: max(0.0, times[0] - times[-1]) for shape, times in took.items()})


def differing(predictions, plain, dtype):
  """Returns a line for each number that compiled and uncompiled updates say too differently; see `TOLERANCE`."""
  near = TOLERANCE[dtype]
  return [f"{name} is {predictions[name]:.6g} compiled and {float(value):.6g} uncompiled, further apart than {near:g}"
          for name, value in plain.items() if not np.isclose(predictions[name], float(value), rtol=near, atol=near)]


def weights(model):
  """Returns the model's weights, and a function that puts them back."""
  kept = [variable.numpy() for variable in model.variables]

  def back():
    for variable, value in zip(model.variables, kept, strict=True):
      variable.assign(value)

  return back
