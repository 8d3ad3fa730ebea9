"""Translating strings with a run folder from Python."""
import math
import subprocess
import sys

import pytest

import tf_nar
from tests.conformance import families
from tests.data import folders
from tests.export import tiny
from tf_nar import config
from tf_nar import translator
from tf_nar.evaluate import corpus
from tf_nar.evaluate import lines

LINES = ["a low house", "", "the new tower is low"]
LIGHT = """
import sys, tf_nar
print([name for name in ("tensorflow", "keras", "numpy", "absl") if name in sys.modules], tf_nar.__version__)
"""


@pytest.fixture(scope="module")
def workdirs(tmp_path_factory):
  folder, vocab = tmp_path_factory.mktemp("runs"), tiny.VOCABULARIES["words"]()
  return {family: tiny.make(folder / family, family, vocab) for family in ("ar", "nat_em")}


@pytest.fixture(scope="module")
def model(workdirs):
  return tf_nar.load(workdirs["nat_em"])


def test_importing_it_is_quick():
  said = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True, check=False)
  assert said.stdout == f"[] {tf_nar.__version__}\n", said.stderr


def test_what_is_not_there():
  with pytest.raises(AttributeError, match="module 'tf_nar' has no attribute 'lode'"):
    tf_nar.lode  # noqa: B018


def test_strings_in_strings_out(model):
  said = model.translate(LINES)
  assert len(said) == 3 and all(isinstance(each, str) for each in said) and said[0] and said[1] == ""
  assert model.translate(LINES[0]) == said[0]
  search = model.run.experiment.search
  ids = list(lines.encode(LINES, model.run.vocab, tiny.MAX_LENGTH))
  found = corpus.translate(corpus.searcher(model.run.model, search), ids, tokens_per_batch=64)
  assert said == [model.run.vocab.decode(candidates[0].tokens) for candidates in found]
  assert "family nat_em" in repr(model)


def test_unknown_words_are_copied(workdirs):
  model, plain = tf_nar.load(workdirs["nat_em"], copy_unknown=True), tf_nar.load(workdirs["nat_em"], translator.UNKNOWN)
  found, others = model.nbest(["☃ ☃"], 5)[0], plain.nbest(["☃ ☃"], 5)[0]
  texts = [(one.text, other.text) for one, other in zip(found, others, strict=True)]
  shorter = [pair for pair in texts if len(pair[0].split()) < tiny.MAX_LENGTH]  # The model takes these, with EOS.
  assert any("<unk>" in other for _, other in shorter)
  assert all(one == other.replace("<unk>", "☃") for one, other in shorter)
  assert model.run.experiment.search.unknown and model.translate("☃ ☃")


def test_nbest(model):
  found = model.nbest(LINES, 5)  # Without a teacher it returns one.
  assert 1 < len(found[0]) == len({text for text, _ in found[0]}) <= 5
  scores = [score for _, score in found[0]]
  assert scores == sorted(scores, reverse=True) and found[1] == [("", 0.0)]
  with pytest.raises(ValueError, match=r"nbest expects a list of sentences; got a string, so give \[text\]"):
    model.nbest("a low house", 2)


def test_score(model):
  long = " ".join(["a"] * 2 * tiny.MAX_LENGTH)
  likely, unsayable = model.score(["a house", "a house"], ["the house", long])
  assert -math.inf < likely < 0 and unsayable == -math.inf
  with pytest.raises(ValueError, match="as many sources as targets; got 1 and 2"):
    model.score(["a"], ["a", "b"])


def test_evaluate(model):
  counted = []
  found = model.evaluate(LINES, ["a house", "", "the tower"], counted.append)
  assert found.hypotheses == model.translate(LINES) and sum(counted) == 3
  assert found.values["bleu_tokenized"] >= 0 and found.values["ncm"] > 0
  assert "bleu_tokenized" in str(found) and "tok:none" in str(found)


def test_a_teacher_ranks(workdirs):
  alone = tf_nar.load(workdirs["nat_em"], "search.candidates=3")
  ranked = tf_nar.load(workdirs["nat_em"], "search.candidates=3", rescore_with=workdirs["ar"])
  source = LINES[0]
  candidates = [text for text, _ in alone.nbest([source], 3)[0]]
  teacher = tf_nar.load(workdirs["ar"])
  score = dict(zip(candidates, teacher.score([source] * len(candidates), candidates), strict=True))
  assert ranked.translate(source) in candidates and len(score) > 1
  assert "ranked by" in repr(ranked)
  with pytest.raises(ValueError, match="has nothing to rank"):
    tf_nar.load(workdirs["nat_em"], rescore_with=workdirs["ar"])


def test_train(tmp_path):
  data = folders.make(tmp_path / "data", folders.random_pairs(60, longest=11))
  short = config.Train(steps=9, tokens_per_batch=128, max_length=12, buckets=1, log_every=2, validate_every=2)
  experiment = config.Experiment("ar", *families.TINY["ar"], short)
  import tf_nar.train  # noqa: F401  The package by that name does not hide the function.
  model = tf_nar.train(experiment, data, str(tmp_path / "run"), "train.steps=2")
  assert model.run.experiment.train.steps == 2 and len(model.translate(["w1 w2", "w3"])) == 2
  again = tf_nar.train(experiment, data, str(tmp_path / "run"), "train.steps=2")
  assert again.translate(["w1 w2"]) == model.translate(["w1 w2"])
  (tmp_path / "mine.py").write_text("def get_config(): return 1")
  with pytest.raises(ValueError, match="must return Experiment; got int"):
    tf_nar.train(str(tmp_path / "mine.py"), data, str(tmp_path / "other"))
