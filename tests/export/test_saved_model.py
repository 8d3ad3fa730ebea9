"""The exported model returns what the run returns, whatever the shapes; a failed export leaves nothing behind."""
import json
import os
import pathlib
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf
from tensorflow.core.framework import types_pb2
from tensorflow.core.protobuf import saved_model_pb2

from tests.export import tiny
from tf_nar import runs
from tf_nar import translator
from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.evaluate import rescoring
from tf_nar.evaluate import tracing
from tf_nar.evaluate import unknown
from tf_nar.export import metadata
from tf_nar.export import saved_model
from tf_nar.export import verify

CASES = {
  "ar, bpe": dict(family="ar", vocab="bpe", beam=2, extra_length=3),
  "ar, bfloat16": dict(family="ar", vocab="words", dtype="mixed_bfloat16", beam=2, candidates=2),
  "nat_em, sentencepiece": dict(family="nat_em", vocab="sentencepiece", odd=True, candidates=3),
  "nat_em, words": dict(family="nat_em", vocab="words", odd=False),
  "cmlm, words": dict(family="cmlm", vocab="words", passes=3, candidates=2),
}
TEXTS = ["a new low tower", "", "the   house ☃ is", "   ", "a " * 30, "tower"]


class Exported(NamedTuple):
  run: runs.Run
  search: Any  # From `corpus.searcher`.
  trace: Any  # From `tracing.searcher`, if its search has passes; else None.
  out: str
  model: Any  # Loaded again; kept, as its functions live only as long as it does.


def load(folder, case):
  settings = {**case, "vocab": tiny.VOCABULARIES[case["vocab"]]()}
  run = runs.load(tiny.make(folder, **settings))
  parts = run.model, run.experiment.search
  return run, corpus.searcher(*parts), tracing.searcher(*parts) if hasattr(run.model, "trace") else None


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
  """A run and its SavedModel, exported without the check in another process."""
  folder = tmp_path_factory.mktemp("exported")
  (folder / "out.tmp").mkdir()
  (folder / "out.tmp/old").touch()  # Not a temporary name of ours, so an export must leave it alone.
  run, search, trace = load(folder / "run", CASES[request.param])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(verify, "check", lambda *_: None)
    saved_model.export(run, search, f"{folder}/out/", trace=trace)
  return Exported(run, search, trace, f"{folder}/out", tf.saved_model.load(f"{folder}/out"))


@pytest.fixture
def unchecked(monkeypatch):
  monkeypatch.setattr(verify, "check", lambda *_: None)


def test_unknown_words_are_copied(tmp_path):
  run = runs.load(tiny.make(tmp_path / "run", "nat_em", tiny.VOCABULARIES["words"](), unknown=True, candidates=3))
  search, texts = corpus.searcher(run.model, run.experiment.search), ["☃ ☃", "the ☃ house", "", "❄ ☃ a"]
  module, _ = saved_model.build(run, search, copies=True)
  ids = verify.encode(texts, run.vocab, tiny.MAX_LENGTH)
  copy = verify.copying(unknown.Copier(run, 64), texts, ids)
  wanted = [[text for text, _ in row] for row in verify.live(run, search, ids, copy)["candidates"]]
  found = module.candidates(tf.constant(texts))["translation"].numpy()
  assert [[text.decode() for text in row] for row in found] == wanted and "☃" in "".join(wanted[0])
  assert [text.decode() for text in module.translate(tf.constant(texts))["translation"].numpy()] == [
    row[0] for row in wanted]
  assert module.translate(tf.constant([], tf.string))["translation"].shape == [0]


def by_corpus(search, rows):
  """Returns the first candidate of each row of ids as bin/translate.py finds it, one sentence at a time."""
  found = [corpus.translate(search, [row], tokens_per_batch=64, longest=tiny.MAX_LENGTH)[0] for row in rows]
  return [candidates[0] for candidates in found]


def test_translate_equals_the_run(exported):
  run = exported.run
  found = exported.model.translate(tf.constant(TEXTS))
  rows = [[*run.vocab.encode(text)[:tiny.MAX_LENGTH - 1], types.EOS] for text in TEXTS]
  wanted = by_corpus(exported.search, rows)
  said = [line.decode() for line in found["translation"].numpy()]
  assert said == [run.vocab.decode(one.tokens) for one in wanted]
  # Alone and padded in a batch, sums are taken in another order.
  tolerance = 3e-2 if run.experiment.model.net.dtype == "mixed_bfloat16" else 1e-4
  np.testing.assert_allclose(found["score"], [one.score for one in wanted], atol=tolerance)
  assert said[1] == said[3] == "" and found["score"].numpy()[[1, 3]].tolist() == [0, 0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5), (2, tiny.MAX_LENGTH), (5, tiny.MAX_LENGTH + 9)])
def test_translate_ids_takes_every_shape(exported, shape):
  ids = np.random.default_rng(0).integers(5, len(exported.run.vocab), shape).astype(np.int32)
  ids[:, -1] = types.EOS
  cut = np.where(np.arange(shape[1]) == tiny.MAX_LENGTH - 1, types.EOS, ids)[:, :tiny.MAX_LENGTH]
  found = exported.model.signatures["translate_ids"](ids=tf.constant(ids))
  if shape[1] == 1:  # EOS alone.
    assert (found["ids"].numpy()[:, 0] == types.EOS).all() and not found["ids"].numpy()[:, 1:].any()
    assert not found["score"].numpy().any()
  else:
    wanted = exported.search(cut)
    np.testing.assert_array_equal(found["ids"], wanted.tokens[:, 0])
    np.testing.assert_allclose(found["score"], wanted.score[:, 0], atol=1e-4)


def test_blank_and_empty_batches(exported):
  model = exported.model
  for shape in ((2, 0), (2, 4)):
    found = model.translate_ids(tf.fill(shape, types.PAD))
    assert found["ids"].numpy()[:, 0].tolist() == [types.EOS] * 2
    assert found["score"].numpy().tolist() == [0, 0]
  assert model.translate(tf.constant([], tf.string))["translation"].shape == [0]
  assert model.translate_ids(tf.zeros([0, 3], tf.int32))["score"].shape == [0]


def test_signatures(exported):
  signatures = exported.model.signatures
  kinds = {name: {key: (spec.dtype, spec.shape.rank) for key, spec in one.structured_outputs.items()}
           for name, one in signatures.items()}
  score = {"score": (tf.float32, 1), "truncated": (tf.bool, 1)}
  text = {"translation": (tf.string, 1)} | score
  passes = {"trace": text | {"inputs": (tf.string, 2), "predictions": (tf.string, 2)}} if exported.trace else {}
  assert kinds == {"translate": text, "serving_default": text, "score": score, "score_ids": score,
                   "translate_ids": {"ids": (tf.int32, 2)} | score,
                   "candidates_ids": {"ids": (tf.int32, 3)} | score | {"score": (tf.float32, 2)},
                   "candidates": {"translation": (tf.string, 2)} | score | {"score": (tf.float32, 2)}} | passes


def test_what_is_truncated_is_said(exported):
  texts = [TEXTS[5], TEXTS[4], TEXTS[1]]  # One has 30 words.
  for name in ("translate", "candidates"):
    assert getattr(exported.model, name)(tf.constant(texts))["truncated"].numpy().tolist() == [False, True, False]
  ids = [[types.UNK] * count + [types.EOS] + [types.PAD] * (12 - count) for count in (1, 11, 12)]
  found = exported.model.translate_ids(tf.constant(ids, tf.int32))
  assert found["truncated"].numpy().tolist() == [False, False, True]
  found = exported.model.signatures["score"](source=tf.constant(texts), target=tf.constant(texts[::-1]))
  assert found["truncated"].numpy().tolist() == [False, True, False]


def test_candidates_are_those_of_the_search(exported):
  found = exported.model.candidates(tf.constant(TEXTS))
  best = exported.model.translate(tf.constant(TEXTS))
  np.testing.assert_array_equal(found["translation"][:, 0], best["translation"])
  np.testing.assert_array_equal(found["score"][:, 0], best["score"])
  ids = verify.encode(TEXTS, exported.run.vocab, tiny.MAX_LENGTH)
  wanted = verify.live(exported.run, exported.search, ids)["candidates"]
  texts, scores = ([[each[part] for each in row] for row in wanted] for part in (0, 1))
  assert [[text.decode() for text in row] for row in found["translation"].numpy()] == texts
  np.testing.assert_allclose(found["score"], scores, atol=1e-4)
  count = exported.run.experiment.search.candidates
  assert found["score"].shape == [len(TEXTS), count]
  assert np.isneginf(found["score"].numpy()[1, 1:]).all() and texts[1] == [""] * count


def test_score_is_that_of_the_model(exported):
  run, targets = exported.run, [*TEXTS[1:], TEXTS[0]]
  found = exported.model.signatures["score"](source=tf.constant(TEXTS), target=tf.constant(targets))["score"].numpy()
  pairs = [tuple([*run.vocab.encode(text), types.EOS] for text in pair) for pair in zip(TEXTS, targets, strict=True)]
  pairs = [(source[:tiny.MAX_LENGTH - 1] + source[-1:] if len(source) > tiny.MAX_LENGTH else source, target)
           for source, target in pairs]
  wanted = corpus.score(corpus.scorer(run.model), pairs, tokens_per_batch=64, longest=tiny.MAX_LENGTH)
  tolerance = 3e-2 if run.experiment.model.net.dtype == "mixed_bfloat16" else 1e-4
  np.testing.assert_allclose(found, wanted, atol=tolerance)
  assert np.isneginf(found[3]) and np.isfinite(np.delete(found, 3)).all()  # The long one cannot be said.


def test_trace_shows_the_passes_of_the_best(exported):
  if exported.trace is None:
    assert "trace" not in exported.model.signatures
    return
  found = exported.model.signatures["trace"](text=tf.constant(TEXTS))
  best = exported.model.translate(tf.constant(TEXTS))
  for name in ("translation", "score"):
    np.testing.assert_array_equal(found[name], best[name])
  passes = tracing.tracer(exported.run, exported.run.experiment.search)
  wanted = passes([*exported.run.vocab.encode(TEXTS[0]), types.EOS])
  for name, which in (("inputs", 0), ("predictions", 1)):
    shown = [text.decode() for text in found[name].numpy()[0]]
    assert shown == [" ".join(step[which]) for step in wanted] and not any(found[name].numpy()[1])
  assert set(found["inputs"].numpy()[0, 0].decode().split()) == {"<mask>"}


def test_nothing_is_pinned_to_a_device(exported):
  graph = saved_model_pb2.SavedModel.FromString(pathlib.Path(exported.out, "saved_model.pb").read_bytes())
  for meta in graph.meta_graphs:
    of_files = "traced_save", "traced_restore"  # TensorFlow's own functions, which read and write files on the host.
    functions = [f for f in meta.graph_def.library.function if not any(name in f.signature.name for name in of_files)]
    inside = [node for f in functions for node in f.node_def]
    assert len(inside) > 100 and not any(node.device for node in inside)
    outside = [node for node in meta.graph_def.node if node.device]
    assert [(node.op, node.attr["dtype"].type) for node in outside] == [("Const", types_pb2.DT_STRING)]  # Of a save.


def test_a_model_made_under_a_strategy_exports_without_it(tmp_path, two, unchecked):
  with two.scope():
    run = runs.load(tiny.make(tmp_path / "run", "nat_em", tiny.VOCABULARIES["words"]()))
  alone, search, _ = load(tmp_path / "alone", CASES["nat_em, words"])
  saved_model.export(run, corpus.searcher(run.model, alone.experiment.search), str(tmp_path / "out"))
  ids = verify.encode(TEXTS, run.vocab, tiny.MAX_LENGTH)
  model = tf.saved_model.load(str(tmp_path / "out"))
  np.testing.assert_allclose(
    model.translate_ids(tf.constant(ids))["score"].numpy()[[0, 2]], search(ids).score[:, 0].numpy()[[0, 2]], atol=1e-4)
  assert len(model.weights) == len(alone.model.variables)


def test_a_fresh_process_says_the_same(exported, one_process):
  score = saved_model.traced(exported.run.model.score, *[saved_model.IDS] * 2)
  verify.check(exported.out, exported.run, exported.search, score, exported.trace)


slow = lambda case: pytest.param(case, marks=pytest.mark.slow)


# Each in a process of its own, as weights are frozen for the life of one: a loop with a cache, and one pass.
@pytest.mark.parametrize("exported", ["ar, bpe", slow("ar, bfloat16"), slow("nat_em, sentencepiece"), "nat_em, words",
                                      slow("cmlm, words")], indirect=True)
def test_weights_that_are_assumed_frozen_say_the_same(exported, monkeypatch):
  monkeypatch.setenv("TF_ONEDNN_ASSUME_FROZEN_WEIGHTS", "1")
  texts = [TEXTS[0], TEXTS[5], TEXTS[2]]
  found = verify.ask(exported.out, {"translate": {"text": texts}, "serving_default": {"text": texts[::-1]}})
  first, second = found["translate"], found["serving_default"]
  wanted = exported.model.translate(tf.constant(texts))
  said = [text.decode() for text in wanted["translation"].numpy()]
  tolerance = 3e-2 if exported.run.experiment.model.net.dtype == "mixed_bfloat16" else 1e-4
  assert first["translation"] == said and second["translation"] == said[::-1]
  np.testing.assert_allclose(first["score"], wanted["score"], atol=tolerance)


def test_bfloat16_weights_are_half_the_size(tmp_path, unchecked):
  sizes = {}
  for dtype in ("float32", "bfloat16"):
    run = runs.load(
      tiny.make(tmp_path / dtype, "nat_em", tiny.VOCABULARIES["words"](), width=64), [f"model.net.dtype={dtype}"])
    search = corpus.searcher(run.model, run.experiment.search)
    saved_model.export(run, search, str(tmp_path / f"{dtype}_out"))
    sizes[dtype] = sum(file.stat().st_size for file in (tmp_path / f"{dtype}_out/variables").iterdir())
    model = tf.saved_model.load(str(tmp_path / f"{dtype}_out"))
    found = model.candidates(tf.constant(TEXTS[:1]))
    wanted = verify.live(run, search, verify.encode(TEXTS[:1], run.vocab, tiny.MAX_LENGTH))["candidates"]
    assert found["translation"].numpy()[0, 0].decode() == wanted[0][0][0]
    np.testing.assert_allclose(found["score"][0, 0], wanted[0][0][1], atol=1e-4)
  assert sizes["bfloat16"] < 0.6 * sizes["float32"]
  assert {v.dtype for v in model.weights} == {tf.bfloat16, tf.float32}


def test_a_difference_leaves_nothing(tmp_path, monkeypatch):
  run, search, _ = load(tmp_path / "run", CASES["nat_em, words"])
  ask = verify.ask

  def nearly(folder, asked):  # Everything is right but one score.
    found = ask(folder, asked)
    found["translate"]["score"][0] += 1e-3
    return found

  monkeypatch.setattr(verify, "ask", nearly)
  with pytest.raises(RuntimeError, match="The exported translate returns .* for .*, the run .*: nothing was exported"):
    saved_model.export(run, search, str(tmp_path / "out"))
  assert os.listdir(tmp_path) == ["run"]


@pytest.mark.parametrize("said, other", [
  ({"score": [-1.0]}, {"score": [-1.001]}),
  ({"translation": [["a", "b"]], "score": [[-1.0, -2.0]]}, {"translation": [["a", "c"]]}),
  ({"translation": [["a", ""]], "score": [[-1.0, -np.inf]]}, {"score": [[-1.0, -9.0]]}),
  ({"translation": ["a"], "score": [-1.0], "inputs": [["<mask>", "a"]], "predictions": [["a", "a"]]},
   {"inputs": [["a", "a"]]}),
])
def test_what_a_signature_says_is_compared_whole(said, other):
  ours, theirs = (verify.answers(found, None)[0] for found in (said, said | other))
  assert verify.alike(ours, ours, 1e-4) and not verify.alike(ours, theirs, 1e-4)


def test_a_model_that_cannot_be_loaded_is_told(tmp_path, monkeypatch):
  monkeypatch.setattr(verify, "PROGRAM", "raise OSError('no such op')")
  with pytest.raises(RuntimeError, match="by a fresh process: OSError: no such op; nothing was exported"):
    verify.ask(str(tmp_path), {})


def test_the_fresh_process_has_no_path_here(tmp_path, monkeypatch):
  monkeypatch.setenv("PYTHONPATH", os.getcwd())
  monkeypatch.setattr(verify, "PROGRAM", "import json, os, sys; print(json.dumps([os.getcwd(), sys.path]))")
  folder, path = verify.ask(str(tmp_path), {})
  assert folder != os.getcwd() and os.getcwd() not in path


def test_a_teacher_is_inside(tmp_path, unchecked):
  vocab = tiny.VOCABULARIES["words"]()
  run = runs.load(tiny.make(tmp_path / "nat", "nat_em", vocab, candidates=5))
  teacher = runs.load(tiny.make(tmp_path / "ar", "ar", vocab))
  search = corpus.searcher(run.model, run.experiment.search, rescoring.by(teacher, run, run.experiment.search))
  saved_model.export(run, search, str(tmp_path / "out"), teacher)
  ids = verify.encode(TEXTS[:1] + TEXTS[2:3], vocab, tiny.MAX_LENGTH)
  model = tf.saved_model.load(str(tmp_path / "out"))
  found = model.translate_ids(tf.constant(ids))
  np.testing.assert_allclose(found["score"], search(ids).score[:, 0], atol=1e-4)
  alone = corpus.searcher(run.model, run.experiment.search)(ids)
  assert abs(found["score"] - alone.score[:, 0]).numpy().min() > 1e-2
  assert json.loads((tmp_path / "out/assets.extra/metadata.json").read_text())["rescored_by"] == "ar"


def test_a_drafter_is_inside(tmp_path, unchecked):
  vocab = tiny.VOCABULARIES["words"]()
  teacher, student = (tiny.make(tmp_path / name, name, vocab) for name in ("ar", "nat_em"))
  drafted = translator.load(teacher, draft_with=student)
  saved_model.export(drafted.run, drafted.searcher(), str(tmp_path / "out"))
  model = tf.saved_model.load(str(tmp_path / "out"))
  said = [text.decode() for text in model.translate(tf.constant(TEXTS))["translation"].numpy()]
  assert said == translator.load(teacher, "search.draft_block=1", draft_with=student).translate(TEXTS)
  assert len(model.weights) == len(drafted.run.model.variables)
  assert json.loads((tmp_path / "out/assets.extra/metadata.json").read_text())["drafted_by"] == "nat_em"
  assert "| Drafts | by a model of the family nat_em, which is inside too" in (tmp_path / "out/README.md").read_text()


def test_metadata(exported, tmp_path):
  run = exported.run
  with open(f"{exported.out}/assets.extra/metadata.json", encoding="utf-8") as file:
    facts = json.load(file)
  assert facts["family"] == run.experiment.family
  # One encoder block of six products, decoder blocks from the keys of its memory on, and the output layer.
  assert facts["products_in_a_row"] >= 6 * run.experiment.model.net.encoder_layers + 7
  assert facts["search"] == vars(run.experiment.search)
  assert facts["vocabulary_sha256"] == run.vocab.sha256 and facts["tokenization"] == run.vocab.tokenization
  assert facts["versions"]["tensorflow"] == tf.__version__
  assert facts["valid_bleu"] is None and facts["rescored_by"] is None
  rows = ['{"step": 1, "valid_bleu": 7}', '{"step": 2, "valid_bleu": 9.5}', '{"step": 3}', '{"st']
  (tmp_path / metadata.LOG).write_text("\n".join(rows))
  assert metadata.describe(run._replace(workdir=str(tmp_path)), {})["valid_bleu"] == 9.5
  assert facts["signatures"] == sorted({*exported.model.signatures} - {"serving_default"})
  assert facts["buckets"] == [8, 12] and len(facts["warm"]) == 2


def test_no_export_over_another(exported):
  with pytest.raises(FileExistsError, match="out already exists and is not an empty folder; remove it, or choose"):
    saved_model.export(exported.run, exported.search, exported.out)
  files = ["README.md", "assets", "assets.extra", "fingerprint.pb", "saved_model.pb", "variables"]
  assert sorted(os.listdir(exported.out)) == files
  assert sorted(os.listdir(os.path.dirname(exported.out))) == ["out", "out.tmp", "run"]
