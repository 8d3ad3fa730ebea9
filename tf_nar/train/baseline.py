"""Another toolkit's training, in a process of another Python, on the same batches and never while ours runs.

The process reads a line of JSON and answers with one:

  <- settings          -> {"toolkit": ...}
  <- {"updates": [[{"src": [[id ...] ...], "tgt": ...} ...] ...]}: micro-batches of each update
  -> {"seconds": ...}, without the reading
"""
import json
import os
import subprocess
import tempfile

# Threads of OpenMP that spin while they wait for each other made it fifty times slower on a machine that had other
# work. What the caller's environment says goes before.
WAIT = {"OMP_WAIT_POLICY": "PASSIVE"}


class Process:
  """A baseline that waits for its turns."""

  def __init__(self, command, settings):
    """Starts it.

    Args:
      command: list of str.
      settings: what the script wants to know; JSON. "accumulate" is the micro-batches of an update.

    Raises:
      ValueError: if it does not start; with the last line of what it said.
    """
    self._accumulate = settings["accumulate"]
    self._errors = tempfile.TemporaryFile("w+")  # A pipe that nobody reads would fill up and stop it.
    pipes = dict(stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=WAIT | os.environ)
    try:
      self._process = subprocess.Popen(command, **pipes)
    except OSError as error:
      self._errors.close()
      raise ValueError(f"The baseline does not start: {error}") from error
    self.facts = self._ask(settings)

  def close(self):
    """Ends it, as its input does; may be called twice."""
    self._process.communicate()
    self._errors.close()

  def turn(self, batches):
    """Returns the seconds that it takes for updates on a list of `types.Batch`."""
    each = [{"src": batch.src.numpy().tolist(), "tgt": batch.tgt.numpy().tolist()} for batch in batches]
    n = self._accumulate
    return self._ask({"updates": [each[i:i + n] for i in range(0, len(each), n)]})["seconds"]

  def _ask(self, question):
    try:
      self._process.stdin.write(json.dumps(question) + "\n")
      self._process.stdin.flush()
      return json.loads(self._process.stdout.readline())
    except (OSError, ValueError) as error:
      self._process.kill()
      self._process.communicate()
      self._errors.seek(0)
      said = self._errors.read().strip().splitlines() or ["it said nothing"]
      self.close()
      raise ValueError(f"The baseline stopped: {said[-1]}") from error
