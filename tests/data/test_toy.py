import collections
import dataclasses
import math

import numpy as np
import pytest

from tf_nar.data import corpus
from tf_nar.data import records
from tf_nar.data import toy
from tf_nar.evaluate import bleu

SMALL = toy.Config(words=12, pairs=50, valid_pairs=20)


def test_text_is_a_function_of_the_seed():
  assert toy.sentences(SMALL) == toy.sentences(SMALL)
  assert toy.sentences(SMALL) != toy.sentences(dataclasses.replace(SMALL, seed=1))


def test_sources_differ_and_say_no_word_twice_in_a_row():
  sources, targets = toy.sentences(SMALL)
  assert len(set(sources)) == len(sources) == len(targets) == 70
  for words in map(str.split, sources):
    assert 4 <= len(words) <= 8
    assert all(a != b for a, b in zip(words, words[1:], strict=False))


def test_every_target_is_wholly_in_one_mode():
  sources, targets = toy.sentences(dataclasses.replace(SMALL, modes=3, first_share=0.5))
  assert toy.valid_share(sources, targets) == 1.0
  assert {toy.mode(*pair) for pair in zip(sources, targets, strict=True)} == {0, 1, 2}


@pytest.mark.parametrize("target, mode", [
    ("badan kuvin", 0), ("badas kuvis", 1), ("badan kuvis", None), ("badan", None), ("kuvin badan", None),
    ("", None),
])
def test_mode_of_a_translation(target, mode):
  assert toy.mode("bada kuvi", target) == mode


def test_shares_of_modes_are_as_asked():
  config = toy.Config(pairs=8_000, valid_pairs=1, modes=3, first_share=0.5)
  count = collections.Counter(toy.mode(*pair) for pair in zip(*toy.sentences(config), strict=True))
  found = [count[k] / 8_001 for k in range(3)]
  np.testing.assert_allclose(found, toy.shares(config), atol=0.02)


def test_parallel_nats_is_the_optimum_over_all_distributions_of_words():
  # The best NAR model of such a text predicts, for every word, the share of each mode.
  config = toy.Config(words=8, pairs=2_000, valid_pairs=1, shortest=5, first_share=0.7)
  sources, targets = toy.sentences(config)
  pairs = [pair for lines in zip(sources, targets, strict=True)
           for pair in zip(*map(str.split, lines), strict=True)]
  seen = collections.Counter(pairs)
  of_source = collections.Counter(source for source, _ in pairs)
  nats = -sum(count * math.log(count / of_source[source]) for (source, _), count in seen.items())
  tokens = len(pairs) + len(sources)  # EOS costs nothing.
  assert nats / tokens == pytest.approx(toy.parallel_nats(config), abs=0.01)


def test_parallel_nats_of_equal_modes():
  config = toy.Config(modes=2, first_share=0.5, shortest=4, longest=8)
  assert toy.parallel_nats(config) == pytest.approx(math.log(2) * 6 / 7)
  assert toy.parallel_nats(toy.Config(modes=1, first_share=1.0)) == 0.0


def test_bleu_of_the_commonest_mode_is_its_share():
  config = toy.Config(pairs=1_000, valid_pairs=1)
  sources, targets = toy.sentences(config)
  hypotheses = [toy.translate(line, 0) for line in sources]
  assert bleu.bleu(hypotheses, targets, tokenize="none").value == pytest.approx(55, abs=3)


def test_folder_holds_the_text(tmp_path):
  folder = str(tmp_path / "toy")
  manifest = toy.write(folder, SMALL)
  assert manifest == corpus.read(folder)
  vocab = toy.vocabulary(SMALL)
  sources, targets = toy.sentences(SMALL)
  pairs = [pair for path in corpus.shards(folder) for pair in records.read(path)]
  pairs.sort(key=lambda pair: pair.index)
  assert [vocab.decode(pair.src) for pair in pairs] == sources[:50]
  assert [vocab.decode(pair.tgt) for pair in pairs] == targets[:50]
  assert corpus.validation(folder) == (sources[50:], targets[50:])
  assert manifest.splits["valid"].pairs == 20
  assert manifest.splits["train"].target_tokens == sum(len(line.split()) + 1 for line in targets[:50])


def test_folder_is_made_once(tmp_path):
  toy.write(str(tmp_path), SMALL)
  with pytest.raises(FileExistsError, match="already exists and is not an empty folder"):
    toy.write(str(tmp_path), SMALL)


@pytest.mark.parametrize("values, message", [
    (dict(modes=0), "toy.modes must be from 1 to 6; got 0"),
    (dict(modes=7), "toy.modes must be from 1 to 6; got 7"),
    (dict(first_share=1.0), "got 1.0 for 2 modes"),
    (dict(modes=1), "1 for one mode; got 0.55"),
    (dict(shortest=9), "needs 1 <= shortest <= longest"),
    (dict(words=1), "2 to 1600 words"),
    (dict(words=4, shortest=2, longest=2), "4 words make too few sentences of 2"),
])
def test_config_refuses(values, message):
  with pytest.raises(ValueError, match=message):
    toy.Config(**values)


def test_valid_share_refuses_nothing():
  with pytest.raises(ValueError, match="at least one; got 0 and 0"):
    toy.valid_share([], [])
