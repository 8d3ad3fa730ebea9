"""OpenVINO folders against the live models: every family, every vocabulary, every type."""
import json
import os

import numpy as np
import pytest

pytest.importorskip("openvino", reason="OpenVINO is not installed; it comes with the extra openvino.")

from tests.export import tiny
from tf_nar import runs
from tf_nar import types
from tf_nar.evaluate import bleu
from tf_nar.evaluate import corpus
from tf_nar.export import ov
from tf_nar.export import ov_program
from tf_nar.ops import odd

LINES = ["a low house", "", "the  newest \u2603 tower", " <eos> show <pad> <mask> <unk>", "is " * 30]
CASES = [
  ("nat_em", "words", dict(candidates=3)),
  ("nat_em", "bpe", dict(odd=False, unknown=True)),
  ("glat", "sentencepiece", dict(odd_within_words=True)),
  ("ctc", "bpe", {}),
  ("dag", "words", dict(method="greedy")),
  ("dag", "sentencepiece", dict(collapse=False)),
  ("nat_fertility", "words", dict(odd=True)),
  ("cmlm", "words", dict(passes=3, candidates=2, stop=True)),
  ("cmlm", "bpe", dict(passes=4, candidates=3, repredict_all=True)),
]


def export(folder, family, kind, weights="float32", validation=None, **search):
  """Exports a tiny run; returns the folder and the run."""
  workdir = tiny.make(folder / "run", family, tiny.VOCABULARIES[kind](), **search)
  run = runs.load(workdir)
  ov.export(run, corpus.searcher(run.model, run.experiment.search), f"{folder}/out", weights, validation)
  return f"{folder}/out", run


def here(folder, questions):
  """Replaces `ov.ask`, without the time of another process."""
  translate = ov_program.Translator(folder, threads=1)
  return [translate.answers(lines) for lines in questions]


def live(run, lines):
  """Returns [(text, score), ...] of the run for each line."""
  ids = [[*run.vocab.encode(line)[:tiny.MAX_LENGTH - 1], types.EOS] for line in lines]
  found = corpus.translate(corpus.searcher(run.model, run.experiment.search), ids, tokens_per_batch=1000, longest=tiny.MAX_LENGTH)
  return [[(run.vocab.decode(each.tokens), each.score) for each in row] for row in found]


@pytest.mark.parametrize("family, kind, search", CASES)
def test_it_says_what_the_run_says(tmp_path, monkeypatch, family, kind, search):
  monkeypatch.setattr(ov, "ask", here)
  folder, run = export(tmp_path, family, kind, **search)
  translate = ov_program.Translator(folder, threads=1)
  answers = translate.answers(LINES)
  assert [cut for _, cut in answers] == [len(run.vocab.encode(line)) >= tiny.MAX_LENGTH for line in LINES]
  for (theirs, _), ours in zip(answers, live(run, LINES), strict=True):
    theirs = list({text: (text, score) for text, score in reversed(theirs)}.values())[::-1]
    assert [text for text, _ in theirs][:1] == [text for text, _ in ours][:1]
    assert np.isclose(theirs[0][1], ours[0][1], rtol=0, atol=1e-3)
  assert translate(LINES) == [candidates[0][0] for candidates, _ in answers]
  assert [translate([line])[0] for line in LINES] == translate(LINES)
