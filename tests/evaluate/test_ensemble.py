"""Several runs that act as one."""
import functools

import numpy as np
import pytest

import tf_nar
from tests.export import tiny
from tf_nar import translator
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import corpus
from tf_nar.evaluate import ensemble

LINES = ["a low house", "", "the new tower is low"]
ALL = dict(beam=4, candidates=4, alpha=0.0)
load = functools.lru_cache(maxsize=None)(tf_nar.load)  # Each run once, as its graphs take time.


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
  folder, vocab = tmp_path_factory.mktemp("runs"), tiny.VOCABULARIES["words"]()
  made = {name: tiny.make(folder / name, "ar", vocab, width=width, **ALL) for name, width in (("a", 16), ("b", 8))}
  made["nat"] = tiny.make(folder / "nat", "nat_em", vocab, width=8, candidates=9)
  return made


@pytest.fixture(scope="module")
def pair(folders):
  return load(f"{folders['a']},{folders['b']}")


def spoken(model):
  return [[text for text, _ in found] for found in model.nbest(LINES, 4)]


def scores(model):
  return np.concatenate([[score for _, score in found] for found in model.nbest(LINES, 4)])


def means(folders, names, found):
  """Returns the mean log p of the candidates of the first line, by the models of some runs."""
  source = np.array([next(load(folders["a"]).ids(LINES))])
  scored = lambda model, tokens: float(model.score(source, np.array([tokens]))[0])
  each = [[scored(load(folders[name]).run.model, tokens) for tokens, _ in found] for name in names]
  assert not np.allclose(*each, rtol=0.01)
  return np.mean(each, 0)


def test_a_run_twice_is_that_run(folders):
  once, twice = load(folders["b"]), load(f"{folders['b']},{folders['b']}")
  assert spoken(once) == spoken(twice) and len(spoken(once)[0]) > 1
  np.testing.assert_allclose(scores(once), scores(twice), rtol=1e-5)


def test_a_beam_goes_by_the_mean_of_log_p(folders, pair):
  # Without a length penalty the score of a sentence is the mean of log p of the whole sentence.
  found = next(pair.stream(LINES[:1]))
  np.testing.assert_allclose([score for _, score in found], means(folders, "ab", found), rtol=1e-4)
  assert spoken(pair) != spoken(load(folders["a"])) and spoken(pair)[1] == [""]


def test_its_score_is_the_mean_of_two_scores(folders, pair):
  targets = ["the house", "a", "low"]
  each = [load(folders[name]).score(LINES, targets) for name in "ab"]
  np.testing.assert_allclose(pair.score(LINES, targets), np.mean(each, 0), rtol=1e-5)


@pytest.mark.parametrize("other", ["b", "nat"])  # The latter scores pairs alone.
def test_candidates_are_ranked_by_the_mean_of_two_scores(folders, other):
  model = tf_nar.load(folders["nat"], "search.alpha=0.0", rescore_with=f"{folders['a']},{folders[other]}")
  found = next(model.stream(LINES[:1]))
  assert len(found) > 1 and f"ranked by {folders['a']},{folders[other]}" in repr(model)
  np.testing.assert_allclose([score for _, score in found], means(folders, ("a", other), found), rtol=1e-4)


def test_one_name_is_that_run(folders):
  run = translator.opened(folders["a"], ["search.beam=5"])
  assert run.experiment.search.beam == 5 and not isinstance(run.model, ensemble.Ensemble)
  assert corpus.limit(translator.opened(f"{folders['a']},{folders['b']}").model, run.experiment.search) is not None


def test_what_does_not_fit_is_refused(folders, tmp_path):
  for names in (f"{folders['a']},{folders['nat']}", f"{folders['nat']},{folders['nat']}"):
    with pytest.raises(ValueError, match="nat cannot translate with other runs: only autoregressive runs can, .* it is "
                                         "of family nat_em. To rank candidates by several runs, give them as --resc"):
      tf_nar.load(names)
  words = vocab_lib.WordList([*tiny.VOCABULARIES["words"]().tokens, "more"])
  alien = tiny.make(tmp_path / "alien", "ar", words, beam=4)
  with pytest.raises(ValueError, match="alien cannot join .*a: it has another vocabulary; train both"):
    tf_nar.load(f"{folders['a']},{alien}")
  with pytest.raises(ValueError, match="alien cannot join .*a: it has another vocabulary"):
    tf_nar.load(folders["nat"], rescore_with=f"{folders['a']},{alien}")
  with pytest.raises(ValueError, match="^No run at  [(]no config.json[)]"):
    tf_nar.load(f"{folders['a']},")
