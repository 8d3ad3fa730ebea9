"""Schedules of a quantity over the updates."""
import dataclasses

import numpy as np
import pytest

from tf_nar.ops import schedule


@dataclasses.dataclass(frozen=True)
class Config:
  budget: schedule.Linear = schedule.Linear(1.0, 0.0, updates=10, delay=20)
  own_after: int = schedule.number(9)
  codes: int = 9


def test_values():
  linear = Config().budget
  np.testing.assert_allclose([linear.at(step) for step in (0, 20, 25, 30, 99)], [1.0, 1.0, 0.5, 0.0, 0.0])
  np.testing.assert_allclose([schedule.Linear(updates=4).at(step) for step in (0, 1, 4, 5)], [0.0, 0.25, 1.0, 1.0])


def test_scaled_to_another_number_of_updates():
  assert schedule.scaled(Config(), 10, 30) == Config(schedule.Linear(1.0, 0.0, updates=3, delay=6), own_after=3)


@pytest.mark.parametrize("values", [{"updates": 0}, {"delay": -1}])
def test_refuses(values):
  with pytest.raises(ValueError, match="needs updates of at least 1 and a delay of at least 0"):
    schedule.Linear(**values)
