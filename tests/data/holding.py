"""Another process that locks a folder."""
import contextlib
import subprocess
import sys

HOLD = """
import sys
from tf_nar.data import lock
with lock.held(sys.argv[1]):
  print("held", flush=True)
  sys.stdin.read()
"""


@contextlib.contextmanager
def held(folder):
  """Context manager of the process, once it has locked the folder; it releases the lock at the end."""
  command = [sys.executable, "-c", HOLD, str(folder)]
  with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
    assert other.stdout.readline() == b"held\n"
    yield other
    other.stdin.close()
