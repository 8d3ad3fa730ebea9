"""What all programs share: flags, --help, UTF-8 output, one-line error messages and exit statuses.

A program is a module of `tf_nar/cli`: a docstring that begins with commands, `flags`, and `main(argv)`. It imports
TensorFlow and what depends on it inside functions, so that --help answers at once.

  exit status   0 success    1 error, with one line on standard error    75 told to stop (preempted), after saving
                130 interrupted (Ctrl-C)    141 the reader of its output closed the pipe
"""
import functools
import os
import re
import sys
import textwrap
import types
from typing import Callable

from absl import app
from absl import flags as absl_flags

from tf_nar import quiet
from tf_nar.data import text
from tf_nar.train import preemption

INTERRUPTED, READER_GONE = 130, 141  # The statuses of a program ended by SIGINT (128 + 2) or SIGPIPE (128 + 13).

HELP = {"--help", "-help", "-h", "--helpshort", "-helpshort", "-?"}
INSTALLED = "tf-nar"  # The command of an installed package.
_SEVERAL = "DEFINE_multi_string", "DEFINE_multi_integer", "DEFINE_multi_float", "DEFINE_multi_enum"
_TWICE = re.compile(r"flag --(\w+)=(.*): already defined as (.*)", re.DOTALL)
_BINARY = re.compile(r"python (?:bin|data_prep)/(\w+)\.py")
_CONFIG = re.compile(r"=configs/(?:(\w+)\.py|(?=\.\.\.))")
_NODE = re.compile(r"\{\{[^}]*\}\} ?| \[Op:\w*\]$")  # What TensorFlow adds to the message of an operation run eagerly.
_AGAIN = ";\n    repeat this option to specify a list of values"  # absl's addition, which our texts have already.
_started_as = ""

# Descriptions of flags that several programs have.
MORE_CONFIGS = (
  " Given again: a file of settings, one name=value a line, as --print_config prints them; the last one counts.")
RESCORE_WITH = (
  "A run, such as the AR teacher, that ranks the candidates; several with commas between rank by the mean of their "
  "log p.")
COPY_UNKNOWN = (
  "Translations may have unknown words, each of which is replaced by the source token that is aligned with it, if any.")
TPU = '"local" on a TPU VM, else its name; empty: GPUs or the CPU.'
RUNNER = (
  "A runner of Apache Beam that does the work, as DirectRunner or DataflowRunner; its options follow --. Empty: this "
  "process does it.")
DRAFT_WITH = (
  "A NAR run that drafts translations, which the autoregressive run of --workdir checks: the result is its greedy "
  "translation, sooner. search.draft_block and search.draft_positions set how; the search of the drafter is set by "
  "--set=drafter.search.beam=1, for example.")

SHORTLIST = (
  "A file of data_prep/shortlist.py: the run, or the drafter if there is one, computes only the words that each "
  "sentence may need; families nat_em, glat, ctc, dag, nat_fertility and cmlm.")


class _List(absl_flags.Flag):
  """A flag of values with commas between; those of --source=a,b --source=c are a, b and c."""

  def parse(self, argument):
    before = self.value if self.present else []
    super().parse(argument)
    self.value = before + self.value


class Flags:
  """The flags of one program: absl's `DEFINE_...`, in a separate set, so that programs can use the same names.

  A flag that takes one value may be given only once, as absl would silently ignore the first of two values. A list
  that is given again goes on.

  Attributes:
    values: the `absl.flags.FlagValues`.
  """

  def __init__(self):
    self.values = absl_flags.FlagValues()
    self._required, self._spares = [], {}

  def __getattr__(self, kind):
    if not kind.startswith("DEFINE_"):
      raise AttributeError(kind)
    return functools.partial(self._define, kind)

  def _define(self, kind, name, *args, required=False, spares=(), **options):
    """Defines a flag. Giving it makes the required flags named in `spares` optional."""
    if required:
      self._required.append(name)
    self._spares[name] = spares
    if kind == "DEFINE_list":
      default, about = args
      flag = _List(absl_flags.ListParser(), absl_flags.CsvListSerializer(","), name, default, about, **options)
      return absl_flags.DEFINE_flag(flag, self.values)
    if kind not in _SEVERAL:
      options["allow_overwrite"] = False
    return getattr(absl_flags, kind)(name, *args, flag_values=self.values, **options)

  def parse(self, argv: list[str], values: absl_flags.FlagValues | None = None) -> list[str]:
    """Parses arguments and returns those that are not flags, the program first.

    Args:
      argv: the program and its arguments.
      values: `absl.flags.FlagValues` that hold these flags and perhaps others; None: these alone.

    Raises:
      ValueError: for an unknown flag, a flag given twice, an invalid value, or a required flag that is missing or
        empty, as --workdir=$UNSET in a shell.
    """
    try:
      rest = (self.values if values is None else values)(argv)
    except absl_flags.Error as problem:
      raise ValueError(_plainly(str(problem))) from None
    self.values.mark_as_parsed()
    spared = {each for name, names in self._spares.items() if self.values[name].value for each in names}
    missing = [f"--{name}" for name in self._required if self.values[name].value is None and name not in spared]
    if missing:
      raise ValueError(f"Missing {' and '.join(missing)}; see --help.")
    if empty := [f"--{name}" for name in self._required if _is_empty(self.values[name].value)]:
      raise ValueError(f"Empty {' and '.join(empty)}; see --help.")
    return rest

  def help(self) -> str:
    """Returns the flags and their descriptions, as --help prints them."""
    lines = []
    for flag in sorted(self.values, key=list(self.values).index):
      flag = self.values[flag]
      lines += [f"  --{_shown(flag)}{'  (needed)' * (flag.name in self._required)}"]
      lines += textwrap.wrap(flag.help.removesuffix(_AGAIN), 100, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(lines)


def _shown(flag):
  """Returns a flag with its default, as it is typed: [no]trace, beam=5, workdir=..."""
  if flag.boolean:
    return f"[no]{flag.name}"
  value = flag.default
  text = ",".join(map(str, value)) if isinstance(value, (list, tuple)) else "" if value is None else str(value)
  return f"{flag.name}={text or '...'}"


def _is_empty(value):
  """Whether the value of a flag is an empty text or list, or a list with an empty text."""
  return value == "" or isinstance(value, list) and (not value or "" in value)


def _plainly(problem):
  """Returns absl's message about a flag, on one line."""
  if twice := _TWICE.fullmatch(problem):
    name, second, first = twice.groups()
    return f"--{name} takes one value; got {first!r} and {second!r}."
  return " ".join(problem.split())


def start(module: types.ModuleType, argv: list[str] | None = None, as_command: bool = False) -> None:
  """Parses the flags of a program, and absl's for logging, and runs its main; exits the process at the end.

  Args:
    module: a module of `tf_nar/cli`.
    argv: the program and its arguments; those of this process if not given.
    as_command: whether it was started as a command, such as `tf-nar train`; help and hints then show commands so.
  """
  global _started_as
  _started_as = INSTALLED if as_command else ""
  quiet.hush()
  app.run(functools.partial(_main, module), argv, flags_parser=functools.partial(_parse, module))


def _parse(module, argv):
  if HELP & set(argv[1:]):
    own = module.flags.help()
    run(_name(module), lambda: print(typed(module.__doc__), *(["Flags:", "", own] if own else []), sep="\n"), argv[:1])
    sys.exit(0)
  absl_flags.FLAGS.append_flag_values(module.flags.values)
  try:
    return module.flags.parse(argv, absl_flags.FLAGS)
  except ValueError as problem:
    sys.exit(f"{_name(module)}: {problem}")


def _main(module, argv):
  try:
    module.main(argv)
  except app.UsageError as problem:
    sys.exit(f"{_name(module)}: {problem}")


def _name(module):
  return module.__name__.rpartition(".")[2]


def typed(text: str) -> str:
  """Returns a text with its commands in the form that this user types.

  The source has the form of a checkout, `python bin/train.py ...`; a program started as a command
  of the installed package shows `tf-nar train ...`.
  """
  return _CONFIG.sub(r"=\1", _BINARY.sub(rf"{_started_as} \1", text)) if _started_as else text


def for_runner(argv: list[str], runner: absl_flags.FlagHolder) -> tuple[list[str], tuple[str, ...]]:
  """Takes the options of a runner out of the arguments of a program.

  Args:
    argv: the program and the arguments that are not its flags, as those after --.
    runner: the flag that names the runner.

  Returns:
    The rest of the arguments, and the options; none if there is no runner, or if an argument is no option.
  """
  options = argv[1:]
  is_meant = runner.value and all(option.startswith("--") for option in options)
  return (argv[:1], tuple(options)) if is_meant else (argv, ())


def run(name: str, work: Callable[[], int | None], argv: list[str], also: tuple[type[Exception], ...] = ()) -> None:
  """Runs the work of a program after its flags are parsed, and turns expected errors into one line.

  Args:
    name: the name of the program, with which an error message begins.
    work: a function without arguments; an int that it returns is the exit status.
    argv: the program and the arguments that are not flags, of which there must be none.
    also: exceptions whose message a user can act on, in addition to those that every program has.

  Raises:
    app.UsageError: for arguments that are not flags.
    SystemExit: with the message of an error, or with an exit status.
  """
  if len(argv) > 1:
    raise app.UsageError(f"Arguments that are not flags: {' '.join(argv[1:])}; see --help.")
  for stream in (sys.stdout, sys.stderr):
    text.as_utf8(stream)
  try:
    status = work()
    _flush()
  except (BrokenPipeError, KeyboardInterrupt, preemption.Preempted) as stop:
    sys.exit(_stopped(name, stop))
  except (ValueError, OSError, ImportError, FloatingPointError, *also) as problem:
    _forget_output()
    sys.exit(f"{name}: {_line(problem)}")
  except Exception as problem:
    if not _is_of_files(problem):
      raise
    sys.exit(f"{name}: {_NODE.sub('', problem.message.splitlines()[0])}")
  if status:
    sys.exit(status)


def on_all_devices(work: Callable, tpu: absl_flags.FlagHolder) -> Callable:
  """Returns `work` as a function that runs in the scope of all devices of this machine; `tpu` is the flag of a TPU."""
  def everywhere(*arguments):
    from tf_nar.train import strategy
    with strategy.here(tpu.value).scope():
      return work(*arguments)
  return everywhere


def _stopped(name, stop):
  """Prints what stopped a program from outside, and returns its exit status."""
  if isinstance(stop, BrokenPipeError):
    _forget_output()
    return READER_GONE
  interrupted = isinstance(stop, KeyboardInterrupt)
  print(f"{name}: {'interrupted.' if interrupted else stop}", file=sys.stderr)
  return INTERRUPTED if interrupted else preemption.EXIT


def _flush():
  if sys.stdout is not None:  # It is None if the process was started with standard output closed.
    sys.stdout.flush()


def _forget_output():
  """Drops buffered output that cannot be written, as Python would try again at exit and print a traceback."""
  try:
    _flush()
  except OSError:
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _line(problem):
  """Returns the message of an exception, on one line."""
  return " ".join(str(problem).split("\n")).strip() or type(problem).__name__


def _is_of_files(problem):
  """Whether this is TensorFlow's error for a file or folder that cannot be read or written; it is not an OSError."""
  tf = sys.modules.get("tensorflow")
  if tf is None:
    return False
  errors = tf.errors
  return isinstance(problem, (errors.PermissionDeniedError, errors.NotFoundError, errors.FailedPreconditionError,
                              errors.ResourceExhaustedError, errors.AlreadyExistsError, errors.UnavailableError))
