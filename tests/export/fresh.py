"""Processes without this package that check several exports, in place of one for each."""
import json
import subprocess

# Runs the programs that it is given, one a line, with their arguments and input; says their output and traceback.
LOOP = """
import contextlib, io, json, sys, traceback
given, results = sys.stdin, sys.stdout
for line in given:
  program, sys.argv[1:], text = json.loads(line)
  sys.stdin, output, error = io.StringIO(text), io.StringIO(), ""
  try:
    with contextlib.redirect_stdout(output):
      exec(program, {})
  except BaseException:
    error = traceback.format_exc()
  print(json.dumps([output.getvalue(), error]), file=results, flush=True)
"""


class Processes:
  """Has the place of the module `subprocess` where that runs `python -c`: one process for each environment."""

  def __init__(self):
    self._started = {}

  def __enter__(self):
    return self

  def __exit__(self, *_):
    for process in self._started.values():
      process.communicate()  # The end of its input is its end.

  def run(self, command, *, input, env, **_):
    """As `subprocess.run`; the folder is always /."""
    python, _, program, *arguments = command
    env = {name: value for name, value in env.items() if name != "PYTEST_CURRENT_TEST"}  # Another in each test.
    key = json.dumps(env, sort_keys=True)
    if key not in self._started:
      self._started[key] = subprocess.Popen(
        [python, "-c", LOOP], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, cwd="/",
        env=env, text=True, encoding="utf-8")
    process = self._started[key]
    process.stdin.write(json.dumps([program, arguments, input]) + "\n")
    process.stdin.flush()
    output, error = json.loads(process.stdout.readline())
    return subprocess.CompletedProcess(command, int(bool(error)), output, error)
