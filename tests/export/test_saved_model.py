"""The exported model says what the run says, whatever the shapes; what cannot be exported leaves nothing."""
import json
import os
from typing import Any, NamedTuple

import numpy as np
import pytest
import tensorflow as tf

from tests.export import tiny
from tf_nar import runs
from tf_nar import types
from tf_nar.evaluate import corpus
from tf_nar.evaluate import rescoring
from tf_nar.export import metadata
from tf_nar.export import saved_model
from tf_nar.export import verify

CASES = {
  "ar, bpe": dict(family="ar", vocab="bpe", beam=2, extra_length=3),
  "ar, bfloat16": dict(family="ar", vocab="words", dtype="mixed_bfloat16", beam=2, nbest=2),
  "nat_em, sentencepiece": dict(family="nat_em", vocab="sentencepiece", odd=True, lengths=3),
  "nat_em, words": dict(family="nat_em", vocab="words", odd=False),
}
TEXTS = ["a new low tower", "", "the   house ☃ is", "   ", "a " * 30, "tower"]


class Exported(NamedTuple):
  run: runs.Run
  search: Any  # What `corpus.searcher` makes of it.
  out: str
  model: Any  # Loaded again; its functions live as long as it does.


def load(folder, case):
  settings = {**case, "vocab": tiny.VOCABULARIES[case["vocab"]]()}
  run = runs.load(tiny.make(folder, **settings))
  return run, corpus.searcher(run.model, run.experiment.search)


@pytest.fixture(scope="module", params=CASES)
def exported(request, tmp_path_factory):
  """A run and its SavedModel, which no process has checked."""
  folder = tmp_path_factory.mktemp("exported")
  (folder / "out.tmp").mkdir()
  (folder / "out.tmp/old").touch()  # As a killed export leaves it.
  run, search = load(folder / "run", CASES[request.param])
  with pytest.MonkeyPatch.context() as patch:
    patch.setattr(verify, "check", lambda *_: None)
    saved_model.export(run, search, f"{folder}/out/")
  return Exported(run, search, f"{folder}/out", tf.saved_model.load(f"{folder}/out"))


@pytest.fixture
def unchecked(monkeypatch):
  monkeypatch.setattr(verify, "check", lambda *_: None)


def by_corpus(search, rows):
  """The first candidates of rows of ids, as bin/translate.py finds them, one sentence at a time."""
  found = [corpus.translate(search, [row], tokens_per_batch=64, longest=tiny.MAX_LENGTH)[0] for row in rows]
  return [candidates[0] for candidates in found]


def test_translate_equals_the_run(exported):
  run = exported.run
  found = exported.model.translate(tf.constant(TEXTS))
  rows = [[*run.vocab.encode(text)[:tiny.MAX_LENGTH - 1], types.EOS] for text in TEXTS]
  wanted = by_corpus(exported.search, rows)
  said = [line.decode() for line in found["translation"].numpy()]
  assert said == [run.vocab.decode(one.tokens) for one in wanted]
  # One at a time and padded together, products are added in another order.
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
  text = {"translation": (tf.string, 1), "score": (tf.float32, 1)}
  assert kinds == {"translate": text, "serving_default": text,
                   "translate_ids": {"ids": (tf.int32, 2), "score": (tf.float32, 1)}}


def test_a_fresh_process_says_the_same(tmp_path):
  run, search = load(tmp_path / "run", CASES["ar, bpe"])
  saved_model.export(run, search, str(tmp_path / "out"))
  assert sorted(os.listdir(tmp_path)) == ["out", "run"]


def test_a_difference_leaves_nothing(tmp_path, monkeypatch):
  run, search = load(tmp_path / "run", CASES["nat_em, words"])

  def ask(folder, texts, ids):  # Says everything rightly, but for a score.
    pairs = verify.live(run, search, ids)
    scores = [score for _, score in pairs]
    return {"text": [text for text, _ in pairs], "text_score": [scores[0] + 1e-3, *scores[1:]],
            "ids": search(ids).tokens[:, 0].numpy().tolist(), "ids_score": scores}

  monkeypatch.setattr(verify, "ask", ask)
  with pytest.raises(RuntimeError, match="The exported translate makes .* the run .*: nothing was exported"):
    saved_model.export(run, search, str(tmp_path / "out"))
  assert os.listdir(tmp_path) == ["run"]


def test_a_model_that_cannot_be_loaded_is_told(tmp_path, monkeypatch):
  monkeypatch.setattr(verify, "PROGRAM", "raise OSError('no such op')")
  with pytest.raises(RuntimeError, match="by a fresh process: OSError: no such op; nothing was exported"):
    verify.ask(str(tmp_path), [], np.zeros([0, 0]))


def test_the_fresh_process_has_no_path_here(tmp_path, monkeypatch):
  monkeypatch.setenv("PYTHONPATH", os.getcwd())
  monkeypatch.setattr(verify, "PROGRAM", "import json, os, sys; print(json.dumps([os.getcwd(), sys.path]))")
  folder, path = verify.ask(str(tmp_path), [], np.zeros([0, 0]))
  assert folder != os.getcwd() and os.getcwd() not in path


def test_a_teacher_is_inside(tmp_path, unchecked):
  vocab = tiny.VOCABULARIES["words"]()
  run = runs.load(tiny.make(tmp_path / "nat", "nat_em", vocab, lengths=5))
  teacher = runs.load(tiny.make(tmp_path / "ar", "ar", vocab))
  search = corpus.searcher(run.model, run.experiment.search, rescoring.by(teacher, run))
  saved_model.export(run, search, str(tmp_path / "out"), teacher)
  ids = verify.encode(TEXTS[:1] + TEXTS[2:3], vocab, tiny.MAX_LENGTH)
  model = tf.saved_model.load(str(tmp_path / "out"))
  found = model.translate_ids(tf.constant(ids))
  np.testing.assert_allclose(found["score"], search(ids).score[:, 0], atol=1e-4)
  alone = corpus.searcher(run.model, run.experiment.search)(ids)
  assert abs(found["score"] - alone.score[:, 0]).numpy().min() > 1e-2
  assert json.loads((tmp_path / "out/assets.extra/metadata.json").read_text())["rescored_by"] == "ar"


def test_metadata(exported, tmp_path):
  run = exported.run
  with open(f"{exported.out}/assets.extra/metadata.json", encoding="utf-8") as file:
    facts = json.load(file)
  assert facts["family"] == run.experiment.family
  assert facts["search"] == vars(run.experiment.search)
  assert facts["vocabulary_sha256"] == run.vocab.sha256 and facts["tokenization"] == run.vocab.tokenization
  assert facts["versions"]["tensorflow"] == tf.__version__
  assert facts["valid_bleu"] is None and facts["rescored_by"] is None
  rows = ['{"step": 1, "valid_bleu": 7}', '{"step": 2, "valid_bleu": 9.5}', '{"step": 3}', '{"st']
  (tmp_path / metadata.LOG).write_text("\n".join(rows))
  assert metadata.describe(run._replace(workdir=str(tmp_path)))["valid_bleu"] == 9.5


def test_no_export_over_another(exported):
  with pytest.raises(ValueError, match="out is there already; choose another --out, or remove it"):
    saved_model.export(exported.run, exported.search, exported.out)
  files = ["assets", "assets.extra", "fingerprint.pb", "saved_model.pb", "variables"]
  assert sorted(os.listdir(exported.out)) == files
  assert sorted(os.listdir(os.path.dirname(exported.out))) == ["out", "run"]
