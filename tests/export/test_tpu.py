"""Operators that a TPU does not support are found by name, and supported ones pass."""
import json
import sys

import pytest
import tensorflow as tf

from tests.conformance import families
from tests.train import bigram
from tf_nar import config
from tf_nar import models
from tf_nar import types
from tf_nar.export import tpu
from tf_nar.export import tpu_compile
from tf_nar.export import tpu_ops
from tf_nar.train import optimizer
from tf_nar.train import step

X = tf.TensorSpec([2, 3], tf.float32)
TABLE = tf.lookup.StaticHashTable(tf.lookup.KeyValueTensorInitializer([1], [2]), 0)


def found(fn, *specs):
  return tpu_ops.findings(tf.function(fn, autograph=False).get_concrete_function(*specs or (X,)))


def looping(x):
  def body(n, x):
    tf.print(n)
    return n + 1, x * 2
  return tf.while_loop(lambda n, _: n < 3, body, (0, x))


PLANTED = {
  "EagerPyFunc": lambda x: tf.py_function(lambda v: v, [x], tf.float32),
  "PyFunc": lambda x: tf.numpy_function(lambda v: v, [x], tf.float32),
  "PrintV2": lambda x: (tf.print(x), x)[1],
  "HistogramSummary": lambda x: tf.raw_ops.HistogramSummary(tag="a", values=x),
  "Unique": lambda x: tf.unique(tf.reshape(x, [-1]))[0],
  "Where": lambda x: tf.boolean_mask(x, x > 0),
  "RaggedRange": lambda x: tf.ragged.range([3, 4]).flat_values,
  "LookupTableFindV2": lambda x: TABLE.lookup(tf.cast(x, tf.int32)),
  "AsString": lambda x: tf.strings.as_string(x),
  "ReadFile": lambda x: tf.io.read_file("a"),
  "Cast": lambda x: tf.cast(x, tf.float64),
  "RandomUniform": lambda x: x + tf.random.uniform([2, 3]),
}


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_operator_is_found_by_its_name_and_line(name):
  lines = [line for line in found(PLANTED[name]) if line.startswith(f"{name} ")]
  assert lines and all("test_tpu.py, line " in line for line in lines)


def test_an_operator_in_a_loop_or_a_call_is_found():
  inner = tf.function(lambda x: tf.unique(x[0])[0], autograph=False)
  assert [line.split()[0] for line in found(lambda x: inner(x))] == ["Unique"]
  lines = found(looping)
  assert any(line.startswith("PrintV2 ") and "test_tpu.py, line " in line for line in lines)


def test_plain_arithmetic_and_the_text_of_assertions_are_taken():
  def checked(x):
    tf.debugging.Assert(tf.reduce_all(x > 0), ["is not positive", x])
    return tf.where(x > 0, tf.random.stateless_uniform([2, 3], [1, 2]), x) @ tf.transpose(x)
  assert found(checked) == []


def test_an_unknown_dimension_is_found():
  (line,) = found(lambda x: x + 1, tf.TensorSpec([None, 3], tf.float32))
  assert line.startswith("input x has the shape (None, 3); a TPU needs every dimension known")


def test_a_shape_that_depends_on_a_value_is_found():
  program = tpu.Program("fill", lambda n: tf.fill([n], 1), [tf.TensorSpec([], tf.int32)])
  (line,) = tpu.examine(program, compiling=False).findings
  assert line.startswith("fill: XLA: ") and "must be a compile-time constant" in line and "test_tpu.py" in line


def test_hlo_is_read():
  text = "x = f32[2,<=8]{1,0} copy(y)\n  z = f64[] constant(1), metadata={}\n  a = f32[2]{0} add(b, c)"
  assert [line.split(", as in")[0] for line in tpu.hlo_findings(text)] == [
    "HLO has a dimension that depends on values (<=)", "HLO has float64"]
  assert tpu.hlo_findings("a = (f32[2]{0}, pred[]) tuple(b, c)") == []


class Update:
  """Stands in for a `step.Update`; `argument` maps the step's number to the argument of its graph."""

  def __init__(self, argument):
    self._argument = argument
    self._graph = tf.function(lambda batch, step: {"loss": tf.reduce_sum(batch.weight)}, autograph=False)

  def __call__(self, batches, step):
    return self._graph(batches[0], self._argument(step))

  def graphs(self, batch):
    return {"update": (self._graph, (batch, tf.TensorSpec([], tf.int64)))}


@pytest.mark.parametrize("argument, shapes, programs", [
  (tf.constant, [(8, 4), (8, 6)], None),
  (tf.constant, [(8, 4), (8, 6), (7, 6)], 3),  # Like a last batch that is not padded to full size.
  (lambda step: step, [(8, 4), (8, 6)], 4),
])
def test_a_program_too_many_is_counted(argument, shapes, programs):
  seen = tpu.epoch(Update(argument), [tpu.batch(shape, 20) for shape in shapes], 1, buckets=2)
  assert [line.split(" were")[0] for line in seen.findings] == [f"update: {programs} programs"] * bool(programs)
  assert seen.predictions == {"loss": 7.0} and seen.compiled.keys() == set(shapes)


def test_numbers_that_differ_are_told():
  said = {"loss": 1.0, "token": 2.0}
  assert tpu.differing(said, {"loss": 1.0005, "token": 2.0}, "float32") == []
  (line,) = tpu.differing(said, {"loss": 1.01, "token": 2.0}, "float32")
  assert line.startswith("loss is 1 compiled and 1.01 uncompiled")


def test_shapes_are_those_of_a_training():
  train = config.Train(tokens_per_batch=256, max_length=64, buckets=2)
  assert tpu.shapes(train, 64, {4: 10, 9: 3, 80: 1}) == [(64, 4), (24, 9)]
  made_up = tpu.shapes(train, 32)
  assert len(made_up) == 2 and made_up[-1] == (8, 32)


def test_batches_are_like_real_ones():
  src, tgt, weight = (x.numpy() for x in tpu.batch((8, 6), 9))
  assert src.shape == (8, 6) and weight.tolist() == [1] * 7 + [0]
  for row in (*src[:-1], *tgt[:-1]):
    words = row[row != types.PAD]
    assert (words[:-1] >= len(types.SPECIALS)).all() and words[-1] == types.EOS and not row[len(words):].any()


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_real_step_passes(accumulate):
  model, recipe = bigram.Bigram(tokens=20), config.Optimizer(accumulate=accumulate)
  adam = optimizer.Adam(recipe, model.trainable_variables)
  compiled, plain = (
    step.Update(model, adam, config.Train(optimizer=recipe, jit=jit)) for jit in (True, False))
  shapes, back = [(8, 4), (8, 6)], tpu.weights(model)
  for program in tpu.programs_of_update(compiled, shapes[0]):
    seen = tpu.examine(program, compiling=False)
    assert seen.findings == [] and seen.hlo and seen.operators > 10
  batches = [tpu.batch(shape, 20) for shape in shapes]
  seen = tpu.epoch(compiled, batches, accumulate, buckets=2)
  assert seen.findings == []
  back()
  said = plain([batches[0]] * accumulate, 0)
  assert tpu.differing(seen.predictions, said, "float32") == []


# The graphs of glat are those of nat_em, and those of lanmt are among those of lanmt_score.
@pytest.mark.parametrize("name", families.each(models.FAMILIES, set(models.FAMILIES) - {"glat", "lanmt"}))
def test_searches_and_scores_pass(name):
  translate, score, *_ = tpu.programs_of_model(families.build(name), families.TINY[name].search, (8, 8))
  for program in (translate, score):  # The losses of validation are part of the slow tests.
    assert tpu.examine(program, compiling=False).findings == []


@pytest.mark.slow
@pytest.mark.parametrize("name", ["cmlm", "ctc"])
def test_a_family_passes_compiled(name):
  model, train = families.build(name), config.Train(jit=True)
  update = step.Update(model, optimizer.Adam(train.optimizer, model.trainable_variables), train)
  for program in (*tpu.programs_of_update(update, (8, 8)),
                  *tpu.programs_of_model(model, families.TINY[name].search, (8, 8))):
    seen = tpu.examine(program)
    assert seen.findings == [] and seen.compiled > 0


COMPILED = tpu_compile.Compiled(
  seconds=1.0, devices=8, arguments=10, results=8, aliased=7, temporary=5, code=1, flops=275e12, accessed=1200e9 / 4)


def test_memory_and_roofline_of_a_core():
  v4 = tpu_compile.CHIPS["v4"]
  assert COMPILED.memory == 17 and COMPILED.fits(v4)
  assert COMPILED.roofline(v4) == 2.0  # Half a chip.


def interpreter(tmp_path, text, status=0):
  path = tmp_path / "python"
  path.write_text(f"#!{sys.executable}\nimport sys\nprint({text!r}, file=sys.std{'err' if status else 'out'})\n"
                  f"sys.exit({status})\n")
  path.chmod(0o755)
  return str(path)


def test_the_compiler_is_another_process(tmp_path):
  said = {"v4": COMPILED.__dict__, "v5e": "Ran out of memory in memory space hbm."}
  python = interpreter(tmp_path, json.dumps(said))
  assert tpu_compile.compile_for(["v4", "v5e"], b"", python) == {"v4": COMPILED, "v5e": said["v5e"]}


def test_no_compiler_is_told_with_the_way_to_get_it(tmp_path):
  python = interpreter(tmp_path, "ModuleNotFoundError: No module named 'jax'", 1)
  with pytest.raises(ValueError, match="cannot compile for a TPU: ModuleNotFoundError: .*'jax' Make an environment"):
    tpu_compile.compile_for(["v4"], b"", python)
  with pytest.raises(ValueError, match="No TPU 'v7' is known; choose from v4, v5e, v5p, v6e"):
    tpu_compile.check(["v7"], python)
  with pytest.raises(ValueError, match="No interpreter at nowhere/python; set --jax_python to the bin/python of"):
    tpu_compile.check(["v4"], "nowhere/python")
