"""What every model family must do."""
import dataclasses
import functools
import inspect

import keras
import numpy as np
import pytest
import tensorflow as tf

from tests.conformance import families
from tf_nar import config
from tf_nar import family
from tf_nar import models
from tf_nar import runs
from tf_nar import types
from tf_nar.data import pipeline
from tf_nar.layers import shards
from tf_nar.ops import graphs
from tf_nar.train import checkpoint
from tf_nar.train import optimizer
from tf_nar.train import step as step_lib

BATCH = families.batch()
CLOSE = dict(rtol=1e-5, atol=1e-5)
MEMO = functools.lru_cache(maxsize=None)
# The graphs of glat are those of nat_em but for its glancing, and those of lanmt are among those of lanmt_score.
DISTINCT = set(models.FAMILIES) - {"glat", "lanmt"}


@pytest.fixture(scope="module", params=sorted(models.FAMILIES))
def name(request):
  """The name of a family. Its tests run one after the other; then the models and graphs that they share are freed."""
  with graphs.freed():
    yield request.param
    for shared in (tiny, compiled, noisy):
      shared.cache_clear()


@MEMO
def tiny(name):
  """The model of a family that all tests share and none changes."""
  return families.build(name)


@MEMO
def compiled(name):
  """Its three methods as graphs for all shapes: objective's total and count by term, score, translate."""
  model, search = tiny(name), families.TINY[name].search
  tokens = tf.TensorSpec([None, None], tf.int32)
  terms = lambda batch: model.objective(families.given(model, batch), seed=None, training=False).terms
  parts = lambda batch: {name: (term.total, term.count) for name, term in terms(batch).items()}
  return (
    tf.function(parts, input_signature=[step_lib.BATCH], autograph=False),
    tf.function(lambda src, tgt: model.score(src, tgt), input_signature=[tokens] * 2, autograph=False),
    tf.function(lambda src: model.translate(src, search), input_signature=[tokens], autograph=False),
  )


@MEMO
def noisy(name):
  """Its loss of `BATCH` in training, as a graph: the two numbers of a seed -> nats."""
  model = tiny(name)
  return tf.function(
    lambda seed: types.loss(model.objective(families.given(model, BATCH), seed=seed, training=True)),
    input_signature=[tf.TensorSpec([2], tf.int32)], autograph=False)


def loss(model, seed, training=True):
  return float(types.loss(model.objective(families.given(model, BATCH), seed=seed, training=training)))


def assert_same_translation(one, other):
  assert [tokens for tokens, _ in one] == [tokens for tokens, _ in other]
  np.testing.assert_allclose([score for _, score in one], [score for _, score in other], **CLOSE)


def test_is_listed(name):
  assert name in families.TINY, families.MISSING.format(name)
  found = families.TINY[name].search.candidates
  assert found == 3, f"The tiny search of {name} is to return 3 candidates, as the tests count; it returns {found}."


def test_the_traits_are_what_the_model_has(name):
  module, model = models.family(name), tiny(name)
  has = {method for method in family.OPTIONAL if hasattr(model, method)}
  assert has == model.traits.offers, f"{name}: TRAITS.offers and the methods of Model differ."
  assert model.traits is module.TRAITS
  terms = model.objective(families.given(model, BATCH), seed=None, training=False).terms
  assert "token" in terms, f"{name}: the contract asks for a term `token`, nats a target token."
  assert model.traits.smoothed == ("smoothing" in vars(model.config)), f"{name}: TRAITS.smoothed, Config.smoothing."
  for _, changes in model.traits.readings:
    dataclasses.replace(families.TINY[name].search, **changes)
  # What a teacher could fill of a model around a frozen part is in that part.
  shared = [v.path for v in model.variables if v.path.startswith(model.traits.shared)]
  assert shared or model.traits.frozen(model.config), (
    f"{name}: no variable has a path of TRAITS.shared, by which it starts from a teacher.")


def test_a_mask_that_it_reads_is_declared(name):
  # A family that uses id 4 as MASK or blank cannot have a vocabulary in which it is an ordinary token.
  model = tiny(name)
  source = inspect.getsource(models.family(name))
  assert model.traits.needs_mask == ("types.MASK" in source or "ctc.BLANK" in source), (
    f"{name}: TRAITS.needs_mask must be True if and only if the family uses types.MASK.")


def test_operations_grow_with_what_is_read(name):
  model = tiny(name)
  one, longer = (model.traits.operations(model.config, 6, length) for length in (6, 12))
  assert 0 < one.learned < longer.learned or model.traits.operations(model.config, 12, 6).learned > one.learned
  assert one.positions + one.glanced_positions > 0 and bool(one.glanced) == bool(one.glanced_positions)


def test_every_variable_has_a_path_of_its_own_and_a_gradient(name):
  model = tiny(name)
  with tf.GradientTape() as tape:
    value = types.loss(model.objective(families.given(model, BATCH), seed=[0, 0], training=True))
  gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
  paths = [v.path for v in model.trainable_variables]
  assert [path for path, g in zip(paths, gradients, strict=True) if g is None] == []
  assert len(set(paths)) == len(paths)


def test_same_seed_same_loss(name):
  first, again, other = (float(noisy(name)(seed)) for seed in ([3, 4], [3, 4], [3, 5]))
  assert first == again != other


@pytest.mark.parametrize("name", families.each(models.FAMILIES, DISTINCT), indirect=True)
def test_in_shards_it_says_the_same(name):
  apart = families.build(name, shards=2)
  weights = shards.cut({variable.path: variable.numpy() for variable in tiny(name).variables}, apart)
  for variable in apart.variables:
    variable.assign(weights.pop(variable.path))
  assert not weights
  _, score, translate = compiled(name)
  np.testing.assert_allclose(apart.score(BATCH.src, BATCH.tgt), score(BATCH.src, BATCH.tgt), **CLOSE)
  one, other = translate(BATCH.src), apart.translate(BATCH.src, families.TINY[name].search)
  for row in range(len(BATCH.src)):
    assert_same_translation(families.nonempty(one, row), families.nonempty(other, row))


def test_at_rest_no_seed_matters(name):
  model = tiny(name)
  still = loss(model, None, training=False)
  assert loss(model, [3, 4], training=False) == loss(model, [5, 6], training=False) == still
  assert not np.isclose(noisy(name)([3, 4]), still, **CLOSE)


def test_takes_the_longest_sentence(name):
  objective, score, translate = compiled(name)
  longest = families.NET.max_length
  full = families.padded([[5, 6] * (longest // 2 - 1) + [5]], longest)
  assert full.shape == (1, longest) and np.count_nonzero(full) == longest
  for total, count in objective(types.Batch(full, full, tf.ones([1]))).values():
    assert np.isfinite(total) and count > 0
  assert np.isfinite(score(full, full)).all()
  assert translate(full).tokens.shape[2] <= longest + 1  # A search may put EOS after the longest.


def test_padding_changes_nothing(name):
  objective, score, translate = compiled(name)
  wide = lambda tokens: tf.pad(tokens, [[0, 0], [0, 3]])
  wider = types.Batch(wide(BATCH.src), wide(BATCH.tgt), BATCH.weight)
  for one, other in zip(tf.nest.flatten(objective(BATCH)), tf.nest.flatten(objective(wider)), strict=True):
    np.testing.assert_allclose(one, other, **CLOSE)
  np.testing.assert_allclose(score(BATCH.src, BATCH.tgt), score(wider.src, wider.tgt), **CLOSE)
  np.testing.assert_allclose(score(BATCH.src, BATCH.tgt), score(BATCH.src, wider.tgt), **CLOSE)
  narrow, broad = translate(BATCH.src), translate(wider.src)
  for row in range(BATCH.src.shape[0]):
    assert_same_translation(families.nonempty(narrow, row), families.nonempty(broad, row))


def test_batch_mates_and_blank_rows_change_nothing(name):
  objective, score, translate = compiled(name)
  blank = lambda tokens: tf.pad(tokens, [[0, 2], [0, 0]])
  together = types.Batch(blank(BATCH.src), blank(BATCH.tgt), tf.pad(BATCH.weight, [[0, 2]]))
  rows = range(BATCH.src.shape[0])
  alone = [types.Batch(*(field[row:row + 1] for field in together)) for row in rows]

  sums = {term: np.sum(values, 0) for term, values in _by_term([objective(one) for one in alone]).items()}
  for term, value in objective(together).items():
    np.testing.assert_allclose(value, sums[term], **CLOSE)
  scores = [score(one.src, one.tgt)[0] for one in alone]
  np.testing.assert_allclose(score(together.src, together.tgt)[:len(rows)], scores, **CLOSE)
  found = translate(together.src)
  for row in rows:
    assert_same_translation(families.nonempty(found, row), families.nonempty(translate(alone[row].src), 0))
  assert not np.any(found.tokens[-2:])


def test_nothing_but_blank_rows_says_nothing(name):
  found = compiled(name)[2](tf.zeros([2, 3], tf.int32))
  assert not np.any(found.tokens) and np.isneginf(found.score).all()


def _by_term(values):
  return {term: [value[term] for value in values] for term in values[0]}


def test_blank_rows_never_spoil_a_gradient(name):
  # A nan in a row of weight 0 would still make the sum nan, as 0 * nan is nan.
  model = tiny(name)
  rows = types.Batch(*(tf.pad(field, [[0, 2]] + [[0, 0]] * (field.shape.rank - 1)) for field in BATCH))
  with tf.GradientTape() as tape:
    value = types.loss(model.objective(families.given(model, rows), seed=[0, 0], training=True))
  gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
  assert np.isfinite(value) and all(np.isfinite(tf.convert_to_tensor(g)).all() for g in gradients)


def test_form_of_a_translation(name):
  found = compiled(name)[2](BATCH.src)
  tokens, scores = found.tokens.numpy(), found.score.numpy()
  assert (tokens.dtype, scores.dtype, found.passes.dtype) == (np.int32, np.float32, tf.int32)
  assert tokens.shape[:2] == scores.shape == (BATCH.src.shape[0], 3) and tokens.ndim == 3
  assert found.passes.shape == () and int(found.passes) >= 1
  np.testing.assert_array_equal(scores, -np.sort(-scores, 1))
  for row, score in zip(tokens.reshape(-1, tokens.shape[2]), scores.ravel(), strict=True):
    ends = np.flatnonzero(row == types.EOS)[:1]
    length = ends[0] + 1 if len(ends) else np.count_nonzero(row)
    assert (row[:length] != types.PAD).all() and (row[length:] == types.PAD).all()
    assert length > 0 or score == -np.inf


def test_widened_search_says_as_many(name):
  model, plain = tiny(name), type(families.TINY[name].search)()
  assert plain.with_candidates(1) == plain
  found = model.translate(BATCH.src, plain.with_candidates(7))
  assert found.tokens.shape[1] == found.score.shape[1] == 7
  assert plain.with_candidates(7).with_candidates(3) == plain.with_candidates(7)


def test_compiled_equals_eager(name):
  model = tiny(name)
  objective, score, translate = compiled(name)
  for term, (total, count) in objective(BATCH).items():
    eager = model.objective(families.given(model, BATCH), seed=None, training=False).terms[term]
    np.testing.assert_allclose((total, count), (eager.total, eager.count), **CLOSE)
  np.testing.assert_allclose(noisy(name)([1, 2]), loss(model, [1, 2]), **CLOSE)
  np.testing.assert_allclose(score(BATCH.src, BATCH.tgt), model.score(BATCH.src, BATCH.tgt), **CLOSE)
  found, eager = translate(BATCH.src), model.translate(BATCH.src, families.TINY[name].search)
  search = families.TINY[name].search
  static = tf.function(lambda src: model.translate(src, search), autograph=False)(BATCH.src)  # As XLA needs.
  for row in range(BATCH.src.shape[0]):
    for graph in (found, static):
      assert_same_translation(families.nonempty(graph, row), families.nonempty(eager, row))
  assert int(found.passes) == int(static.passes) == int(eager.passes)
  assert int(found.steps) == int(static.steps) == int(eager.steps)


# Three are exported, and asked by another process, in tests/export/test_saved_model.py.
@pytest.mark.parametrize("name", families.each(models.FAMILIES, DISTINCT - {"ar", "cmlm", "nat_em"}), indirect=True)
def test_exported_equals_live(name, tmp_path, one_process):
  families.export(name, tiny(name), families.TINY[name].search, tmp_path, compiled(name)[2])


def test_score_is_a_log_probability_of_each_sentence(name):
  scores = compiled(name)[1](BATCH.src, BATCH.tgt)
  assert scores.dtype == tf.float32 and scores.shape == BATCH.src.shape[:1]
  assert (scores.numpy() < 0).all()


@pytest.mark.parametrize("name", families.each(models.FAMILIES, DISTINCT), indirect=True)
def test_bfloat16_is_close(name):
  half = families.build(name, dtype="mixed_bfloat16")
  assert {v.dtype for v in half.trainable_variables} == {"float32"}
  for mine, theirs in zip(half.variables, tiny(name).variables, strict=True):
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
  with tf.GradientTape() as tape:
    value = types.loss(half.objective(families.given(half, BATCH), seed=None, training=False))
  np.testing.assert_allclose(value, loss(tiny(name), None, training=False), rtol=0.02)
  gradients = [tf.convert_to_tensor(g) for g in tape.gradient(value, [v.value for v in half.trainable_variables])]
  assert {g.dtype for g in gradients} == {tf.float32} and all(np.isfinite(g).all() for g in gradients)
  scores = half.score(BATCH.src, BATCH.tgt)
  # In a bound, a distance of latents is divided by their deviation, and so is its rounding error.
  rtol = 0.1 if half.traits.likelihood(half.config) == "bound" else 0.02
  np.testing.assert_allclose(scores, compiled(name)[1](BATCH.src, BATCH.tgt), rtol=rtol)
  found = half.translate(BATCH.src, families.TINY[name].search)
  assert scores.dtype == found.score.dtype == tf.float32 and np.isfinite(found.score[:, 0]).all()


def test_saved_and_loaded_says_the_same(name, tmp_path):
  tiny_config, search = families.TINY[name]
  experiment = config.Experiment(name, tiny_config, search)
  runs.create(experiment, families.VOCAB, str(tmp_path))
  runs.save_weights({v.path: v.numpy() for v in tiny(name).variables}, str(tmp_path))
  keras.utils.set_random_seed(9)
  loaded = runs.load(str(tmp_path))
  assert (loaded.experiment.search, loaded.experiment.model) == (search, tiny(name).config)
  np.testing.assert_array_equal(
    loaded.model.score(BATCH.src, BATCH.tgt), tiny(name).score(BATCH.src, BATCH.tgt))


def test_a_checkpoint_holds_every_variable(name, tmp_path):
  model = families.build(name)
  learned = {v.path for v in model.trainable_variables}
  saved = checkpoint.Checkpoints(model, optimizer.Adam.of(config.Optimizer(), model), str(tmp_path))
  fill = lambda value: [v.assign(tf.cast(tf.fill(v.shape, value), v.dtype)) for v in model.variables]
  for step, value in ((1, 1), (2, 3)):
    fill(value)
    saved.save(step, pipeline.Position(), {1, 2})
  fill(5)
  for path, array in saved.mean([1, 2]).items():
    np.testing.assert_array_equal(array, 2 if path in learned else 3, err_msg=path)
  assert all((v.numpy() == 5).all() for v in model.variables)
  saved.restore()
  for v in model.variables:
    np.testing.assert_array_equal(v.numpy(), 3, err_msg=v.path)


# One whose terms are counted in its graph, one with statistics beside its gradients, and a plain one.
@pytest.mark.parametrize("name", families.each(models.FAMILIES, ("ctc", "latent_codes", "nat_em")), indirect=True)
def test_two_replicas_make_the_step_of_their_parts(name, two):
  # Each has its own dropout, glancing and masks; counts and gradients are summed before they are used.
  recipe, step = config.Optimizer(learning_rate=1e-2, warmup=1), 3
  with two.scope():
    model = families.build(name)
    update = step_lib.Update(model, optimizer.Adam(recipe, model.trainable_variables), config.Train(optimizer=recipe))
    said = update([families.given(model, BATCH)], step)
  model = families.build(name)
  batch = families.given(model, BATCH)
  seeds = [tf.random.fold_in([0, step_lib.NOISE], 2 * step + part, alg="philox") for part in range(2)]
  with tf.GradientTape() as tape:
    parts = [model.objective(step_lib.share(batch, 2, part), seed=seed, training=True, step=step).terms
             for part, seed in enumerate(seeds)]
    terms = {term: types.Term(sum(part[term].total for part in parts), sum(part[term].count for part in parts),
                              parts[0][term].scale) for term in parts[0]}
    value = types.loss(terms)
  gradients = tape.gradient(value, [v.value for v in model.trainable_variables])
  norm = tf.linalg.global_norm([tf.convert_to_tensor(g) for g in gradients])
  expected = {"loss": value, "gradient_norm": norm} | {
    term: tf.math.divide_no_nan(*terms[term][:2]) for term in terms}
  for term, number in expected.items():
    np.testing.assert_allclose(said[term], number, rtol=1e-4, err_msg=term)


# That of lanmt_score trains its lanmt, and reads it.
@pytest.mark.parametrize("name", families.each(models.FAMILIES, set(models.FAMILIES) - {"lanmt"}), indirect=True)
def test_learns_eight_sentences_by_heart(name):
  families.learns_by_heart(families.build(name, width=32, ffn=64, **families.STILL), families.TINY[name].search)
