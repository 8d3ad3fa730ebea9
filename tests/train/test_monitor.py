import json
import logging

import pytest
import tensorflow as tf

from tf_nar import config
from tf_nar.models import ar
from tf_nar.train import monitor


def lines(workdir):
  return [json.loads(line) for line in (workdir / monitor.LOG).read_text().splitlines()]


def test_a_row_is_a_line(tmp_path):
  with monitor.Monitor(str(tmp_path), 0, 10) as log:
    log.write(2, loss=1.23456789, epoch=0)
    log.write(4, {"translations": "a | b"}, valid_bleu=30.0)
  assert lines(tmp_path) == log.rows == [
    {"step": 2, "loss": 1.23457, "epoch": 0.0}, {"step": 4, "valid_bleu": 30.0}]
  assert monitor.read(str(tmp_path)) == log.rows


def test_what_came_after_the_checkpoint_is_taken_back(tmp_path):
  (tmp_path / monitor.LOG).write_text('{"step": 2, "loss": 3.0}\n{"step": 4, "loss": 2.0}\n{"step": 6, "lo')
  with monitor.Monitor(str(tmp_path), 2, 10) as log:
    assert log.rows == lines(tmp_path) == [{"step": 2, "loss": 3.0}]
    log.write(4, loss=2.5)
  assert [row["step"] for row in lines(tmp_path)] == [2, 4]


def test_no_log_yet(tmp_path):
  assert monitor.read(str(tmp_path)) == []


def test_settings_and_scalars_reach_tensorboard(tmp_path):
  with monitor.Monitor(str(tmp_path), 0, 10) as log:
    log.settings(config.Experiment("ar", ar.Config(), ar.Search()))
    log.write(2, {"translations": "ein Hund"}, loss=1.5, padding=0.5, valid_token=2)
  events = b"".join(path.read_bytes() for path in (tmp_path / "events").iterdir())
  for text in (b"train.optimizer.learning_rate", b"model.net.width", b"ein Hund"):
    assert text in events
  assert {tag for _, tag in points(tmp_path) if not tag.startswith("_")} == {
    "train/loss", "speed/padding", "valid/token", "valid/translations"}


def points(workdir):
  """[(step, tag)] of all event files, in their order."""
  paths = sorted((workdir / "events").iterdir())
  events = [tf.compat.v1.Event.FromString(record.numpy()) for path in paths for record in tf.data.TFRecordDataset(path)]
  return [(event.step, value.tag) for event in events for value in event.summary.value]


def test_tensorboard_shows_no_point_twice(tmp_path):
  with monitor.Monitor(str(tmp_path), 0, 10) as log:
    for step in (2, 4, 6):
      log.write(step, {"translations": "text"}, loss=1.0)
  path, = (tmp_path / "events").iterdir()
  path.write_bytes(path.read_bytes()[:-5])  # As a killed program leaves it.
  with monitor.Monitor(str(tmp_path), 2, 10) as log:
    log.write(4, loss=2.0)
  assert points(tmp_path) == [(2, "train/loss"), (2, "valid/translations"), (4, "train/loss")]


def test_other_machines_write_nothing(tmp_path):
  (tmp_path / monitor.LOG).write_text('{"step": 2, "loss": 3.0}\n{"step": 4, "loss": 2.0}\n')
  with monitor.Monitor(str(tmp_path), 2, 10, writes=False) as log:
    log.write(4, {"translations": "text"}, loss=2.5)
  assert [row["step"] for row in log.rows] == [2, 4]
  assert [row["loss"] for row in lines(tmp_path)] == [3.0, 2.0]
  assert {path.name for path in tmp_path.iterdir()} == {monitor.LOG}


@pytest.mark.parametrize("shares, warned", [
  ([0.9, 0.1, 0.2], []),  # The first window fills the shuffle buffer.
  ([0.9, 0.1, 0.35, 0.6], ["step 3: 35 % of the time"]),
  ([0.1, 0.21], ["step 2: 21 % of the time"]),
])
def test_slow_input_is_warned_of_once(tmp_path, caplog, monkeypatch, shares, warned):
  monkeypatch.setattr(logging.getLogger("absl"), "propagate", True)
  with monitor.Monitor(str(tmp_path), 0, 10) as log, caplog.at_level(logging.WARNING):
    for step, share in enumerate(shares, 1):
      log.write(step, loss=1.0, input_share=share)
      log.write(step, valid_bleu=30.0)  # Validation rows have no input share.
  told = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
  assert [text[:len(begin)] for text, begin in zip(told, warned, strict=True)] == warned
  assert all("--shards" in text and "\n" not in text for text in told)
