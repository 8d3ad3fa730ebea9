"""Runs written by the programs of version 0.1 load, and give the same translations."""
import json
import pathlib

import numpy as np
import pytest

from tf_nar import overrides
from tf_nar import runs
from tf_nar import types
from tf_nar.evaluate import corpus

FOLDER = pathlib.Path(__file__).parent / "assets/v0_1"
EXPECTED = json.loads((FOLDER / "expected.json").read_text())
LINES = "a low house", "the new tower is low", "show"


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_it_loads_and_says_the_same(name):
  run = runs.load(str(FOLDER / name), ["search.unknown=True"])  # Translations could contain <unk> in that version.
  sources = [[*run.vocab.encode(line), types.EOS] for line in LINES]
  found = corpus.translate(
    corpus.searcher(run.model, run.experiment.search), sources, tokens_per_batch=64, longest=12)
  for ours, theirs in zip(found, EXPECTED[name]["translations"], strict=True):
    assert [candidate.tokens for candidate in ours] == [tokens for tokens, _ in theirs]
    np.testing.assert_allclose([candidate.score for candidate in ours], [score for _, score in theirs], rtol=1e-4)
  scores = corpus.score(corpus.scorer(run.model), [(ids, ids) for ids in sources], tokens_per_batch=64, longest=12)
  np.testing.assert_allclose(scores, EXPECTED[name]["scores"], rtol=1e-4)


def test_renamed_fields_have_todays_names():
  found = {name: runs.load(str(FOLDER / name)).experiment.search for name in EXPECTED}
  assert {name: search.candidates for name, search in found.items()} == {
    "ar": 2, "cmlm": 2, "ctc": 2, "dag": 2, "nat_em": 3, "nat_fertility": 3}
  assert (found["cmlm"].min_masked, found["cmlm"].repredict_all) == (0, True)


def test_yesterdays_names_can_still_be_typed():
  search = runs.load(str(FOLDER / "nat_em"), ["search.lengths=5"]).experiment.search
  assert search.candidates == 5
  assert overrides.RENAMED["Search"]["lengths"] == "candidates"
