"""Percentiles, rates and ratios of known answers."""
import pytest

from tf_nar.latency import summary


def answers(factor):
  """Returns answers of a system of `factor` times the durations: round 0, which does not count, and two rounds."""
  of = lambda number, task, seconds, peak: {
    "round": number, "task": task, "seconds": [each * factor / 1000 for each in seconds], "words": 30, "peak": peak,
    "cpu": 0.003 * factor, "all seconds": 0.002 * factor}
  return [
    of(0, "1", [1000, 1000], 50), of(0, "4 words", [1000], 60), of(0, "8", [1000], 70),
    of(1, "1", [1, 2], 70), of(1, "4 words", [4, 6], 70), of(1, "8", [16], 90),
    of(2, "1", [3, 4], 90), of(2, "4 words", [5, 5], 90), of(2, "8", [20], 80)]


def test_numbers_of_a_system():
  found = summary.of_system(answers(1), [8], [4])
  assert found["p50 ms"] == pytest.approx(2.5) and found["p95 ms"] == pytest.approx(3.85)
  assert found["sentences/s"] == pytest.approx({8: 8 / 0.018})
  assert found["p50 ms by words"] == pytest.approx({4: 5})
  assert found["cores busy"] == pytest.approx(1.5)
  assert (found["peak MiB at batch 1"], found["peak MiB"]) == (50, 90)
  assert found["words out"] == 10  # 60 words of 4 sentences and the 2 that were not timed.


def test_ratios_and_what_is_shown(tmp_path):
  found = {name: summary.of_system(answers(factor), [8], [4]) for name, factor in (("slow", 4), ("fast", 1))}
  found = summary.with_ratios(found, "slow")
  assert found["fast"]["times"] == {
    "p50": pytest.approx(4), "p95": pytest.approx(4), "sentences/s": {8: pytest.approx(4)}}
  assert found["slow"]["times"]["p50"] == 1
  more = {"dtype": "float32", "disk MB": 1.5}
  head, slow, fast, last = summary.table({name: own | more for name, own in found.items()}, "slow").splitlines()
  assert head.split() == "dtype p50 ms p95 ms sent/s at 8 MiB MB words".split()
  assert slow.split() == "slow float32 10.0 (1.00x) 15.4 111.1 (1.00x) 90 1.5 10.0".split()
  assert fast.split() == "fast float32 2.5 (4.00x) 3.8 444.4 (4.00x) 90 1.5 10.0".split()
  assert last == "(x): times as fast as slow; MiB: peak of memory, MB: the folder's size on disk"
  found["fast"]["sentences/s"], found["fast"]["times"]["sentences/s"] = {}, {}  # A system without batches of 8.
  shown = summary.table({name: own | more for name, own in found.items()}, "slow")
  assert shown.splitlines()[2].split() == "fast float32 2.5 (4.00x) 3.8 - 90 1.5 10.0".split()
  found["fast"]["products in a row"] = 48
  head, slow, fast, last = summary.table({name: own | more for name, own in found.items()}, "slow").splitlines()
  assert [line.split()[-1] for line in (head, slow, fast)] == ["row", "-", "48"] and "in a row: matrix pro" in last
  assert summary.plot(found, f"{tmp_path}/latency.png")
  assert (tmp_path / "latency.png").read_bytes().startswith(b"\x89PNG")
  assert [path.name for path in tmp_path.iterdir()] == ["latency.png"]


def test_the_gain_of_a_shortlist_is_a_line():
  found = {name: summary.of_system(answers(factor), [8], [4]) for name, factor in (("NAR", 3), ("NAR, short", 2))}
  assert summary.gains(found, ", short") == "NAR, short: 1.50x as fast as NAR at batch 1, 1.50x at 8"
  assert not summary.gains(found, ", long")
