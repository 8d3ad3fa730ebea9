"""Folders of any name, although TensorFlow treats some paths as patterns."""
import os
import re

import numpy as np
import pytest
import tensorflow as tf

from tests.train import bigram
from tf_nar.data import paths
from tf_nar.data import pipeline
from tf_nar.serve import loaded
from tf_nar.train import checkpoint

NAMES = ["run[1]", "run[!1]", "a*b", "what?", "{a,b}", "with space", "quo'te", 'dou"ble', "back\\slash", "üml",
         "a(b)|c", "$HOME", "plain"]


def asked(tmp_path, name):
  """Yields a folder's path in the forms that a user may type."""
  return [str(tmp_path / name), f"{tmp_path}/{name}/", name, f"./{name}/"]


@pytest.mark.parametrize("name", NAMES)
def test_checkpoints_are_saved_restored_thinned_out_and_averaged(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  decoy = tmp_path / "run1" / "checkpoints"  # The pattern run[1] would match this.
  decoy.mkdir(parents=True)
  (decoy / "ckpt-000009.index").touch()
  for number, workdir in enumerate(asked(tmp_path, name)):
    model = bigram.Bigram()
    saved = checkpoint.Checkpoints(model, tf.Module(), workdir)
    last = 10 * number + 3
    for step in (last - 2, last - 1, last):
      model.length.assign(step)
      saved.save(step, pipeline.Position(1, step), {last - 1})
    assert saved.steps() == [last - 1, last]
    assert os.path.exists(tmp_path / name / "checkpoints" / f"ckpt-{last:06d}.index")
    assert saved.mean([last - 1, last])[model.length.path] == last - 0.5
    fresh = bigram.Bigram()
    restored = checkpoint.Checkpoints(fresh, tf.Module(), workdir)
    assert restored.restore() == (last, pipeline.Position(1, last)) and fresh.length.numpy() == last
  assert sorted(os.listdir(tmp_path)) == sorted(["run1", name]) and os.listdir(decoy) == ["ckpt-000009.index"]


class Shout(tf.Module):
  """Returns a text in capitals; it has a weight, which TensorFlow finds by a path."""

  def __init__(self):
    super().__init__()
    self.weight = tf.Variable(2.5)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False)
  def translate(self, text):
    return {"translation": tf.strings.upper(text), "score": tf.fill(tf.shape(text), -self.weight)}


@pytest.mark.parametrize("name", ["run[1]", "a*b", "with space", "quo'te", "üml"])
def test_a_saved_model_is_written_and_served(tmp_path, monkeypatch, name):
  monkeypatch.chdir(tmp_path)
  module = Shout()
  (tmp_path / name).mkdir()
  tf.saved_model.save(module, paths.literal(str(tmp_path / name)), {"translate": module.translate})
  assert os.path.exists(tmp_path / name / "variables" / "variables.index")
  for folder in asked(tmp_path, name)[1:3]:
    model = loaded.Model(folder)
    answer, = model.answer("translate", ["a house"])
    assert answer.content == {"translation": "A HOUSE", "score": -2.5}


def test_plain_paths_are_themselves_and_others_links_of_this_process(tmp_path):
  for path in ("runs/x", "./runs/x y/", "gs://bucket/run-1", "üml/~a+b=c@d%e,f"):
    assert paths.literal(path) == path
  (tmp_path / "run[1]").mkdir()
  link = paths.literal(f"{tmp_path}/run[1]")
  assert re.fullmatch(r"[\w/.-]+", link) and os.path.samefile(link, tmp_path / "run[1]")
  assert paths.literal(f"{tmp_path}/run[1]/") == paths.literal(f"{tmp_path}/run[1]") == link
  assert paths.literal(f"{tmp_path}/run[2]") != link


def test_a_place_without_links_is_refused():
  with pytest.raises(ValueError, match=r"^gs://bucket/run\[1\] has characters that TensorFlow treats as a pattern"):
    paths.literal("gs://bucket/run[1]")


def test_the_working_folder_may_have_such_a_name(tmp_path, monkeypatch):
  (tmp_path / "run[1]").mkdir()
  monkeypatch.chdir(tmp_path / "run[1]")
  model = bigram.Bigram()
  saved = checkpoint.Checkpoints(model, tf.Module(), "work")
  saved.save(1, pipeline.Position(), ())
  saved.save(2, pipeline.Position(), ())
  assert saved.steps() == [2] and saved.restore()[0] == 2
  assert np.isfinite(saved.mean([2])[model.length.path])
