"""Runs the training of another toolkit as a baseline: in a process of another Python, on the same batches, in turns.

The process reads a line of JSON and answers with one:

  <- settings          -> {"toolkit": ...}
  <- {"updates": [[{"src": [[id ...] ...], "tgt": ...} ...] ...]}: micro-batches of each update
  -> {"seconds": ...}, without the time of reading
"""
import json
import os
import subprocess
import tempfile
from typing import Any, Sequence

# OpenMP threads that spin while they wait for each other slow it down on a busy machine. The caller's
# environment takes precedence.
WAIT = {"OMP_WAIT_POLICY": "PASSIVE"}


class Process:
  """The process of a baseline, which is idle between its turns."""

  def __init__(self, command, settings, what="The baseline", environment=WAIT):
    """Starts the process.

    Args:
      command: list of str.
      settings: the settings of the script, as JSON; "accumulate" is the number of micro-batches per update.
      what: its name in messages.
      environment: environment variables for it, unless the caller's environment sets them.

    Raises:
      ValueError: if it does not start; with the last line of its error output.
    """
    self._accumulate, self._what = settings.get("accumulate", 1), what
    self._errors = tempfile.TemporaryFile("w+")  # Not a pipe, which would fill up and block the process.
    pipes = dict(
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment | os.environ)
    try:
      self._process = subprocess.Popen(command, **pipes)
    except OSError as error:
      self._errors.close()
      raise ValueError(f"{what} does not start: {error}") from error
    self.facts = self.ask(settings)

  def close(self) -> None:
    """Ends the process by closing its input; may be called twice."""
    self._process.communicate()
    self._errors.close()

  def turn(self, batches: Sequence[Any]) -> float:
    """Returns the seconds that the baseline takes for updates on a list of `types.Batch`."""
    each = [{"src": batch.src.numpy().tolist(), "tgt": batch.tgt.numpy().tolist()} for batch in batches]
    n = self._accumulate
    return self.ask({"updates": [each[i:i + n] for i in range(0, len(each), n)]})["seconds"]

  def ask(self, question: dict[str, Any]) -> dict[str, Any]:
    """Returns the answer to a line of JSON.

    Raises:
      ValueError: if there is no answer; with the last line of its error output.
    """
    try:
      self._process.stdin.write(json.dumps(question) + "\n")
      self._process.stdin.flush()
      return json.loads(self._process.stdout.readline())
    except (OSError, ValueError) as error:
      self._process.kill()
      self._process.communicate()
      self._errors.seek(0)
      errors = self._errors.read().strip().splitlines() or ["it printed nothing"]
      self.close()
      raise ValueError(f"{self._what} stopped: {errors[-1]}") from error
