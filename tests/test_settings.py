"""Settings and their comments in the source."""
import dataclasses
import pathlib
import runpy

import pytest

from tf_nar import config
from tf_nar import settings

ROOT = pathlib.Path(__file__).parent.parent


@dataclasses.dataclass(frozen=True)
class Part:
  """A part."""

  size: int = 3  # How many.
  hidden: str = "#"  # A sign, "#",
  # and more of it.
  plain: float = 0.5


@dataclasses.dataclass(frozen=True)
class Whole(Part):
  part: Part = Part()
  spread: tuple = (1,
                   2)  # Over lines.


def test_a_line_a_setting():
  assert settings.table(Whole(part=Part(size=4))).splitlines() == [
    "size=3          # How many.",
    'hidden=#        # A sign, "#", and more of it.',
    "plain=0.5",
    "part.size=4     # How many.",
    'part.hidden=#   # A sign, "#", and more of it.',
    "part.plain=0.5",
    "spread=(1, 2)   # Over lines."]


@dataclasses.dataclass(frozen=True)
class Named:
  name: str
  size: int = 1  # Its size.


def test_each_of_several_goes_by_its_name():
  kind = dataclasses.make_dataclass("Several", [("parts", tuple, (Named("a"), Named("b", 2)))], frozen=True)
  assert [each[:2] for each in settings.settings(kind())] == [
    ("parts.a.name", "a"), ("parts.a.size", 1), ("parts.b.name", "b"), ("parts.b.size", 2)]


def test_a_long_value_moves_no_other_line():
  short, long = settings.table(Named("x" * 99, 7)).splitlines()[::-1]
  assert short == "size=7  # Its size." and long == f"name={'x' * 99}"


def test_values_by_name_are_listed():
  named = dataclasses.make_dataclass("Sizes", [("size", int, 1)], frozen=True)
  named.NAMED = {"one": {"size": 1}, "two": {"size": 2}}
  outer = dataclasses.make_dataclass("Outer", [("inner", named, named(3))], frozen=True)
  assert settings.table(outer()).splitlines() == ["inner.size=3", "# inner=one, two: sets size."]


def test_a_class_without_a_file():
  made = dataclasses.make_dataclass("Made", [("size", int, 1)], frozen=True)
  assert settings.table(made()) == "size=1"


@pytest.mark.parametrize("name", config.named())
def test_every_setting_is_explained(name):
  made = config.load(name, object)
  assert [each.name for each in settings.settings(made) if not each.about] == []


@pytest.mark.parametrize("name", ["dag_multi30k", "em_multi30k", "best_multi30k"])
def test_what_is_shown_is_what_set_takes(name):
  made = runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"]()
  shown = [f"{name}={value}" for name, value, _ in settings.settings(made)]
  assert config.override(made, *(line for line in shown if line != "data=None")) == made
