"""The systems that are compared: exported folders, each with the command that makes it."""
import functools
import os
import pathlib
import subprocess
import sys
from typing import Container, NamedTuple, Sequence

from tf_nar import runs
from tf_nar import settings
from tf_nar.data import atomic
from tf_nar.evaluate import drafting
from tf_nar.evaluate import rescoring

PROGRAMS = {"saved_model": "export", "ct2": "export_ct2", "openvino": "export_openvino"}
COMMAND = sys.executable, "-m", "tf_nar"
# The file by which the kind of a folder is recognised; an OpenVINO folder has a model.bin too.
MARKS = {"saved_model": "saved_model.pb", "openvino": "model.xml", "ct2": "model.bin"}
SHARDS = "--shards=2"  # For NAR models: a product of few rows is too small to be split among threads otherwise.
SHORT = ", shortlist"  # What the name of a system with a shortlist ends with.
LENGTHS = 9  # Candidate lengths that the teacher ranks.
MOST = 32  # Sentences per batch with so many candidates each: with 128, logits of base size alone would take 4.4 GB.


class System(NamedTuple):
  name: str
  kind: str  # A key of `PROGRAMS`.
  folder: str
  beam: int = 0  # Beam size of a CTranslate2 folder; 0: that of its metadata.
  made_by: tuple = ()  # Flags of the program that exports it; () if the folder exists.
  run: str = ""  # The run that it is exported from.
  most: int = 0  # The maximum number of sentences in a batch; 0: no limit.


def given(text: str) -> System:
  """Returns the `System` of a flag's value, "NAME=FOLDER" or "NAME=FOLDER,beam=N".

  Raises:
    ValueError: for another form, or a folder that is not an exported model.
  """
  name, equals, rest = text.partition("=")
  folder, comma, beam = rest.partition(",beam=")
  if not name or not equals or comma and not beam.isdecimal():
    raise ValueError(f"Expected --system=NAME=FOLDER or --system=NAME=FOLDER,beam=N, got {text!r}; write it so.")
  kinds = [kind for kind, mark in MARKS.items() if os.path.exists(os.path.join(folder, mark))]
  if not kinds:
    raise ValueError(f"--system={text}: {folder} is no SavedModel, OpenVINO or CTranslate2 folder; make one with "
                     "bin/export.py, bin/export_openvino.py or bin/export_ct2.py.")
  if comma and kinds[0] != "ct2":
    raise ValueError(f"--system={text}: only a CTranslate2 folder has a choice of beams; export the other with "
                     f"--set=search.beam={beam}.")
  return System(name, kinds[0], folder, int(beam or 0))


def standard(nars: Sequence[str], ars: Sequence[str], folder: str, *, with_ct2: bool, openvino: Container[str] = (),
             drafter: str = "", shortlist: str = "", beams: Sequence[int] = (1, 5)) -> list[System]:
  """Returns the systems to compare: several exports of each run.

  Args:
    nars: NAR runs; if there are several, `labels` tell them apart.
    ars: AR runs; the first ranks the NAR runs' candidates.
    folder: in which the exported folders are made.
    with_ct2: whether CTranslate2 is installed.
    openvino: those of `nars`, and `drafter`, that OpenVINO can run; () if it is not installed.
    drafter: a run that drafts the greedy translations of each AR run, with settings after commas; or "".
    shortlist: a file with which each NAR run is a second time among them, or "".
    beams: those of each AR run.
  """
  own = lambda name, kind, *, run, file, flags, beam=0, most=0: System(
    name, kind, os.path.join(folder, file), beam, (f"--workdir={run}", *flags), run, most)
  found = []
  for run, label in labels(nars).items():
    called = f"NAR {label}" if len(nars) > 1 else "NAR"
    found += _of_nar(functools.partial(own, run=run), run, called, run in openvino, ars, shortlist)
  for run, label in labels(ars).items():
    found += _of_ar(functools.partial(own, run=run), label, beams, with_ct2, drafter, drafter in openvino)
  return found


def _of_nar(own, run, called, with_openvino, ars, shortlist):
  """Yields the systems of a NAR run, made by a function `own`."""
  stem = called.lower().replace(" ", "_")
  for name, file, flags in [("", "", ())] + [(SHORT, "_shortlist", (f"--shortlist={shortlist}",))] * bool(shortlist):
    kinds = [("saved_model", "", dtype, (SHARDS,)) for dtype in ("float32", "bfloat16")]
    kinds += [("openvino", "OpenVINO ", dtype, ()) for dtype in ("float32", "bfloat16", "int8")] * with_openvino
    for kind, engine, dtype, more in kinds:
      path = f"{stem}_{engine.lower().replace(' ', '_')}{dtype}{file}"
      yield own(f"{called} {engine}{dtype}{name}", kind, file=path, flags=(f"--weights={dtype}", *more, *flags))
  if ars:
    wide = (f"--set={each}" for each in rescoring.widened(runs.read(run).search, LENGTHS))
    flags = *wide, f"--rescore_with={ars[0]}", "--weights=bfloat16", SHARDS
    yield own(f"{called} bfloat16, {LENGTHS} lengths", "saved_model", file=f"{stem}_{LENGTHS}", flags=flags, most=MOST)


def _of_ar(own, label, beams, with_ct2, drafter, with_openvino):
  """Yields the systems of an AR run, made by a function `own`."""
  stem = label.replace(" ", "_")
  for beam in beams:
    yield own(f"AR {label}, beam {beam}", "saved_model", file=f"ar_{stem}_{beam}", flags=(f"--set=search.beam={beam}",))
  if drafter:
    run, *settings = drafter.split(",")
    flags = f"--draft_with={run}", *(f"--set={drafting.PREFIX}{each}" for each in settings)
    yield own(f"AR {label}, drafted", "saved_model", file=f"ar_{stem}_drafted", flags=flags)
    for dtype in ("float32", "int8") if with_openvino else ():
      yield own(f"AR {label}, drafted, OpenVINO {dtype}", "openvino", file=f"ar_{stem}_drafted_openvino_{dtype}",
                flags=(f"--weights={dtype}", *flags))
  for dtype in ("float32", "int8") if with_ct2 else ():
    for beam in beams:
      yield own(f"CT2 {label} {dtype}, beam {beam}", "ct2", file=f"ct2_{stem}_{dtype}",
                flags=(f"--quantization={dtype}",), beam=beam)


def labels(workdirs: Sequence[str]) -> dict[str, str]:
  """Returns {run: its encoder and decoder layers, as "12-1"}, with family, width and search where those differ.

  Runs that are alike in all of these are told apart by the first setting of their models that differs.
  """
  experiments = {workdir: runs.read(workdir) for workdir in workdirs}
  several = lambda values: len(set(values)) > 1
  families = several(each.family for each in experiments.values())
  widths = several(each.model.net.width for each in experiments.values())
  found, alike = {}, {}
  for workdir, each in experiments.items():
    net = each.model.net
    found[workdir] = (f"{each.family} " * families + f"{net.encoder_layers}-{net.decoder_layers}"
                      + f" of {net.width}" * widths)
    alike.setdefault(found[workdir], []).append(each)
  for workdir, label in found.items():
    own = experiments[workdir]
    differ = _different("search", own, alike[label]) or _different("model", own, alike[label])[:1]
    found[workdir] = " ".join([label, *differ])
  return found


def _different(part, experiment, alike):
  """Returns ["name=value"] of the settings of an experiment's part in which some of `alike` differ; `net` last."""
  own, *others = (
    {one.name: str(one.value) for one in settings.settings(getattr(each, part))} for each in (experiment, *alike))
  names = [name for name in own if len({other.get(name) for other in others}) > 1]
  return [f"{name}={own[name]}" for name in sorted(names, key=lambda name: name.startswith("net."))]


def prepare(system: System, command: Sequence[str] = COMMAND) -> None:
  """Exports a system, unless its folder exists; the flags are kept beside it, in FOLDER.flags.

  Args:
    system: a `System`.
    command: the command to which the program's name and its flags are appended.

  Raises:
    ValueError: if the export fails, with the last line of its errors; or if the folder was exported with other flags.
  """
  flags, kept = " ".join(system.made_by), f"{system.folder}.flags"
  if os.path.exists(system.folder):
    if system.made_by and os.path.exists(kept) and (before := pathlib.Path(kept).read_text()) != flags:
      raise ValueError(f"{system.folder} was exported with {before}, not with {flags}; remove it, or give another "
                       "--workdir.")
    return
  os.makedirs(os.path.dirname(kept), exist_ok=True)
  atomic.write(kept, flags.encode())
  # The same tf_nar as here, wherever this process was started.
  places = [os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), os.environ.get("PYTHONPATH")]
  environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
  done = subprocess.run([*command, PROGRAMS[system.kind], *system.made_by, f"--out={system.folder}"],
                        env=environment, capture_output=True, text=True, check=False)
  if done.returncode:
    raise ValueError(f"{system.name}: {' '.join(done.stderr.strip().splitlines()[-1:])}")


def megabytes(folder: str) -> float:
  """Returns the size of a folder's files in MB."""
  return sum(each.stat().st_size for each in pathlib.Path(folder).rglob("*") if each.is_file()) / 1e6
