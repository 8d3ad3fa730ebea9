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

  def __init__(self, command, settings, what="The baseline", environment=WAIT):
    """Starts it.

    Args:
      command: list of str.
      settings: what the script wants to know; JSON. "accumulate" is the micro-batches of an update.
      what: how a message calls it.
      environment: variables for it, where the caller's environment has none.

    Raises:
      ValueError: if it does not start; with the last line of what it said.
    """
    self._accumulate, self._what = settings.get("accumulate", 1), what
    self._errors = tempfile.TemporaryFile("w+")  # A pipe that nobody reads would fill up and stop it.
    pipes = dict(
      stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, text=True, env=environment | os.environ)
    try:
      self._process = subprocess.Popen(command, **pipes)
    except OSError as error:
      self._errors.close()
      raise ValueError(f"{what} does not start: {error}") from error
    self.facts = self.ask(settings)

  def close(self):
    """Ends it, as its input does; may be called twice."""
    self._process.communicate()
    self._errors.close()

  def turn(self, batches):
    """Returns the seconds that it takes for updates on a list of `types.Batch`."""
    each = [{"src": batch.src.numpy().tolist(), "tgt": batch.tgt.numpy().tolist()} for batch in batches]
    n = self._accumulate
    return self.ask({"updates": [each[i:i + n] for i in range(0, len(each), n)]})["seconds"]

  def ask(self, question):
    """Returns the answer to a line of JSON.

    Raises:
      ValueError: if none comes; with the last line of what it said.
    """
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
      raise ValueError(f"{self._what} stopped: {said[-1]}") from error
