"""The model card names what a user has to know."""
import json
from types import SimpleNamespace

import pytest

from tf_nar import config
from tf_nar import types
from tf_nar.data import vocab as vocab_lib
from tf_nar.export import card
from tf_nar.models import ar

FACTS = {"family": "ar", "dtype": "float32", "max_length": 64, "tokenization": "words", "vocabulary_sha256": "v1",
         "rescored_by": None, "drafted_by": None, "shortlist": None, "valid_bleu": 38.512}


@pytest.fixture
def run(tmp_path):
  experiment = config.Experiment("ar", ar.Config(ar.transformer.Config(width=16)), ar.Search(beam=3))
  variables = [SimpleNamespace(shape=SimpleNamespace(num_elements=lambda: 1_500_000))]
  (tmp_path / "run").mkdir()
  return SimpleNamespace(experiment=experiment, model=SimpleNamespace(variables=variables),
                         vocab=vocab_lib.WordList([*types.SPECIALS, "a"]), workdir=str(tmp_path / "run"))


def written(tmp_path, run, facts=FACTS, **about):
  card.write(str(tmp_path), run, facts, **about)
  return (tmp_path / "README.md").read_text()


def test_a_run_that_says_little(tmp_path, run):
  text = written(tmp_path, run)
  for part in ("family ar", "| Licence | not given; ask who made the model |", "1.5 M weights; width 16", "beam 3",
               "| Longest sentence | 64 tokens", "words, 6 tokens, SHA-256 v1", "| Training text | SHA-256 unknown |",
               "| BLEU in validation | 38.51, by the search of training |", "commit unknown", "returns tokenised text"):
    assert part in text
  assert "ranked by" not in text and "test set" not in text


def test_what_is_known_is_told(tmp_path, run):
  (tmp_path / "run/text.sha256").write_text("abc")
  rows = {"bleu_tokenized": {"value": 39.126, "signature": "nrefs:1|tok:none"},
          "sentences": {"value": 9, "signature": "s"}, "ncm": {"value": 1.5, "signature": "s"}}
  (tmp_path / "run/report.json").write_text(json.dumps({"rows": rows, "facts": {}}))
  text = written(tmp_path, run, FACTS | {"rescored_by": "ar", "valid_bleu": None}, license="CC-BY|4.0", commit="c0ffee")
  for part in ("| Licence | CC-BY\\|4.0 |", "SHA-256 abc", "| Candidates ranked by | ar |", "commit c0ffee",
               "| bleu_tokenized on a test set | 39.13 (nrefs:1\\|tok:none), by the search of that measurement |"):
    assert part in text
  assert "validation" not in text and "ncm" not in text and "sentences on" not in text


def test_a_broken_report_is_named(tmp_path, run):
  (tmp_path / "run/report.json").write_text("{")
  with pytest.raises(ValueError, match="report.json is no JSON"):
    written(tmp_path, run)
