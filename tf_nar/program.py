"""The frame of every program: what it prints is UTF-8, and what stops it is one line.

  exit status   0 done    1 refused or failed, with a line on standard error    75 told to stop, after saving
                130 interrupted (Ctrl-C)    141 whoever read its output went away
"""
import os
import sys

from absl import app

from tf_nar.data import text
from tf_nar.train import preemption

INTERRUPTED, READER_GONE = 130, 141  # As of a program that SIGINT or SIGPIPE ended.


def run(name, work, argv, also=()):
  """Runs a program after its flags are parsed.

  Args:
    name: the program, which begins the line that says what stopped it.
    work: what it does, without arguments; an int that it returns is the exit status.
    argv: what absl left of the arguments, the program first.
    also: exceptions that say what a user can mend, beside those that every program has.

  Raises:
    app.UsageError: for arguments that no flag takes.
    SystemExit: with the line, or an exit status.
  """
  if len(argv) > 1:
    raise app.UsageError(f"Arguments that no flag takes: {' '.join(argv[1:])}.")
  for stream in (sys.stdout, sys.stderr):
    text.as_utf8(stream)
  try:
    status = work()
    if sys.stdout:
      sys.stdout.flush()
  except (BrokenPipeError, KeyboardInterrupt, preemption.Preempted) as stop:
    sys.exit(_stopped(name, stop))
  except (ValueError, OSError, ImportError, FloatingPointError, *also) as problem:
    if isinstance(problem, OSError):
      _forget_output()
    sys.exit(f"{name}: {_line(problem)}")
  except Exception as problem:
    if not _is_of_files(problem):
      raise
    sys.exit(f"{name}: {problem.message.splitlines()[0]}")
  if status:
    sys.exit(status)


def _stopped(name, stop):
  """Says what stopped a program from outside, and returns its exit status."""
  if isinstance(stop, BrokenPipeError):
    _forget_output()
    return READER_GONE
  interrupted = isinstance(stop, KeyboardInterrupt)
  print(f"{name}: {'interrupted.' if interrupted else stop}", file=sys.stderr)
  return INTERRUPTED if interrupted else preemption.EXIT


def _forget_output():
  """Drops what standard output did not take, else Python tries again at its end, and complains."""
  try:
    sys.stdout.flush()
  except (OSError, AttributeError):  # None where it is closed.
    if sys.stdout:
      os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(problem):
  """Returns what an exception says, on one line."""
  return " ".join(str(problem).split("\n")).strip() or type(problem).__name__


def _is_of_files(problem):
  """Whether TensorFlow says so that a file or folder cannot be read or written; such errors are no kind of OSError."""
  tf = sys.modules.get("tensorflow")
  if tf is None:
    return False
  errors = tf.errors
  return isinstance(problem, (errors.PermissionDeniedError, errors.NotFoundError, errors.FailedPreconditionError,
                              errors.ResourceExhaustedError, errors.AlreadyExistsError, errors.UnavailableError))
