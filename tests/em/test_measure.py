"""The measures of a round, on validation text and files as they occur in practice."""
import dataclasses
import json
import re
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.bin import backwards
from tests.bin import people
from tests.data import folders
from tests.em import minuscule
from tf_nar import config
from tf_nar import runs
from tf_nar.em import measure
from tf_nar.models import ar


@pytest.fixture
def measured(monkeypatch, tmp_path):
  """Returns a function that measures a student of round 0 on a data folder with the validation text `source`."""
  def load_run(workdir, overrides=()):
    experiment = config.Experiment("ar", ar.Config(ar.transformer.Config(max_length=6)), ar.Search(beam=2))
    return SimpleNamespace(experiment=experiment, model=backwards.Backwards(), vocab=people.VOCAB, workdir=workdir)

  monkeypatch.setattr(runs, "load", load_run)

  def run(source, target=None, name="data", pairs=4):
    data = tmp_path / name
    folders.make(data, folders.random_pairs(pairs, longest=4))
    for file, text in (("valid.src", source), ("valid.tgt", source if target is None else target)):
      (data / file).write_bytes(text)
    alternation = dataclasses.replace(minuscule.get_config(), data=None)
    return measure.measure({"student": str(tmp_path / "student")}, str(data), alternation)

  return run


@pytest.mark.parametrize("kind", people.GOOD)
def test_any_validation_text(measured, kind):
  text = people.GOOD[kind]
  if not text.said:
    with pytest.raises(ValueError, match="There is no sentence to evaluate"):
      measured(text.data)
    return
  found = measured(text.data, ("\n".join(text.said) + "\n").encode())
  assert set(found) == {"ncm_raw", "student_bleu", "student_chrf", "student_repeats"}
  assert found["ncm_raw"] == 0.5 or found["ncm_raw"] > 1
  assert 0 <= found["student_bleu"] <= 100.1 and 0 <= found["student_repeats"] <= 1
  said = [line for line in text.said if line]
  if said and not any("<unk>" in line for line in said):
    assert found["student_chrf"] == pytest.approx(100)


@pytest.mark.parametrize("kind", people.BAD)
def test_validation_text_that_is_none(measured, kind):
  data, message = people.BAD[kind]
  with pytest.raises(ValueError, match=message.format(".*valid.src")):
    measured(data)


@pytest.mark.parametrize("name", people.NAMES)
def test_data_folders_of_any_name(measured, name):
  assert measured(b"a b\n", b"b a\n", name)["student_chrf"] == pytest.approx(100)


def test_pairs_without_probability_have_no_ncm(measured, monkeypatch):
  monkeypatch.setattr(backwards.Backwards, "score", lambda self, src, tgt: tf.fill([tf.shape(tgt)[0]], -float("inf")))
  assert "ncm_raw" not in measured(b"a\n")


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"\0"])
def test_broken_measures_are_named(tmp_path, data):
  (tmp_path / "measures.json").write_bytes(data)
  with pytest.raises(ValueError, match=re.escape(f"{tmp_path}/measures.json")):
    measure.read(str(tmp_path))


@pytest.mark.parametrize("name", [*people.NAMES, "new/er/"])
def test_measures_are_written_and_read(tmp_path, name):
  assert measure.read(str(tmp_path / name)) == {}
  measure.write({"ncm_raw": 0.5}, str(tmp_path / name))
  assert measure.read(str(tmp_path / name)) == {"ncm_raw": 0.5}
  assert [json.loads(path.read_text()) for path in tmp_path.rglob("*") if path.is_file()] == [{"ncm_raw": 0.5}]


def test_measures_on_a_full_disk_leave_nothing(tmp_path):
  (tmp_path / "measures.json").symlink_to("/dev/full")
  with pytest.raises(OSError, match="No space left on device: '.*measures.json'"):
    measure.write({"ncm_raw": 0.5}, str(tmp_path))
  assert people.listed(tmp_path) == ["measures.json"]
