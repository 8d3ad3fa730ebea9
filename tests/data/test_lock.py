"""Only one process at a time writes to a folder."""
import os
import signal
import subprocess
import sys

import pytest

from tests.data import holding
from tf_nar.data import lock


@pytest.fixture
def other(tmp_path):
  """Another process that has locked the folder, by another path to it."""
  (tmp_path / "run").mkdir()
  (tmp_path / "link").symlink_to("run")
  with holding.held(tmp_path / "link") as process:
    yield process


def test_the_second_is_refused_and_a_killed_process_leaves_no_lock(other, tmp_path):
  folder = str(tmp_path / "run")
  with pytest.raises(ValueError, match=f"^{folder} is in use by another process; .* choose another --workdir.$"):
    with lock.held(folder):
      pytest.fail("Two write one folder.")
  other.send_signal(signal.SIGKILL)
  other.wait()
  with lock.held(folder + "/"):
    assert os.listdir(folder) == []


def test_one_process_may_ask_again_and_lets_go_at_the_end(tmp_path):
  folder = str(tmp_path)
  ask = [sys.executable, "-c", holding.HOLD, folder]
  with lock.held(folder), lock.held(folder + "/."):
    refused = subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert refused.returncode == 1 and refused.stderr.splitlines()[-1].startswith(f"ValueError: {folder} is in use")
  with pytest.raises(RuntimeError), lock.held(folder):
    raise RuntimeError
  assert subprocess.run(ask, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False).stdout == "held\n"


def test_another_folder_is_another_lock(other, tmp_path):
  (tmp_path / "second").mkdir()
  with lock.held(str(tmp_path / "second")), lock.held("ram://run"):
    pass
