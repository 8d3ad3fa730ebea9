"""Pretrained models: found by name, packed in half the size, with the same weights up to bfloat16."""
import gzip
import json

import ml_dtypes
import numpy as np
import pytest

from tests.conformance import families
from tests.data import folders
from tf_nar import config
from tf_nar import pretrained
from tf_nar import runs
from tf_nar import translator
from tf_nar import types
from tf_nar import warm_starts
from tf_nar.data import records


@pytest.fixture
def root(tmp_path, monkeypatch):
  """An empty folder of pretrained models; the working directory is another empty folder."""
  monkeypatch.setattr(pretrained, "ROOT", str(tmp_path / "pretrained"))
  (tmp_path / "elsewhere").mkdir()
  monkeypatch.chdir(tmp_path / "elsewhere")
  return tmp_path / "pretrained"


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
  """The folder of a tiny finished run."""
  workdir = str(tmp_path_factory.mktemp("runs"))
  tiny = families.TINY["nat_em"]
  runs.create(config.Experiment("nat_em", tiny.config, tiny.search), families.VOCAB, workdir)
  runs.save_weights({each.path: each.numpy() for each in families.build("nat_em").variables}, workdir)
  return workdir


def pack(load, *arguments):
  load("pack")[1](*arguments)


def test_a_packed_run_has_its_weights_rounded(root, finished, load):
  pack(load, f"--workdir={finished}", f"--out={root}/one")
  before, after = runs.load(finished), runs.load("one")
  assert after.experiment == before.experiment and after.workdir == str(root / "one")
  for old, new in zip(before.model.variables, after.model.variables, strict=True):
    want = old.numpy().astype(ml_dtypes.bfloat16).astype(np.float32) if old.ndim > 1 else old.numpy()
    np.testing.assert_array_equal(new.numpy(), want, err_msg=old.path)
  size = lambda folder: sum(array.nbytes for array in np.load(f"{folder}/weights.npz").values())
  assert size(root / "one") < 0.6 * size(finished)


def test_a_name_works_as_a_run(root, finished, load):
  pack(load, f"--workdir={finished}", f"--out={root}/one")
  pack(load, "--workdir=one", f"--out={root}/one/teacher")
  assert pretrained.names() == ["one", "one/teacher"]
  model = translator.load("one", rescore_with="one/teacher")
  assert len(model.translate(["w1 w2", ""])) == 2
  student = families.build("nat_em", seed=3)
  run = runs.Run(model.run.experiment, student, families.VOCAB, "new")
  warm_starts.start_from(run, "one")
  np.testing.assert_array_equal(student.variables[0].numpy(), model.run.model.variables[0].numpy())


def test_a_folder_of_the_same_path_comes_first(root, finished, load, tmp_path):
  pack(load, f"--workdir={finished}", f"--out={root}/one")
  (tmp_path / "elsewhere/one").mkdir()
  assert pretrained.find("one") == "one"
  assert pretrained.find(str(tmp_path / "two")) == str(tmp_path / "two")
  assert pretrained.find("../pretrained/one") == "../pretrained/one"
  with pytest.raises(ValueError, match="No run at one"):
    runs.load("one")


def test_no_run_is_overwritten(root, finished, load):
  pack(load, f"--workdir={finished}", f"--out={root}/one")
  with pytest.raises(SystemExit, match="pack: .*one already exists and is not an empty folder; "):
    pack(load, f"--workdir={finished}", f"--out={root}/one")
  assert json.loads((root / "one/config.json").read_text())["family"] == "nat_em"


def test_targets_of_a_data_folder_are_text_in_the_order_of_the_corpus(root, finished, load, tmp_path):
  eos = [types.EOS]
  pairs = [records.Pair(eos, [5 + index, 6, *eos], index=index) for index in (3, 0, 1)]
  data = folders.make(tmp_path / "data", pairs)
  pack(load, f"--workdir={finished}", f"--out={root}/one", f"--data_dir={data}", "--lines=5")
  assert gzip.decompress((root / "one/targets.txt.gz").read_bytes()).decode().splitlines() == [
    "w0 w1", "w1 w1", "", "w3 w1", ""]
  with pytest.raises(SystemExit, match="--lines=3 is too few: .*data has a pair of line 4; give the number of lines"):
    pack(load, f"--workdir={finished}", f"--out={root}/two", f"--data_dir={data}", "--lines=3")
  assert not (root / "two").exists()
