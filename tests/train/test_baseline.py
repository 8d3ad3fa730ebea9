"""The communication with another process, by scripts without dependencies."""
import os
import sys

import pytest
import tensorflow as tf

from tf_nar import types
from tf_nar.train import baseline

ECHO = """
import json, os, sys
settings = json.loads(sys.stdin.readline())
print(json.dumps({"toolkit": settings["name"], "wait": os.environ["OMP_WAIT_POLICY"]}), flush=True)
for line in sys.stdin:
  updates = json.loads(line)["updates"]
  print("x" * 100_000, file=sys.stderr)
  print(json.dumps({"seconds": [[len(batch["src"]) for batch in each] for each in updates]}), flush=True)
"""
SETTINGS = {"name": "echo", "accumulate": 2}


def start(script, **settings):
  return baseline.Process([sys.executable, "-c", script], SETTINGS | settings)


def test_updates_go_there_and_seconds_come_back(monkeypatch):
  monkeypatch.delenv("OMP_WAIT_POLICY", raising=False)
  process = start(ECHO)
  assert process.facts == {"toolkit": "echo", "wait": "PASSIVE"}
  batches = [types.Batch(tokens, tokens, tf.ones([len(tokens)])) for tokens in (tf.ones([n, 3]) for n in (1, 2, 3, 4))]
  for _ in range(2):
    assert process.turn(batches) == [[1, 2], [3, 4]]
  process.close()
  assert process._process.returncode == 0


def test_the_environment_goes_before(monkeypatch):
  monkeypatch.setitem(os.environ, "OMP_WAIT_POLICY", "ACTIVE")
  process = start(ECHO)
  assert process.facts["wait"] == "ACTIVE"
  process.close()


@pytest.mark.parametrize("script, message", [
  ("import no_such_torch", "^The baseline stopped: ModuleNotFoundError: No module named 'no_such_torch'$"),
  ("print('hello')", "^The baseline stopped: it printed nothing$"),
])
def test_one_that_stops_is_one_line(script, message):
  with pytest.raises(ValueError, match=message):
    start(script)


def test_no_such_python():
  with pytest.raises(ValueError, match=r"The baseline does not start: .*no/python"):
    baseline.Process(["no/python"], SETTINGS)
