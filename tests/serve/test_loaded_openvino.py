"""A server offers what an OpenVINO folder can do."""
import json

import pytest

from tf_nar.serve import loaded
from tf_nar.serve import loaded_openvino

PROGRAM = """
class Translator:
  def __init__(self, folder):
    self.folder = folder

  def answers(self, lines):
    return [([(line.upper(), -1.5), (line, -float("inf"))], len(line) > 5) for line in lines]
"""


@pytest.fixture
def folder(tmp_path):
  for name, text in (("model.xml", ""), ("translate.py", PROGRAM), ("metadata.json", json.dumps({"warm": ["a", ""]}))):
    (tmp_path / name).write_text(text)
  return tmp_path


def test_it_answers_as_a_saved_model_does(folder):
  assert loaded_openvino.is_in(folder)
  model = loaded_openvino.Model(str(folder))
  assert model.offers == ("translate", "candidates") and model.facts == {"warm": ["a", ""]}
  best = {"translation": "ABC", "score": -1.5}
  assert model.answer("translate", ["abc", "abcdef"]) == [
    loaded.Answer(best, False), loaded.Answer({"translation": "ABCDEF", "score": -1.5}, True)]
  assert model.answer("candidates", ["abc"]) == [loaded.Answer([best], False)]
  assert list(model.warm_ups(max_batch=2, max_characters=9)) == [
    (offer, ["a"] * size) for offer in model.offers for size in (1, 2)]


def test_it_refuses(folder):
  (folder / "translate.py").write_text("import no_such_package")
  with pytest.raises(ImportError, match="no_such_package is missing, which .* needs; pip install"):
    loaded_openvino.Model(str(folder))
  (folder / "model.xml").unlink()
  assert not loaded_openvino.is_in(folder)
  with pytest.raises(ValueError, match="Expected an OpenVINO model, got .* without a model.xml; give the --out"):
    loaded_openvino.Model(str(folder))
