"""The order of tasks and systems, and the communication with a worker."""
import pytest

from tests.latency import tiny
from tf_nar.latency import bench
from tf_nar.latency import systems
from tf_nar.latency import texts
from tf_nar.latency import worker

TEXTS = texts.Texts(["a", "b", "c"], {2: ["a b", "b a"]})


class Planted:
  """A worker whose answer contains the sizes of its batches."""

  def __init__(self, name, log):
    self.system, self.log = systems.System(name, "ct2", "folder"), log

  def turn(self, task):
    self.log.append((self.system.name, task.name))
    return {"seconds": [len(batch) for batch in task.batches]}


def test_tasks_go_through_the_text():
  found = bench.tasks(TEXTS, 1, sentences=2, batches=[4])
  assert found == [("1", [["c"], ["a"]]), ("2 words", [["a b"], ["b a"]]), ("4", [["b", "c", "a", "b"]])]


def test_every_round_begins_with_another_system():
  log, besides = [], iter(range(9))
  pair = [Planted("x", log), Planted("y", log)]
  beside, answers = bench.rounds(pair, TEXTS, 1, sentences=2, batches=[4], beside=lambda: next(besides))
  assert log == [("x", "1"), ("y", "1"), ("x", "2 words"), ("y", "2 words"), ("x", "4"), ("y", "4"),
                 ("y", "1"), ("x", "1"), ("y", "2 words"), ("x", "2 words"), ("y", "4"), ("x", "4")]
  assert beside == [1]  # Without that of round 0.
  assert answers[-1] == {"round": 1, "system": "x", "task": "4", "seconds": [4]}


def test_a_system_is_not_asked_for_larger_batches_than_it_takes():
  log = []
  small = Planted("x", log)
  small.system = small.system._replace(most=3)
  bench.rounds([small], TEXTS, 0, sentences=2, batches=[3, 4])
  assert [task for _, task in log] == ["1", "2 words", "3"]


def test_a_worker_times_each_batch(monkeypatch):
  clock = iter(range(100))
  monkeypatch.setattr(worker.time, "perf_counter", lambda: next(clock) ** 2)
  found = worker.timed(lambda lines: ["w w"] * len(lines), [["a"], ["a", "b"]], told=True)
  assert found["seconds"] == [1, 5] and found["words"] == 6 and found["peak"] > 1 and found["cpu"] >= 0
  assert found["lines"] == ["w w"] * 3


def test_a_worker_goes_on_with_the_faster_threads(monkeypatch):
  clock = [0.0]
  monkeypatch.setattr(worker.time, "perf_counter", lambda: clock[0])
  asked = []

  def way(threads):
    def translate(lines):
      asked.append((threads, len(lines)))
      clock[0] += 1 if threads == 1 else 8 / len(lines)  # Two threads are faster for many lines only.
      return lines
    return translate

  fastest = worker.Fastest({1: way(1), 2: way(2)})
  for _ in range(2):
    assert fastest("1", [["a"]])["threads"] == 1
    assert fastest("9", [["a"] * 9])["threads"] == 2
  assert asked == [(1, 1), (2, 1), (1, 9), (2, 9), (1, 1), (2, 9)]
  assert fastest("all", [["a"], ["b"]], told=True)["lines"] == ["a", "b"]
  assert asked[6:] == [(2, 1), (2, 1)]  # Once, as its time does not count.


@pytest.mark.parametrize("kind", ["saved_model", "ct2", "openvino"])
def test_a_system_in_its_own_process(tmp_path, kind, one_process):
  if kind == "ct2":
    pytest.importorskip("ctranslate2", reason="CTranslate2 is not installed; it comes with the extra ct2.")
  if kind == "openvino":
    pytest.importorskip("openvino", reason="OpenVINO is not installed; it comes with the extra openvino.")
  make = {"saved_model": tiny.export, "ct2": tiny.export_ct2, "openvino": tiny.export_openvino}[kind]
  folder = make(tiny.run(tmp_path / "run", "nat_em" if kind == "openvino" else "ar"), tmp_path / "out")
  process = bench.Worker(systems.System("mine", kind, folder, 2 * (kind == "ct2")), 1)
  try:
    one = process.turn(bench.Task("1", [["a low house"], ["the"]]))
    assert len(one["seconds"]) == 2 and one["all seconds"] > sum(one["seconds"]) > 0  # The first is translated twice.
    assert len(process.turn(bench.Task("3", [["a", "the", "is"]]))["seconds"]) == 1
    lines = ["a", "the", "is"] * 12  # More than a batch.
    assert process.translations(lines) == process.translations(lines[:3]) * 12
    assert process.facts["dtype"] == "float32" and process.facts["versions"]
  finally:
    process.close()


def test_one_that_does_not_start_is_one_line(tmp_path):
  with pytest.raises(ValueError, match="^'mine' stopped: .*(metadata.json).*"):
    bench.Worker(systems.System("mine", "saved_model", str(tmp_path)), 1)
