"""The check before the first update that the decoder is long enough for the training pairs."""
from types import SimpleNamespace

import pytest

from tests.data import folders
from tf_nar import feasibility
from tf_nar import types
from tf_nar.data import records

EOS = types.EOS


def model(upsample):
  """A model that needs a decoder position for each token of a target."""
  return SimpleNamespace(config=SimpleNamespace(upsample=upsample),
                         upsampling=lambda source, target: -(-(len(target) - 1) // source))


@pytest.fixture
def warnings(monkeypatch):
  said = []
  monkeypatch.setattr(feasibility.logging, "warning", lambda text, *values: said.append(text % values))
  return said


@pytest.fixture
def data(tmp_path):
  """Returns a function: the target lengths of pairs with one source token each -> a data folder."""
  def make(*words):
    return folders.make(tmp_path / "data", [records.Pair([EOS], [5] * count + [EOS]) for count in words])
  return make


@pytest.mark.parametrize("words, upsample, said", [
  ([2] * 100, 2, None),
  ([2] * 99 + [3], 2, None),  # A share of 0.01 is not warned of.
  ([2] * 98 + [3, 7], 2, "too small for 2.0 % of the training pairs; --set=model.upsample=7 is large enough for 99.9 "),
  ([3] * 98 + [2, 2], 2, "too small for 98.0 % of the training pairs; --set=model.upsample=3 is large enough for 99.9"),
])
def test_pairs_without_room_are_counted(data, warnings, words, upsample, said):
  feasibility.check(model(upsample), data(*words), 99)
  assert len(warnings) == bool(said)
  if said:
    assert said in warnings[0] and warnings[0].startswith("model.upsample=2 ")


def test_no_room_for_nearly_all_is_refused(data):
  with pytest.raises(ValueError, match="upsample=2 is too small for 100.0 % of .*; --set=model.upsample=9 is"):
    feasibility.check(model(2), data(*[9] * 50), 99)


def test_pairs_that_are_not_trained_on_do_not_count(data, warnings):
  feasibility.check(model(2), data(*[2] * 9, *[50] * 9), 40)
  assert not warnings
