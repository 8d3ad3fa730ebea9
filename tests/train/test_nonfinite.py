"""Updates that are not finite are named, written down, and end the run or are skipped."""
import json

import numpy as np
import pytest

from tests.data import folders
from tf_nar import types
from tf_nar.train import nonfinite
from tf_nar.train import window

FINE = {"loss": 1.0, "gradient_norm": 2.0, "learning_rate": 0.1}
BATCH = types.Batch(
  np.array([[5, 6, types.EOS, 0], [0] * 4]), np.array([[7, types.EOS, 0, 0], [0] * 4]), np.array([0.5, 0.0]))


class Saved:
  """Checkpoints of the given steps."""

  def __init__(self, *steps):
    self._steps = steps

  def steps(self):
    return self._steps

  def path(self, step):
    return f"ckpt-{step}"


def watch(folder, mode="stop", *steps, **options):
  return nonfinite.Watch(mode, Saved(*steps), str(folder), folders.VOCAB, **options)


def test_the_first_bad_update_is_written_as_ids_and_text(tmp_path):
  said = [FINE, FINE | {"gradient_norm": np.inf}, FINE | {"loss": np.nan}]
  message = (r"^The norm of the gradient is inf at step 12; its sentence pairs are in .*/nonfinite\.jsonl; the last "
             r"good checkpoint is ckpt-9\. Lower .*, or leave such updates out by train\.nonfinite=skip, then run the")
  with pytest.raises(FloatingPointError, match=message):
    watch(tmp_path, "stop", 3, 9).check(10, said, [None, [BATCH, BATCH], None])
  lines = (tmp_path / nonfinite.FILE).read_text().splitlines()
  pair = {"step": 12, "weight": 0.5, "source": "w0 w1", "target": "w2", "src": [5, 6, types.EOS],
          "tgt": [7, types.EOS]}
  assert list(map(json.loads, lines)) == [pair, pair]  # The second row is padding.


def test_other_machines_write_nothing(tmp_path):
  with pytest.raises(FloatingPointError, match="no checkpoint was saved yet"):
    watch(tmp_path, writes=False).check(0, [FINE | {"loss": np.nan}], [[BATCH]])
  assert not list(tmp_path.iterdir())


def test_skipped_updates_are_left_out_of_the_means(tmp_path):
  open_window, watching = window.Window(4), watch(tmp_path, "skip")
  for loss in (1.0, np.nan, 3.0):
    open_window.add(FINE | {"loss": loss}, [BATCH])
  row = open_window.close(watching)
  assert row["loss"] == 2 and row["skipped"] == 1 and row["padding"] == 0.75
  open_window.add(FINE | {"loss": np.inf}, [BATCH])
  assert open_window.close(watching).keys() == {"skipped", "tokens_per_second", "padding", "input_share"}
  open_window.add(FINE, [BATCH])
  assert "skipped" not in open_window.close(watching)


def test_a_run_that_only_skips_is_stopped(tmp_path):
  watching, bad = watch(tmp_path, "skip"), FINE | {"loss": np.nan}
  half = nonfinite.IN_A_ROW // 2
  check = lambda *said: watching.check(0, said, [[BATCH]] * len(said))
  check(*[bad] * half)
  check(*[bad] * (half - 1), FINE, bad)
  check(*[bad] * half)
  with pytest.raises(FloatingPointError, match=f"as {2 * half + 1} updates in a row were skipped. Lower .*up, then "):
    check(*[bad] * half)
