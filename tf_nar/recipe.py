"""Trains an experiment of several phases, and chooses its search settings, into one run folder.

  recipe.json     the experiment with all its phases, and whether all is finished
  phases/NAME/    the run folder of each phase, with its checkpoints, log and events
  sweep.json      every search that was tried on the validation text, and the one that was chosen
  config.json, vocab.*, weights.npz, text.sha256, log.jsonl
                  the result: those of the last phase, with the chosen search if there was a sweep

The same call resumes wherever it was stopped. An experiment without phases and without a sweep goes to `fit.fit`.
"""
import contextlib
import dataclasses
import json
import os
from typing import Sequence

from tf_nar import budget
from tf_nar import config
from tf_nar import fit
from tf_nar import models
from tf_nar import pretrained
from tf_nar import runs
from tf_nar import warm_starts
from tf_nar.data import atomic
from tf_nar.data import corpus as data_corpus
from tf_nar.data import json_file
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import comparison
from tf_nar.evaluate import testset
from tf_nar.evaluate import tuning
from tf_nar.train import monitor
from tf_nar.train import strategy

FILE, FOLDER, SWEEP = "recipe.json", "phases", "sweep.json"
ALONE = config.Phase("train", start="warm_start")  # The only phase of an experiment that has a sweep but no phases.


def trainings(experiment: config.Experiment) -> list[tuple[config.Phase, config.Experiment]]:
  """Returns [(`config.Phase`, the `config.Experiment` that it trains)] in order; without phases, the one of `ALONE`."""
  return [(phase, experiment.in_phase(phase)) for phase in experiment.phases or (ALONE,)]


def check(experiment: config.Experiment, warm_start: str | None = None) -> None:
  """Checks what does not depend on the text: families, frozen parts, also of the run `warm_start`, and the sweep.

  Raises:
    ValueError: if the experiment could not be run to its end; the message names the phase.
  """
  known = {}  # Name of a run that a phase can freeze -> its `Config`.
  if warm_start and any(phase.frozen == "warm_start" for phase in experiment.phases):
    known["warm_start"] = runs.read(pretrained.find(warm_start)).model
  for phase, each in trainings(experiment):
    models.check(each)
    if each.train.until and each.train.minutes:
      raise ValueError(f"Phase {phase.name}: train.until={each.train.until} takes as many updates as it needs, so "
                       "train.minutes cannot limit them; leave one out, or set the minutes of other phases, as "
                       "--set=phases.NAME.train.minutes=30.")
    parts = models.traits(each.family).frozen(each.model)
    if experiment.phases and bool(parts) != bool(phase.frozen):
      raise ValueError(f"Phase {phase.name}: {each.family} " + (
        f"trains with a frozen part, {', '.join(parts)}, of another run; give the name of an earlier phase as frozen, "
        "or warm_start."
        if parts else f"takes no frozen part from another run; leave out frozen={phase.frozen}."))
    if phase.frozen in known:
      name = warm_start if phase.frozen == "warm_start" else f"phase {phase.frozen}"
      with _named(phase):
        warm_starts.check_function(*parts.values(), known[phase.frozen], warm_starts.FROZEN, name)
    known[phase.name] = each.model
  if experiment.sweep:
    tuning.searches(each, experiment.sweep, check=models.check)


def run(experiment: config.Experiment, data_dir: str, workdir: str, *, original_dir: str | None = None,
        warm_start: str | None = None, profile_steps: Sequence[int] = ()) -> runs.Run:
  """Runs all phases and returns the finished `runs.Run` of `workdir`.

  Args:
    experiment: a `config.Experiment`.
    data_dir: the data folder of phases whose text is "given".
    workdir: a run folder, made if missing.
    original_dir: the data folder of phases whose text is "original"; None if there are none.
    warm_start: a finished run, for phases that start from it.
    profile_steps: applied in each phase, see `loop.run`.

  Raises:
    ValueError: if experiment, texts and folder do not match; before any training.
    Whatever `fit.fit` raises for a phase.
  """
  check(experiment, warm_start)
  options = dict(warm_start=warm_start, profile_steps=profile_steps)
  if not warm_start and (wanting := [phase.name for phase in experiment.phases if phase.frozen == "warm_start"]):
    raise ValueError(f"Phase {wanting[0]} freezes the weights of the run of --warm_start, but none is given; give it.")
  if not experiment.phases and not experiment.sweep:
    if begun := _begun(workdir):
      raise ValueError(f"{workdir} holds a training in phases ({_called(begun)}), the config has none; choose another "
                       "--workdir.")
    return fit.fit(experiment, data_dir, workdir, **options)
  texts = _texts(experiment, data_dir, original_dir)
  with fit.alone(workdir):
    record = _record(experiment, texts)
    began = _read(workdir) or {}
    if began == record | {"finished": True} and runs.is_finished(workdir):
      return runs.load(workdir)
    _check_folder(experiment, workdir)
    if began | {"finished": False} != record:
      _check_phases(experiment, texts, workdir)
    if strategy.is_chief():
      _write(workdir, record)
    with fit.alone(workdir):
      last = _train(experiment, texts, workdir, options)
      if strategy.is_chief():
        search = _chosen(experiment, last, texts, workdir)
        _publish(last, search, workdir)
        _write(workdir, record | {"finished": True})
      strategy.any_replica(False)  # A barrier: all machines wait until the first has written.
      return runs.load(workdir)


@contextlib.contextmanager
def _named(phase):
  """Names a phase in the ValueErrors that are raised inside."""
  try:
    yield
  except ValueError as problem:
    raise ValueError(f"Phase {phase.name}: {problem}") from None


def at(workdir: str, name: str) -> str:
  """Returns the run folder of a phase."""
  return os.path.join(workdir, FOLDER, name)


def seen(workdir: str) -> list[tuple[str, int, int]]:
  """Returns [(phase, its updates, padded target tokens of these at most)] of all trainings of a run, in order.

  The run of a phase has those before it too; a run that it was started from is not known. [] if a log is gone, as that
  of a packed run.
  """
  folder, name = os.path.split(workdir.rstrip("/"))
  root = os.path.dirname(folder) if os.path.basename(folder) == FOLDER else workdir
  record = _read(root)
  names = record and [phase["name"] for phase in record["experiment"]["phases"] or [{"name": ALONE.name}]]
  if names and root != workdir:
    names = names[:names.index(name) + 1]
  found = []
  for phase, where in [(each, at(root, each)) for each in names] if names else [(ALONE.name, workdir)]:
    if not (rows := monitor.read(where)):
      return []
    step, train = rows[-1]["step"], runs.read(where).train
    found.append((phase, step, step * train.tokens_per_batch * train.optimizer.accumulate))
  return found


def _train(experiment, texts, workdir, options):
  """Trains the phases that are not finished and returns the `runs.Run` of the last."""
  before = None
  for phase, each in trainings(experiment):
    start = {"before": before, "warm_start": options["warm_start"], "scratch": None}[phase.start]
    before = at(workdir, phase.name)
    frozen = {"": None, "warm_start": options["warm_start"]}.get(phase.frozen, at(workdir, phase.frozen))
    done = fit.fit(each, texts[phase.text], before, **options | {"warm_start": start, "frozen": frozen})
  return done


def _texts(experiment, data_dir, original_dir):
  """Returns {"given": folder, "original": folder}, the second only if a phase trains on it."""
  wanting = [phase.name for phase, _ in trainings(experiment) if phase.text == "original"]
  if not wanting:
    return {"given": data_dir}
  if not original_dir:
    raise ValueError(f"Phase {wanting[0]} trains on the original text; give its data folder as --original_dir, which "
                     "may be that of --data_dir.")
  if vocab_lib.load(original_dir).sha256 != vocab_lib.load(data_dir).sha256:
    raise ValueError(f"{original_dir} has another vocabulary than {data_dir}; prepare both texts with the same one.")
  return {"given": data_dir, "original": original_dir}


def _record(experiment, texts):
  """Returns the content of recipe.json before the recipe is finished."""
  digests = {name: data_corpus.digests(folder)[0] for name, folder in texts.items()}
  values = {"experiment": dataclasses.asdict(experiment), "texts": digests, "finished": False}
  return json.loads(json.dumps(values))  # Lists in place of tuples, so that it compares equal to what is read back.


def _check_folder(experiment, workdir):
  """Raises ValueError if the folder holds a run without phases or with other phases.

  Settings are compared by the run folder of each phase, as those of an unfinished phase may change.
  """
  begun = _begun(workdir)
  if begun is None:
    if atomic.exists(os.path.join(workdir, runs.CONFIG)):
      raise ValueError(f"{workdir} holds a run without phases; choose another --workdir, perhaps with "
                       f"--warm_start={workdir}.")
    return
  fields = ("name", "text", "start", "frozen")
  now = [dataclasses.asdict(phase) for phase, _ in trainings(experiment)]
  if [[phase[name] for name in fields] for phase in begun] != [[phase[name] for name in fields] for phase in now]:
    raise ValueError(f"{workdir} was begun with other phases, or with other texts or initial weights of these: it has "
                     f"{_called(begun)}; requested are {_called(now)}. Choose another --workdir.")


def _begun(workdir):
  """Returns the phases that a folder was begun with, as dicts; None if no training has begun in it."""
  if not atomic.exists(os.path.join(workdir, FOLDER)):
    return None
  if (record := _read(workdir)) is None:
    raise ValueError(f"{workdir} has {FOLDER}/ but no {FILE}, which says how they were begun, as if part of a run was "
                     f"copied; copy {FILE} too, or choose another --workdir.")
  return record["experiment"]["phases"] or [dataclasses.asdict(ALONE)]


def _called(phases):
  return ", ".join(phase["name"] for phase in phases)


def _check_phases(experiment, texts, workdir):
  """Checks every phase now, so that a later one does not fail after hours of training."""
  phases, planned = trainings(experiment), {}
  for number, (phase, each) in enumerate(phases):
    folder = at(workdir, phase.name)
    begun = [name for name in (later.name for later, _ in phases[number + 1:])
             if atomic.exists(os.path.join(at(workdir, name), runs.CONFIG))]
    if begun and runs.is_lengthened(budget.recorded(each, folder), folder):
      raise ValueError(f"Phase {phase.name}: it is finished, and {begun[0]} after it has begun; give more train.steps "
                       "to the last phase only, or choose another --workdir.")
    with _named(phase):
      run = fit.check(each, texts[phase.text], folder)
      before = [*planned.values()][-1] if phase.start == "before" else None
      warm_starts.check(run, before, planned.get(phase.frozen))
    planned[phase.name] = run


def _chosen(experiment, last, texts, workdir):
  """Returns the search of the result: that of the last phase or, if there is a sweep, the best on validation text."""
  if not experiment.sweep:
    return last.experiment.search
  phase = trainings(experiment)[-1][0]
  sources, references = data_corpus.validation(texts[phase.text])
  path = os.path.join(workdir, SWEEP)
  asked = {"sweep": experiment.sweep, "search": dataclasses.asdict(last.experiment.search),
           "steps": last.experiment.train.steps}
  asked = json.loads(json.dumps(asked))  # Lists in place of tuples, as above.
  tried = tuning.searches(last.experiment, experiment.sweep, check=models.check)

  def write(systems, **more):
    rows = [system._asdict() for system in systems]
    atomic.write(path, json.dumps(asked | {"tried": rows} | more, indent=1).encode())

  systems = tuning.measure(
    last, tried, sources, references, tokens_per_batch=last.experiment.train.tokens_per_batch,
    known=_known(path, asked), after=lambda systems: write(map(_lasting, systems)))
  best = tuning.best(systems).name
  write(map(_lasting, systems), chosen=best.split())
  return tried[tuple(best.split())]


def _known(path, asked):
  """Returns the `comparison.System`s that an interrupted call measured for the same sweep."""
  if not atomic.exists(path):
    return []
  values = json_file.read(path)
  return [comparison.System(**row) for row in values["tried"]] if asked.items() <= values.items() else []


def _lasting(system):
  """Returns a `comparison.System` without times, which would differ if it were measured again."""
  drop = lambda values: {name: value for name, value in values.items() if name not in testset.TIMES}
  return system._replace(values=drop(system.values), signatures=drop(system.signatures))


def _publish(last, search, workdir):
  """Writes the run folder of the result; the weights last, as they mark it as finished."""
  runs.write(last._replace(workdir=workdir, experiment=dataclasses.replace(last.experiment, search=search)))
  for name in (runs.TEXT, monitor.LOG, runs.WEIGHTS):
    with atomic.open_read(os.path.join(last.workdir, name)) as file:
      atomic.write(os.path.join(workdir, name), file.read())


def _read(workdir):
  path = os.path.join(workdir, FILE)
  if not atomic.exists(path):
    return None
  return json_file.read(path)


def _write(workdir, record):
  atomic.write(os.path.join(workdir, FILE), json.dumps(record, indent=1).encode())
