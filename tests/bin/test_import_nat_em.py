"""A checkpoint of the original program becomes a run (TF_NAR_GOLDEN)."""
import dataclasses

import numpy as np
import pytest
import tensorflow as tf

from tf_nar import runs
from tf_nar import types
from tf_nar.cli.import_nat_em import import_run

SCORES = {"at": "ar_score", "nat": "nar_score"}


def paths(golden, kind):
  folder = golden / "tf1_checkpoint"
  return str(folder / kind / "model.ckpt-600"), str(folder / kind / "model_config.json"), str(folder / "vocab")


@pytest.mark.parametrize("kind", ["at", "nat"])
def test_imported_run_scores_as_the_original(golden, tmp_path, kind):
  import_run(*paths(golden, kind), 5, str(tmp_path / "run"))
  run = runs.load(str(tmp_path / "run"))
  numbers = np.load(golden / "nat_em_tiny.npz")
  cut = lambda side: tf.constant(np.where(
    np.arange(40) < numbers[f"{side}_length"][:, None], numbers[side], types.PAD), tf.int32)
  np.testing.assert_allclose(run.model.score(cut("source"), cut("target")), numbers[SCORES[kind]], rtol=1e-5, atol=1e-5)
  assert run.vocab.decode(run.vocab.encode("w3 w7 w0")) == "w3 w7 w0"
  search = dataclasses.replace(run.experiment.search)
  assert run.model.translate(cut("source"), search).tokens.shape[0] == 12


def test_another_vocabulary_is_refused(golden, tmp_path):
  with pytest.raises(ValueError, match=r"tokens with a count of 1000000 or more, the model has 44"):
    import_run(*paths(golden, "at"), 1_000_000, str(tmp_path / "run"))


def test_a_missing_checkpoint_is_refused(tmp_path):
  with pytest.raises(FileNotFoundError, match=r"No checkpoint .*nowhere: there is no .*\.index; give its prefix"):
    import_run(str(tmp_path / "nowhere"), "x", "y", 5, str(tmp_path / "run"))


def test_a_missing_file_is_refused(tmp_path):
  scope = {"Trasnformer/v": tf.Variable(1.0)}
  tf.raw_ops.SaveV2(prefix=str(tmp_path / "ckpt"), tensor_names=list(scope), shape_and_slices=[""],
                    tensors=list(scope.values()))
  (tmp_path / "vocab").write_text("a 9\n")
  (tmp_path / "sizes.json").write_text('{"num_heads": 4}')
  at = lambda name: str(tmp_path / name)
  for config, vocab, problem, message in (
    ("none.json", "vocab", FileNotFoundError, "No file .*none.json; give as --model_config"),
    ("sizes.json", "none", FileNotFoundError, "No file .*none; give as --vocab"),
    ("sizes.json", "vocab", ValueError, "sizes.json has no 'vocab_size'; give the model_config.json that"),
  ):
    with pytest.raises(problem, match=message):
      import_run(at("ckpt"), at(config), at(vocab), 5, at("run"))
  assert not (tmp_path / "run").exists()


def test_another_program_is_refused(tmp_path):
  tf.train.Checkpoint(v=tf.Variable(1.0)).write(str(tmp_path / "other"))
  with pytest.raises(ValueError, match=r"No variable of the original program"):
    import_run(str(tmp_path / "other"), "x", "y", 5, str(tmp_path / "run"))
