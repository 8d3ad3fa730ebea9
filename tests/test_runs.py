import dataclasses
import json

import numpy as np
import pytest

from tests.conformance import families
from tf_nar import config
from tf_nar import runs
from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.models import ar
from tf_nar.models import cmlm
from tf_nar.models import nat_em

TINY = families.TINY["ar"]
EXPERIMENT = config.Experiment("ar", TINY.config, TINY.search, config.Train(steps=7))
VOCAB = families.VOCAB
OTHER_VOCAB = vocab_lib.WordList([*types.SPECIALS, *(f"x{n}" for n in range(15))])


def weights(model):
  return {v.path: v.numpy() for v in model.variables}


def resized(**net):
  return dataclasses.replace(EXPERIMENT, model=ar.Config(dataclasses.replace(families.NET, **net)))


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """A run with its own random weights."""
  workdir = str(tmp_path_factory.mktemp("runs") / "finished")
  run = runs.create(EXPERIMENT, VOCAB, workdir)
  runs.save_weights(weights(families.build("ar", seed=5)), workdir)
  runs.load_weights(run.model, workdir)
  return run


@pytest.fixture
def untrained(tmp_path):
  return runs.create(EXPERIMENT, VOCAB, str(tmp_path))


def test_round_trip(finished):
  loaded = runs.load(finished.workdir)
  assert loaded.experiment == finished.experiment
  assert loaded.experiment.model.net.vocab == len(VOCAB)
  assert (loaded.vocab.sha256, loaded.workdir) == (VOCAB.sha256, finished.workdir)
  saved, read = weights(families.build("ar", seed=5)), weights(loaded.model)
  assert read.keys() == saved.keys()
  for path, value in read.items():
    np.testing.assert_array_equal(value, saved[path], err_msg=path)


def test_a_run_can_be_searched_otherwise(finished):
  loaded = runs.load(finished.workdir, ["search.beam=1", "search.candidates=1"])
  assert (loaded.experiment.search.beam, finished.experiment.search.beam) == (1, 3)


def test_weights_are_of_the_seed(tmp_path, untrained):
  again = runs.create(EXPERIMENT, VOCAB, str(tmp_path))
  other = dataclasses.replace(EXPERIMENT, train=config.Train(seed=1))
  different = runs.create(other, VOCAB, str(tmp_path / "other"))
  np.testing.assert_array_equal(again.model.embed.table, untrained.model.embed.table)
  assert not np.array_equal(different.model.embed.table, untrained.model.embed.table)


def test_training_settings_may_change_on_the_way(tmp_path, untrained):
  runs.create(dataclasses.replace(EXPERIMENT, train=config.Train(steps=9)), VOCAB, str(tmp_path))
  assert json.loads((tmp_path / runs.CONFIG).read_text())["train"]["steps"] == 9


def test_a_finished_run_keeps_its_settings(finished):
  workdir = finished.workdir
  assert runs.create(EXPERIMENT, VOCAB, workdir).experiment == finished.experiment
  for train in (config.Train(steps=6), config.Train(steps=7, seed=1), config.Train(steps=9, seed=1)):
    with pytest.raises(ValueError, match=f"is finished, and was trained with other settings .* --warm_start={workdir}"):
      runs.create(dataclasses.replace(EXPERIMENT, train=train), VOCAB, workdir)
  assert runs.load(workdir).experiment.train.steps == 7


def test_a_finished_run_may_be_lengthened(finished):
  longer = dataclasses.replace(EXPERIMENT, train=config.Train(steps=9))
  assert runs.plan(longer, VOCAB, finished.workdir).experiment.train.steps == 9
  assert runs.is_lengthened(longer, finished.workdir) and not runs.is_lengthened(EXPERIMENT, finished.workdir)
  assert not runs.is_lengthened(longer, "nowhere")


def test_no_run(tmp_path):
  with pytest.raises(ValueError, match=r"No run at .* \(no config.json\); give the --workdir of a bin/train.py"):
    runs.load(str(tmp_path))


def test_untrained_run(tmp_path, untrained):
  for read in (lambda: runs.load(str(tmp_path)), lambda: runs.load_weights(untrained.model, str(tmp_path))):
    with pytest.raises(ValueError, match="has no weights.npz: its training has not saved a model yet; wait, or start"):
      read()


@pytest.mark.parametrize("experiment, vocab, message", [
  (EXPERIMENT, OTHER_VOCAB, "was trained with another vocabulary; choose another --workdir"),
  (config.Experiment("nat_em", nat_em.Config(families.NET), nat_em.Search()), VOCAB,
   r"holds a run with another family: ar; requested was nat_em\. Choose another --workdir"),
  (resized(ffn=24), VOCAB, r"holds a run with another model: Config\(.*ffn=32.*requested was Config\(.*ffn=24"),
])
def test_a_folder_keeps_its_run(tmp_path, untrained, experiment, vocab, message):
  with pytest.raises(ValueError, match=message):
    runs.create(experiment, vocab, str(tmp_path))
  assert json.loads((tmp_path / runs.CONFIG).read_text())["model"]["net"]["ffn"] == 32
  assert vocab_lib.load(str(tmp_path)).sha256 == VOCAB.sha256


@pytest.mark.parametrize("change, message", [
  (dict(family="nat_em"), r"family=nat_em goes with a model of nat_em.Config, not of ar.Config; take a config of that"),
  (dict(search=nat_em.Search()), r"family=ar goes with a search of ar.Search, not of one_pass.Search; take a config"),
])
def test_the_parts_are_of_one_family(tmp_path, change, message):
  with pytest.raises(ValueError, match=message):
    runs.create(dataclasses.replace(EXPERIMENT, **change), VOCAB, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("override", ["family=nat_em", "model.net.heads=1", "train.steps=3"])
def test_what_was_trained_is_not_overridden(finished, override):
  refusal = r"is trained, so --set can only change its search, as search\.alpha=1\.0; got "
  with pytest.raises(ValueError, match=refusal + override):
    runs.load(finished.workdir, ["search.beam=1", override])


@pytest.mark.parametrize("model, missing", [
  (lambda: families.build("ar", ffn=24), "encoder/block_0/ffn_in/kernel of shape \\(16, 24\\)"),
  (lambda: families.build("ar", encoder_layers=2), "encoder/block_1/.* of shape"),
  (lambda: families.build("nat_em"), "net/source_bias of shape"),
])
def test_weights_of_another_model(finished, model, missing):
  with pytest.raises(ValueError, match=f"has no weight {missing}.*; its model is of another family or of other sizes"):
    runs.load_weights(model(), finished.workdir)


def test_a_family_that_masks_needs_a_mask(tmp_path):
  experiment = dataclasses.replace(
    EXPERIMENT, family="cmlm", model=cmlm.Config(families.NET), search=cmlm.Search(passes=2))
  plain = vocab_lib.WordList([*types.SPECIALS[:4], "the", "house"])
  with pytest.raises(ValueError, match="cmlm needs <mask> as token 4 of the vocabulary, .*; make the data folder with"):
    runs.create(experiment, plain, str(tmp_path / "run"))
  assert not (tmp_path / "run").exists()
  runs.create(experiment, VOCAB, str(tmp_path / "run"))


def test_weights_in_bfloat16_are_not_trained_but_loaded(tmp_path, finished):
  with pytest.raises(ValueError, match="net.dtype=bfloat16 rounds the weights, so .* export with --weights=bfloat16"):
    runs.create(resized(dtype="bfloat16"), VOCAB, str(tmp_path / "new"))
  assert not (tmp_path / "new").exists()
  run = runs.load(finished.workdir, ["model.net.dtype=bfloat16"])
  assert {v.dtype for v in run.model.variables} == {"bfloat16", "float32"}
  assert all(v.dtype == "bfloat16" for v in run.model.variables if len(v.shape) == 2)


def test_shards_are_not_trained_but_loaded(tmp_path, finished):
  with pytest.raises(ValueError, match="net.shards=2 is for translation only; .* export with --shards"):
    runs.create(resized(shards=2), VOCAB, str(tmp_path / "new"))
  assert not (tmp_path / "new").exists()
  run = runs.load(finished.workdir, ["model.net.shards=2"])
  assert any("self_attend_1/" in variable.path for variable in run.model.variables)


def test_a_vocabulary_that_lost_a_word(tmp_path, untrained):
  runs.save_weights(weights(untrained.model), str(tmp_path))
  vocab_lib.WordList(VOCAB.tokens[:-1]).save(str(tmp_path))
  with pytest.raises(ValueError, match="The model has net.vocab=20 tokens, the data 19"):
    runs.load(str(tmp_path))


def test_nothing_half_written_is_left(tmp_path, untrained):
  runs.save_weights(weights(untrained.model), str(tmp_path))
  names = {runs.CONFIG, runs.WEIGHTS, vocab_lib.WORDS_FILE, vocab_lib.TARGET_FILE}
  assert {path.name for path in tmp_path.iterdir()} == names
