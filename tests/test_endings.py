"""How programs end: with an exit status and at most one line."""
import os
import signal
import subprocess
import sys

import pytest
import tensorflow as tf
from absl import app

from tf_nar import program
from tf_nar.train import preemption

HEAD = "import sys, time\nfrom tf_nar import program\nfrom tf_nar.data import text\n"
WRITES = HEAD + """
def work():
  with text.writing() as write:
    for n in range({lines}):
      write("größe")
program.run("it", work, ["it"])
"""
WAITS = HEAD + """
def work():
  print("ready", flush=True)
  time.sleep(600)
program.run("it", work, ["it"])
"""


def spawn(code, **options):
  return subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, **options)


def raising(problem):
  def work():
    raise problem
  return work


@pytest.mark.parametrize("problem, line", [
  (ValueError("No file x; give one."), "it: No file x; give one."),
  (ValueError("two\nlines\n"), "it: two lines"),
  (ValueError(), "it: ValueError"),
  (FileNotFoundError(2, "No such file", "x"), "it: [Errno 2] No such file: 'x'"),
  (ImportError("pip install it"), "it: pip install it"),
  (FloatingPointError("The loss is nan"), "it: The loss is nan"),
  (LookupError("planted"), "it: planted"),
  (tf.errors.PermissionDeniedError(None, None, "x; Read-only file system\nmore"), "it: x; Read-only file system"),
  (tf.errors.ResourceExhaustedError(None, None, "x; No space left on device"), "it: x; No space left on device"),
  (tf.errors.ResourceExhaustedError(None, None, "{{function_node a/device:CPU:0}} x; No space left [Op:SaveV2]"),
   "it: x; No space left"),
])
def test_what_stops_it_is_one_line(problem, line):
  with pytest.raises(SystemExit) as exit:
    program.run("it", raising(problem), ["it"], also=(LookupError,))
  assert exit.value.code == line


@pytest.mark.parametrize("problem", [KeyError("a mistake"), tf.errors.InvalidArgumentError(None, None, "of shapes")])
def test_a_mistake_of_ours_keeps_its_traceback(problem):
  with pytest.raises(type(problem)):
    program.run("it", raising(problem), ["it"])


@pytest.mark.parametrize("status, code", [(None, None), (0, None), (1, 1), (3, 3)])
def test_a_status_is_the_programs(status, code):
  if code is None:
    program.run("it", lambda: status, ["it"])
  else:
    with pytest.raises(SystemExit) as exit:
      program.run("it", lambda: status, ["it"])
    assert exit.value.code == code


def test_told_to_stop(capsys):
  with pytest.raises(SystemExit) as exit:
    program.run("it", raising(preemption.Preempted("Saved.")), ["it"])
  assert exit.value.code == 75 and capsys.readouterr().err == "it: Saved.\n"


def test_stray_arguments():
  with pytest.raises(app.UsageError, match="^Arguments that are not flags: a b; see --help.$"):
    program.run("it", lambda: pytest.fail("It worked."), ["it", "a", "b"])


def test_a_reader_that_goes_away_ends_it_quietly():
  process = spawn(WRITES.format(lines=1_000_000), stdout=subprocess.PIPE)
  assert process.stdout.readline() == "größe\n".encode()
  process.stdout.close()
  assert process.wait(60) == 141 and process.stderr.read() == b""
  closed = spawn(WRITES.format(lines=1).replace("write(", "print("), stdout=subprocess.PIPE)
  closed.stdout.close()
  assert closed.wait(60) == 141 and closed.stderr.read() == b""  # Also if it is written only at the end.


def test_ctrl_c():
  # A shell's background processes ignore it; this one is to hear it wherever the tests run.
  hear = lambda: signal.signal(signal.SIGINT, signal.SIG_DFL)
  process = spawn(WAITS, stdout=subprocess.PIPE, preexec_fn=hear)
  assert process.stdout.readline() == b"ready\n"
  process.send_signal(signal.SIGINT)
  assert process.wait(60) == 130 and process.stderr.read() == b"it: interrupted.\n"


def test_a_full_device_is_one_line():
  with open("/dev/full", "wb") as full:
    process = spawn(WRITES.format(lines=9), stdout=full)
    assert process.wait(60) == 1
  assert process.stderr.read() == b"it: [Errno 28] No space left on device\n"


def test_closed_streams_are_said():
  closed = lambda code, which: subprocess.run(
    ["sh", "-c", f'exec "$@" {which}', "sh", sys.executable, "-c", code], stderr=subprocess.PIPE, check=False)
  out = closed(WRITES.format(lines=1), ">&-")
  assert (out.returncode, out.stderr) == (1, b"it: Standard output is closed; give the name of a file to write.\n")
  into = closed(HEAD + 'program.run("it", lambda: list(text.read()), ["it"])', "<&-")
  assert (into.returncode, into.stderr) == (1, b"it: Standard input is closed; give the name of a file.\n")


@pytest.mark.parametrize("locale", [
  {"PYTHONIOENCODING": "latin-1"}, {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}])
def test_output_is_utf_8_whatever_the_locale(tmp_path, locale):
  code = HEAD + """
def work():
  print("größe 日本 \\udcff")
  raise ValueError("größe 日本 \\udcff")
program.run("it", work, ["it"])
"""
  (tmp_path / "it.py").write_text(code, encoding="utf-8")
  environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)} | locale
  done = subprocess.run([sys.executable, tmp_path / "it.py"], env=environment, capture_output=True, check=False)
  said = "größe 日本 \\udcff\n".encode()
  assert (done.returncode, done.stdout, done.stderr) == (1, said, b"it: " + said)
