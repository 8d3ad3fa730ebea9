"""The floor computed from given rates."""
import pytest

from tests.latency import tiny
from tf_nar import runs
from tf_nar.latency import floor
from tf_nar.train import flops


def test_the_longer_of_two_times(tmp_path):
  workdir = tiny.run(tmp_path / "nar", "nat_em")
  run = runs.load(workdir)
  weights = sum(variable.value.numpy().size for variable in run.model.variables)
  rates = [{"GFLOP/s, float32": rate, "GFLOP/s, bfloat16": 1e9, "GB/s": 1.0} for rate in (1e-3, 1e-3, 5.0)]
  found = floor.one_pass(workdir, 4, 5, rates)
  operations = flops.update(run.model.traits, run.experiment.model, 1, 4, 5) / 3
  assert found["float32"]["floor, ms"] == found["float32"]["computing, ms"] == pytest.approx(operations / 1e6 * 1e3)
  assert found["bfloat16"]["floor, ms"] == found["bfloat16"]["reading, ms"] == pytest.approx(2 * weights / 1e6)
  assert floor.one_pass(tiny.run(tmp_path / "ar"), 4, 5, rates) == {}


def test_rates_of_this_machine(monkeypatch, tmp_path):
  monkeypatch.setattr(floor.speed, "LEAST", 0.0)
  found = floor.Machine(runs.load(tiny.run(tmp_path / "ar")).experiment.model.net).rates()
  assert set(found) == {"GFLOP/s, float32", "GFLOP/s, bfloat16", "GB/s"} and min(found.values()) > 0
