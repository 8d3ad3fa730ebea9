"""What is compared: exported folders, each with the program call that makes it."""
import os
import subprocess
import sys
from typing import NamedTuple

from tf_nar import runs

PROGRAMS = {"saved_model": "export", "ct2": "export_ct2"}
COMMAND = sys.executable, "-m", "tf_nar"
MARKS = {"saved_model": "saved_model.pb", "ct2": "model.bin"}  # The file that tells the kind of a folder.
SHARDS = "--shards=2"  # Of NAR models: a product of few rows is too small to be shared out otherwise.
BEAMS = 1, 5
LENGTHS = 9  # Candidates that the teacher ranks.
MOST = 32  # Sentences in a batch of so many candidates each: at 128, of base size, logits alone would take 4.4 GB.


class System(NamedTuple):
  name: str
  kind: str  # A key of `PROGRAMS`.
  folder: str
  beam: int = 0  # Of a CTranslate2 folder; 0: what its metadata says.
  made_by: tuple = ()  # Flags for the program that exports it; () if the folder is there.
  run: str = ""  # The run that it is of.
  most: int = 0  # Sentences in a batch; 0: any number.


def given(text):
  """Returns the `System` of "NAME=FOLDER" or "NAME=FOLDER,beam=N".

  Raises:
    ValueError: for another form, or a folder that is no exported model.
  """
  name, equals, rest = text.partition("=")
  folder, comma, beam = rest.partition(",beam=")
  if not name or not equals or comma and not beam.isdecimal():
    raise ValueError(f"--system wants NAME=FOLDER or NAME=FOLDER,beam=N; got {text!r}.")
  kinds = [kind for kind, mark in MARKS.items() if os.path.exists(os.path.join(folder, mark))]
  if not kinds:
    raise ValueError(f"--system={text}: {folder} is neither a SavedModel nor a CTranslate2 folder; make one with "
                     "bin/export.py or bin/export_ct2.py.")
  if comma and kinds[0] != "ct2":
    raise ValueError(f"--system={text}: a SavedModel has its beam inside; export it with --set=search.beam={beam}.")
  return System(name, kinds[0], folder, int(beam or 0))


def standard(nar, ars, folder, with_ct2):
  """Returns the systems that the runs are compared as.

  Args:
    nar: a run with a length head, or "".
    ars: AR runs; the first ranks the NAR run's candidates.
    folder: where the exported ones go.
    with_ct2: whether CTranslate2 is there.
  """
  found = []
  add = lambda name, kind, run, file, *flags, beam=0, most=0: found.append(
    System(name, kind, os.path.join(folder, file), beam, (f"--workdir={run}", *flags), run, most))
  if nar:
    for dtype in ("float32", "bfloat16"):
      add(f"NAR {dtype}", "saved_model", nar, f"nar_{dtype}", f"--weights={dtype}", SHARDS)
    if ars:
      add(f"NAR bfloat16, {LENGTHS} lengths", "saved_model", nar, f"nar_{LENGTHS}",
          f"--set=search.candidates={LENGTHS}", f"--rescore_with={ars[0]}", "--weights=bfloat16", SHARDS, most=MOST)
  for run in ars:
    net = runs.load(run).experiment.model.net
    shape = f"{net.encoder_layers}-{net.decoder_layers}"
    for beam in BEAMS:
      add(f"AR {shape}, beam {beam}", "saved_model", run, f"ar_{shape}_{beam}", f"--set=search.beam={beam}")
    for dtype in ("float32", "int8") if with_ct2 else ():
      for beam in BEAMS:
        add(f"CT2 {shape} {dtype}, beam {beam}", "ct2", run, f"ct2_{shape}_{dtype}", f"--quantization={dtype}",
            beam=beam)
  return found


def prepare(system, command=COMMAND):
  """Exports a system whose folder is not there yet.

  Args:
    system: a `System`.
    command: what the name of a program and its flags are given to.

  Raises:
    ValueError: if that fails, with its last line.
  """
  if os.path.exists(system.folder):
    return
  # This very tf_nar, wherever the process was started.
  places = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), os.environ.get("PYTHONPATH")]
  environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
  done = subprocess.run([*command, PROGRAMS[system.kind], *system.made_by, f"--out={system.folder}"],
                        env=environment, capture_output=True, text=True, check=False)
  if done.returncode:
    raise ValueError(f"{system.name}: {' '.join(done.stderr.strip().splitlines()[-1:])}")
