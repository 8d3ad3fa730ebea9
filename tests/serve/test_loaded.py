"""A SavedModel offers what it has signatures for; the values of its tensors are returned as plain Python values."""
import json

import pytest
import tensorflow as tf

from tests.serve import planted
from tf_nar.serve import loaded

TEXT = [tf.TensorSpec([None], tf.string, "text")]


class Planted(tf.Module):
  """Has every signature of an export, with known answers."""

  @tf.function(input_signature=TEXT, autograph=False)
  def translate(self, text):
    return {"translation": tf.strings.upper(text), "score": -tf.cast(tf.strings.length(text), tf.float32)}

  @tf.function(input_signature=TEXT, autograph=False)
  def candidates(self, text):
    found = self.translate(text)
    absent = tf.fill([tf.size(text)], "")
    return {"translation": tf.stack([found["translation"], text + "\u00fc", absent], 1),
            "score": found["score"][:, None] + [0.0, -1.0, -float("inf")]}

  @tf.function(input_signature=TEXT, autograph=False)
  def trace(self, text):
    saw = tf.stack([tf.fill([tf.size(text)], "<mask> b"), text], 1)
    return {**self.translate(text), "inputs": saw, "predictions": tf.strings.upper(saw)}

  @tf.function(
    input_signature=[tf.TensorSpec([None], tf.string, name) for name in ("source", "target")], autograph=False)
  def score(self, source, target):
    same = -tf.cast(tf.strings.length(source + target), tf.float32)
    return {"score": tf.where(target == "never", -float("inf"), same)}


def test_threads_are_shared_by_shards(tmp_path, monkeypatch):
  monkeypatch.setattr(loaded.os, "cpu_count", lambda: 8)
  for shards, threads in ((1, 0), (2, 4), (16, 1)):
    save(tmp_path / str(shards), "translate", facts={"shards": shards})
    assert loaded.intra_op_threads(str(tmp_path / str(shards))) == threads


def save(folder, *offers, facts=None):
  """Writes a SavedModel with some of the signatures, and the metadata beside it."""
  model = Planted()
  tf.saved_model.save(model, str(folder), {offer: getattr(model, offer) for offer in offers})
  if facts is not None:
    (folder / "assets.extra").mkdir()
    (folder / loaded.FACTS).write_text(json.dumps(facts))
  return str(folder)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
  facts = {"family": "planted", "max_length": 64, "warm": ["a b", "c d e f g", ""]}
  return loaded.Model(save(tmp_path_factory.mktemp("model"), *loaded.OFFERS, facts=facts))


def contents(model, offer, asked):
  answers = model.answer(offer, asked)
  assert not any(each.truncated for each in answers)
  return [each.content for each in answers]


def test_all_that_can_be_asked(model):
  assert model.offers == loaded.OFFERS and model.facts["family"] == "planted"
  assert contents(model, "translate", ["ab", "c"]) == [
      {"translation": "AB", "score": -2}, {"translation": "C", "score": -1}]
  assert contents(model, "candidates", ["ab", "c"]) == [
      [{"translation": "AB", "score": -2}, {"translation": "ab\u00fc", "score": -3}],
      [{"translation": "C", "score": -1}, {"translation": "c\u00fc", "score": -2}]]
  assert contents(model, "trace", ["ab"]) == [{"translation": "AB", "score": -2, "passes": [
      {"inputs": "<mask> b", "predictions": "<MASK> B"}, {"inputs": "ab", "predictions": "AB"}]}]
  assert contents(model, "score", [("ab", "c"), ("ab", "never")]) == [-3, None]


def test_traces_of_older_models(tmp_path):
  class Older(Planted):
    @tf.function(input_signature=TEXT, autograph=False)
    def trace(self, text):
      passes = tf.stack([text, text], 1)
      return {**self.translate(text), "saw": passes, "said": tf.strings.upper(passes)}

  older = Older()
  tf.saved_model.save(older, str(tmp_path), {"trace": older.trace, "translate": older.translate})
  (answer,) = contents(loaded.Model(str(tmp_path)), "trace", ["ab"])
  assert answer["passes"] == [{"inputs": "ab", "predictions": "AB"}] * 2


def test_truncation_is_what_the_model_says(tmp_path):
  class Cutting(Planted):
    @tf.function(input_signature=TEXT, autograph=False)
    def translate(self, text):
      return {"translation": text, "score": tf.zeros(tf.shape(text)), "truncated": tf.strings.length(text) > 2}

  made = Cutting()
  tf.saved_model.save(made, str(tmp_path), {"translate": made.translate})
  assert [each.truncated for each in loaded.Model(str(tmp_path)).answer("translate", ["a", "abc"])] == [False, True]


def test_warm_ups_are_what_the_model_brings(model):
  warm_ups = list(model.warm_ups(3, 20))
  assert warm_ups[:4] == [("translate", ["a b"]), ("translate", ["a b"] * 3), ("translate", ["c d e f g"]),
                          ("translate", ["c d e f g"] * 2)]
  assert warm_ups[-3:] == [("score", [("a b",) * 2]), ("score", [("a b",) * 2] * 3), ("score", [("c d e f g",) * 2])]
  for warm_up in warm_ups:
    assert len(model.answer(*warm_up)) == len(warm_up[1])
  assert len(list(model.warm_ups(1, 20))) == 8


def test_a_model_that_says_little(tmp_path):
  model = loaded.Model(save(tmp_path / "model", "translate"))
  assert model.offers == ("translate",) and model.facts == {}
  assert [len(texts[0].split()) + 1 for _, texts in model.warm_ups(1, 20)] == list(loaded.LENGTHS)


def test_what_is_no_model_is_refused(tmp_path):
  with pytest.raises(ValueError, match="Expected a SavedModel, got .*/none without a saved_model.pb; give the --out"):
    loaded.Model(str(tmp_path / "none"))
  with pytest.raises(ValueError, match="with the signature translate, got .* with score; give the --out"):
    loaded.Model(save(tmp_path / "model", "score"))


def test_a_planted_model_answers_like_a_loaded_one(model):
  """The tests of the service rely on this."""
  shape = lambda value: ({key: shape(each) for key, each in value.items()} if isinstance(value, dict) else
                         shape(value[0]) if isinstance(value, (list, loaded.Answer)) else type(value))
  for offer, asked in (("translate", "a"), ("candidates", "a"), ("trace", "a"), ("score", ("a", "b"))):
    assert shape(model.answer(offer, [asked])) == shape(planted.Model().answer(offer, [asked]))
