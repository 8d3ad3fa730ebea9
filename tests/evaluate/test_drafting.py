"""A teacher with a drafter, from run folders: the same greedy translations, whatever the drafts; and each refusal."""
import numpy as np
import pytest

from tests.conformance import families
from tf_nar import config
from tf_nar import runs
from tf_nar import translator
from tf_nar.evaluate import drafting

TEXTS = ["w1 w2 w3 w4", "", "w9", "w3 w14 w7 w7 w2"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  """Returns a function: a family -> the folder of a tiny run of it."""
  root = tmp_path_factory.mktemp("runs")

  def make(name, **net):
    workdir = str(root / "_".join([name, *net]))
    tiny = families.TINY[name]
    model = families.build(name, seed=4, **net)
    runs.create(config.Experiment(name, model.config, tiny.search), families.VOCAB, workdir)
    runs.save_weights({each.path: each.numpy() for each in model.variables}, workdir)
    return workdir

  return make


@pytest.mark.parametrize("drafter", [pytest.param("nat_em", marks=pytest.mark.slow), "ctc"])
def test_the_translation_is_the_teachers(folder, drafter):
  teacher = folder("ar")
  drafted = translator.load(teacher, draft_with=folder(drafter))
  alone = translator.load(teacher, "search.draft_block=1", draft_with=folder("nat_em"))  # Plain greedy search.
  assert drafted.translate(TEXTS) == alone.translate(TEXTS)
  assert drafted.translate(TEXTS)[1] == ""
  assert drafted.score(TEXTS[:1], TEXTS[2:3]) == translator.load(teacher).score(TEXTS[:1], TEXTS[2:3])


def test_tokens_have_the_scores_and_alignments_of_the_teacher(folder):
  teacher = translator.load(folder("ar"))
  drafted, pairs = translator.load(folder("ar"), draft_with=folder("nat_em")), [([5, 6, 7, 1], [9, 8, 1])]
  assert drafted.token_scores(pairs) == teacher.token_scores(pairs)
  np.testing.assert_array_equal(drafted.alignments(pairs), teacher.alignments(pairs))


def test_passes_are_those_of_drafter_and_teacher(folder):
  drafted = translator.load(folder("ar"), draft_with=folder("nat_em"))
  src = families.padded(families.sentences(3, 5), 8)
  found = drafted.searcher()(src)
  longest = int((found.tokens.numpy() != 0).sum(-1).max())
  assert 1 + -(-longest // drafted.run.experiment.search.draft_block) <= int(found.passes) <= 1 + longest


def test_refused(folder):
  student, teacher = folder("nat_em"), folder("ar")
  with pytest.raises(ValueError, match="nat_em cannot check drafts: only an autoregressive run can; it is of fam"):
    translator.load(student, draft_with=teacher)
  with pytest.raises(ValueError, match="lead to one candidate, so there is nothing to rank; leave out --rescore_with"):
    translator.load(teacher, draft_with=student, rescore_with=teacher).translate(["w1"])
  with pytest.raises(ValueError, match="cannot draft for .*: it takes 8 tokens, fewer than 12"):
    translator.load(teacher, draft_with=folder("nat_em", max_length=8))


def test_the_drafter_has_settings_of_its_own(folder):
  assert drafting.settings(["model.net.dtype=float32", "search.beam=1", "drafter.search.odd=True"]) == [
    "model.net.dtype=float32", "search.odd=True"]
  settings = "search.draft_block=3", "drafter.search.candidates=2"
  drafted = translator.load(folder("ar"), *settings, draft_with=folder("nat_em"))
  assert drafted.run.model._search.candidates == 2 and drafted.run.experiment.search.draft_block == 3
  with pytest.raises(ValueError, match="so --set can only change its search, .*; got drafter.search.candidates=2"):
    translator.load(folder("ar"), *settings)
