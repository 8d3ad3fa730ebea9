"""Which sentences share a batch, when the queue refuses a request, and what happens when the server stops."""
import concurrent.futures
import threading
import time

import pytest

from tests.serve import planted
from tf_nar.serve import batching


@pytest.fixture
def model():
  return planted.Model()


@pytest.fixture
def start(model):
  """Returns a function that makes a batcher and starts it; it is stopped after the test."""
  made = []

  def started(**settings):
    made.append(planted.batcher(model, **settings))
    made[-1].start()
    assert made[-1].ready.wait(10)
    return made[-1]

  yield started
  model.gate.set()
  for each in made:
    each.stop(10)


def said(futures):
  return [future.result(10).content for future in futures]


def until(true):
  end = time.monotonic() + 10
  while not true():
    assert time.monotonic() < end
    time.sleep(0.001)


def busy(batcher, model):
  """Lets the model run a first batch, `x`, until the gate is opened."""
  model.gate.clear()
  first = batcher.ask("score", [("x", "x")])
  until(lambda: len(model.batches) == 1)
  return first


def test_each_gets_its_own_answer(start):
  batcher = start()
  texts = ["a" * length for length in (5, 1, 9, 2, 7, 3)]
  answers = said(batcher.ask("translate", texts))
  assert [answer["translation"] for answer in answers] == [text.upper() for text in texts]


def test_what_waits_is_run_together_by_offer_and_length(start, model):
  batcher = start(max_batch=3)
  first = busy(batcher, model)
  futures = batcher.ask("translate", ["bb", "dddddddd", "c" * 30]) + batcher.ask("candidates", ["one"])
  futures += batcher.ask("translate", ["e", "fff", "g" * 9])
  assert batcher.waiting == 7
  model.gate.set()
  said(first + futures)
  assert model.batches[1:] == [
      ("translate", ["bb", "e", "fff"]),  # The nearest to the oldest.
      ("translate", ["dddddddd", "g" * 9, "c" * 30]),
      ("candidates", ["one"])]
  assert batcher.waiting == 0


def test_a_batch_is_no_larger_than_its_characters_allow(start, model):
  batcher = start(max_batch=9, max_characters=12)
  first = busy(batcher, model)
  futures = batcher.ask("translate", ["aaa", "bbbb", "c" * 40, "ddd", "eeeee"])
  model.gate.set()
  said(first + futures)
  # 4 sentences of 4 characters exceed 12; the one of 40 is run alone, as no sentence is too long for a batch.
  assert [texts for _, texts in model.batches[1:]] == [["aaa", "ddd", "bbbb"], ["c" * 40], ["eeeee"]]


def test_a_full_batch_does_not_wait(start, model):
  batcher = start(max_batch=2, max_wait=60.0)
  said(batcher.ask("translate", ["a", "b"]))
  assert model.batches == [("translate", ["a", "b"])]


def test_a_sentence_waits_for_others_and_not_longer(start, model):
  batcher = start(max_batch=9, max_wait=0.5)
  begun = time.monotonic()
  first = batcher.ask("translate", ["a"])
  time.sleep(0.01)
  said(first + batcher.ask("translate", ["b"]))
  assert model.batches == [("translate", ["a", "b"])]
  assert time.monotonic() - begun >= 0.5


def test_a_full_queue_takes_all_of_a_request_or_nothing(start, model):
  batcher = start(max_queue=3)
  first = busy(batcher, model)
  waiting = batcher.ask("translate", ["a", "b"])
  with pytest.raises(batching.Full):
    batcher.ask("translate", ["c", "d"])
  assert batcher.waiting == 2
  waiting += batcher.ask("translate", ["e"])
  model.gate.set()
  assert [answer["translation"] for answer in said(first + waiting)[1:]] == ["A", "B", "E"]


def test_what_nobody_waits_for_is_not_run(start, model):
  batcher = start(max_queue=2)
  first = busy(batcher, model)
  gone, stays = batcher.ask("translate", ["gone", "stays"])
  assert gone.cancel() and batcher.waiting == 1
  also = batcher.ask("translate", ["also"])  # There is room again.
  model.gate.set()
  said([*first, stays, *also])
  assert model.batches[1:] == [("translate", ["stays", "also"])]


def test_all_cancelled_and_the_thread_lives(start, model):
  batcher = start(max_batch=9, max_wait=0.05)
  [future] = batcher.ask("translate", ["gone"])
  assert future.cancel()
  time.sleep(0.1)
  assert said(batcher.ask("translate", ["b"]))[0]["translation"] == "B" and model.batches == [("translate", ["b"])]


def test_a_failure_is_told_and_survived(start):
  batcher = start()
  for _ in range(2):
    with pytest.raises(RuntimeError, match="planted"):
      said(batcher.ask("translate", ["boom"]))
  assert said(batcher.ask("translate", ["a"]))[0]["translation"] == "A"


def test_stop_answers_what_waits_and_takes_nothing_new(start, model):
  batcher = start(max_wait=60.0)
  waiting = batcher.ask("translate", ["a"])
  stopping = threading.Thread(target=batcher.stop)
  stopping.start()
  assert said(waiting)[0]["translation"] == "A"
  stopping.join(10)
  assert not stopping.is_alive()
  with pytest.raises(batching.Closed):
    batcher.ask("translate", ["b"])


def test_ready_after_the_warm_up(model):
  batcher = planted.batcher(model)
  model.gate.clear()
  batcher.start([("translate", ["warm"]), ("score", [("s", "t")])])
  until(lambda: model.batches)
  assert not batcher.ready.is_set()
  model.gate.set()
  assert batcher.ready.wait(10) and model.batches == [("translate", ["warm"]), ("score", [("s", "t")])]
  batcher.stop(10)


def test_a_warm_up_that_fails_is_told(model):
  problem = concurrent.futures.Future()
  batcher = planted.batcher(model)
  batcher.start([("translate", ["boom"])], problem.set_result)
  assert str(problem.result(10)) == "planted" and not batcher.ready.is_set()


def test_stopped_while_it_warms_up(model):
  batcher = planted.batcher(model)
  model.gate.clear()
  batcher.start(("translate", ["warm"]) for _ in range(1000))
  until(lambda: model.batches)
  threading.Timer(0.05, model.gate.set).start()
  batcher.stop(10)
  assert len(model.batches) < 1000
