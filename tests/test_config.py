"""Overriding, refusing and reading back experiments; every file in configs/ loads and says how to run it."""
import ast
import copy
import dataclasses
import json
import pathlib
import runpy
import typing

import pytest

from tf_nar import config
from tf_nar import overrides
from tf_nar import settings

ROOT = pathlib.Path(__file__).parent.parent
CONFIGS = sorted(path for path in (ROOT / "configs").glob("*.py") if path.name != "__init__.py")


@dataclasses.dataclass(frozen=True)
class Net:
  width: int = 8
  sizes: tuple = (1, 2)
  tied: bool = True
  NAMED: typing.ClassVar[dict] = {"small": {"width": 2, "tied": False}, "large": {"width": 4, "tied": True}}


@dataclasses.dataclass(frozen=True)
class Model:
  net: Net = Net()
  smoothing: float = 0.1
  fill: str = "copy"


def experiment():
  return config.Experiment(family="ar", model=Model(), search=None)


@pytest.mark.parametrize("assignment, read, value", [
    ("family=nat_em", lambda e: e.family, "nat_em"),
    ("train.steps=500", lambda e: e.train.steps, 500),
    ("train.optimizer.learning_rate=1e-3", lambda e: e.train.optimizer.learning_rate, 1e-3),
    ("model.smoothing=0", lambda e: e.model.smoothing, 0.0),
    ("model.net.width=16", lambda e: e.model.net.width, 16),
    ("model.net=small", lambda e: e.model.net.width, 2),
    ("model.net=small", lambda e: e.model.net.tied, False),
    ("model.net.tied=False", lambda e: e.model.net.tied, False),
    ("model.net.sizes=(3, 4)", lambda e: e.model.net.sizes, (3, 4)),
    ("model.fill=a=b", lambda e: e.model.fill, "a=b"),
    ("model.fill=7", lambda e: e.model.fill, "7"),
])
def test_override_reaches_down(assignment, read, value):
  new = read(config.override(experiment(), assignment))
  assert new == value and type(new) is type(value)


def test_override_leaves_the_rest_and_the_old_one():
  old = experiment()
  new = config.override(old, "train.optimizer.warmup=9")
  assert old == experiment()
  assert dataclasses.replace(new, train=old.train) == old
  assert dataclasses.replace(new.train.optimizer, warmup=4_000) == old.train.optimizer


def test_overrides_are_applied_at_once():
  new = config.override(experiment(), "train.average=12", "model.net.width=8", "train.keep=20", "train.average=11")
  assert (new.train.average, new.train.keep, new.model.net.width) == (11, 20, 8)


@pytest.mark.parametrize("assignment, message", [
    ("train.steps", r"--set expects name=value, such as train.steps=500; got 'train.steps'"),
    ("train.setps=5", r"--set train.setps=5: no field 'setps'. Did you mean 'steps'\?"),
    ("zzz=5", r"no field 'zzz'. The fields are: family, model, search, train"),
    ("train=5", r"--set train=5: this is a group of fields; set one of them: steps, "),
    ("train.optimizer=adam", r"this is a group of fields; set one of them: learning_rate, "),
    ("train.steps.many=5", r"100000 has no fields, so 'many' cannot be set"),
    ("model.net=huge", r"=huge: expected small, large, or one of its fields, as model.net.width=...; got 'huge'"),
    ("train.steps=1.5", r"expected int, such as 100000; got 1.5"),
    ("train.steps=many", r"expected int, such as 100000; got 'many'"),
    ("train.steps=True", r"expected int, such as 100000; got True"),
    ("train.jit=1", r"expected bool, such as False; got 1"),
    ("model.smoothing=low", r"expected float, such as 0.1; got 'low'"),
    ("train.optimizer.schedule=linear", r"optimizer.schedule is one of inverse_sqrt, cosine, nat_em; got 'linear'"),
    ("train.nonfinite=ignore", r"train.nonfinite is one of stop, skip; got 'ignore'"),
  ("train.average_of=worst", r"train.average_of is one of last, best; got 'worst'"),
    ("train.optimizer.cooldown=-1", r"optimizer.cooldown is at least 0; got -1"),
    ("train.optimizer.accumulate=0", r"optimizer.accumulate is at least 1; got 0"),
    ("train.steps=0", r"train.steps is at least 1; got 0"),
    ("train.validate_every=0", r"train.validate_every is at least 1; got 0"),
    ("train.average=0", r"train.average is at least 1; got 0"),
    ("train.patience=-1", r"train.patience is at least 0; got -1"),
    ("train.until=errors=0.1", r"train.until bounds a number of the validation, such as errors<0.02; got 'errors=0.1'"),
    ("train.average=11", r"train.average=11 needs that many checkpoints, but train.keep=10; raise"),
])
def test_override_refuses(assignment, message):
  with pytest.raises(ValueError, match=message):
    config.override(experiment(), assignment)


def test_a_value_by_name_is_an_override_like_others():
  new = config.override(experiment(), "model.net.width=9", "model.net=small", "model.net.tied=True")
  assert new.model.net == Net(width=2)


GOOD = """
from tf_nar import config
def get_config(): return config.Experiment("ar", None, None)
"""


def test_load_overrides_in_order(tmp_path):
  (tmp_path / "a.py").write_text(GOOD)
  made = config.load(str(tmp_path / "a.py"), config.Experiment, ["train.steps=5", "family=b", "train.steps=6"])
  assert (made.family, made.train.steps) == ("b", 6)


def test_files_of_settings_override_in_order(tmp_path):
  first, second = str(tmp_path / "first.txt"), str(tmp_path / "second.txt")
  (tmp_path / "a.py").write_text(GOOD)
  (tmp_path / "first.txt").write_text("# Mine.\n\ntrain.steps=5  # Few.\nfamily=b#c\ntrain.keep=20\n")
  (tmp_path / "second.txt").write_text("train.steps=6\ntrain.average=12")
  made = config.load([str(tmp_path / "a.py"), first, second], config.Experiment, ["train.keep=12"])
  assert (made.family, made.train.steps, made.train.keep, made.train.average) == ("b#c", 6, 12, 12)


@pytest.mark.parametrize("name, changes", [
  ("ctc_multi30k", ["model.net=base", "train.steps=7"]), ("lanmt_score_multi30k", ["phases.budget.train.steps=7"])])
def test_what_print_config_prints_is_a_file_of_settings(tmp_path, name, changes):
  made = config.load(name, config.Experiment, changes)
  (tmp_path / "mine.txt").write_text(settings.table(made))
  assert config.load([name, str(tmp_path / "mine.txt")], config.Experiment) == made


@pytest.mark.parametrize("more, text, message", [
  ("ar_iwslt14", "", "Only the first --config is a program or a name; .* There is no such file ar_iwslt14"),
  ("ar_iwslt14.py", GOOD, "Only the first --config is a program or a name"),
  ("mine.txt", "train.steps=1\n\ntrain.keep: 2\n", r"mine.txt:3: expected name=value, .*; got 'train.keep: 2'"),
  ("mine.txt", "\ntrain.setps=1", "^mine.txt:2: train.setps=1: no field 'setps'. Did you mean 'steps'"),
  ("mine.txt", "train.steps=few", "^mine.txt:1: train.steps=few: expected int, such as"),
  ("mine.txt", "model.net=huge", "^mine.txt:1: model.net=huge: expected tiny, small, base, big, or one of its fields"),
  ("mine.txt", "train.keep.most=1", "^mine.txt:1: train.keep.most=1: 10 has no fields"),
  ("mine.txt", "train=1", "^mine.txt:1: train=1: this is a group of fields"),
])
def test_refuses_further_configs(tmp_path, monkeypatch, more, text, message):
  monkeypatch.chdir(tmp_path)
  if text:
    (tmp_path / more).write_text(text)
  with pytest.raises(ValueError, match=message):
    config.load(["ar_multi30k", more], config.Experiment)


@pytest.mark.parametrize("line", ["train.steps=5", "train.keep: (2"])
def test_a_file_of_settings_is_no_first_config(tmp_path, line):
  (tmp_path / "mine.txt").write_text(line)
  with pytest.raises(ValueError, match="mine.txt is not a Python program, .* --config=ar_multi30k --config=.*mine.txt"):
    config.load(str(tmp_path / "mine.txt"), config.Experiment)


@pytest.mark.parametrize("name, text, message", [
  ("ar_toys.py", GOOD, r"No config .*ar_toy.py. Did you mean .*ar_toys.py\?"),
  ("zzz.py", GOOD, "No config .*ar_toy.py. Those in configs/ can be given by name"),
  ("ar_toy.py", "def get_config(:", "ar_toy.py, line 1: .*; a config is a Python program"),
  ("ar_toy.py", "CONFIG = 1", r"defines no get_config\(\)"),
  ("ar_toy.py", "def get_config(): return 1", "must return Experiment; got int. Give an Experiment to bin/train.py"),
])
def test_load_refuses(tmp_path, name, text, message):
  (tmp_path / name).write_text(text)
  with pytest.raises(ValueError, match=message):
    config.load(str(tmp_path / "ar_toy.py"), config.Experiment)


@pytest.mark.parametrize("given, message", [
  ("em_multi30", r"No config is called 'em_multi30'. Did you mean em_multi30k\?"),
  ("zzz", "No config is called 'zzz'. The names are ar_iwslt14, .*; or give a file, like mine.py."),
  ("elsewhere/em_toy.py",
   "No config elsewhere/em_toy.py. For the one that comes with the package, give its name: --config=em_toy."),
])
def test_a_name_that_is_none(given, message):
  with pytest.raises(ValueError, match=message):
    config.load(given, config.Experiment)


def test_a_config_goes_by_its_name(tmp_path, monkeypatch):
  monkeypatch.chdir(tmp_path)
  assert config.load("ar_multi30k", config.Experiment, ["train.steps=1e3"]).train.steps == 1000
  assert set(config.named()) == {path.stem for path in CONFIGS}
  (tmp_path / "ar_multi30k").write_text(GOOD)  # A file of the same name takes precedence.
  assert config.load("ar_multi30k", config.Experiment).model is None


def test_from_dict_gives_back_what_asdict_took_apart():
  model = Model(net=Net(width=3), fill="mask")
  assert config.from_dict(Model, dataclasses.asdict(model)) == model
  train = config.override(experiment(), "train.optimizer.accumulate=4").train
  assert config.from_dict(config.Train, dataclasses.asdict(train)) == train


@pytest.mark.parametrize("cls, values, message", [
    (config.Train, {"steps": 1, "epochs": 2}, r"config.Train has no field 'epochs'; it was written"),
    (config.Train, {"optimizer": {"momentum": 1}}, r"config.Optimizer has no field 'momentum'"),
])
def test_from_dict_refuses(cls, values, message):
  with pytest.raises(ValueError, match=message):
    config.from_dict(cls, values)


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.name)
def test_every_config_loads_and_says_how_to_run_it(path):
  assert f"--config=configs/{path.name}" in (ast.get_docstring(ast.parse(path.read_text())) or "")
  made = runpy.run_path(str(path))["get_config"]()
  assert dataclasses.is_dataclass(made) and made.__dataclass_params__.frozen


def phased(*phases, **fields):
  return dataclasses.replace(experiment(), phases=phases, **fields)


FIRST, SECOND = config.Phase("a", start="scratch"), config.Phase("b", ("train.steps=3",))


def test_a_phase_changes_the_experiment():
  whole = phased(FIRST, SECOND, sweep=("search.beam=1,2",))
  assert whole.in_phase(FIRST) == experiment()
  assert whole.in_phase(SECOND) == config.override(experiment(), "train.steps=3")
  own = dataclasses.replace(experiment(), family="other")
  assert whole.in_phase(dataclasses.replace(SECOND, experiment=own)) == config.override(own, "train.steps=3")


@pytest.mark.parametrize("phases, message", [
  ((SECOND,),
   "Phase b is the first, so there is no earlier phase to start from; set start=warm_start or start=scratch"),
  ((FIRST, FIRST), "Two phases have the name 'a'; names must differ, as each names a folder"),
  ((FIRST, dataclasses.replace(SECOND, frozen="b")), "Phase b has frozen=b; give warm_start or an earlier phase: a."),
  ((FIRST, dataclasses.replace(SECOND, changes=("train.setps=3",))), "^Phase b: .*no field 'setps'. Did you mean 'st"),
  (("a",), "phases must hold config.Phase objects; got 'a'"),
])
def test_refuses_phases(phases, message):
  with pytest.raises(ValueError, match=message):
    phased(*phases)


@pytest.mark.parametrize("values, message", [
  (dict(name="a/b"), "so it must be made of letters, digits, - and _; got 'a/b'"),
  (dict(text="distilled"), "phases.a.text is one of given, original; got 'distilled'"),
  (dict(start="cold"), "phases.a.start is one of before, scratch, warm_start; got 'cold'"),
  (dict(experiment=Net()), "phases.a.experiment must be an Experiment without phases, or None"),
])
def test_refuses_a_phase(values, message):
  with pytest.raises(ValueError, match=message):
    config.Phase(**{"name": "a"} | values)


def test_override_reaches_into_a_phase():
  whole = phased(FIRST, SECOND)
  new = config.override(whole, "phases.b.train.steps=9", "phases.b.start=scratch", "train.seed=4")
  assert new.phases == (FIRST, config.Phase("b", ("train.steps=3", "train.steps=9"), start="scratch"))
  assert (new.in_phase(new.phases[1]).train.steps, new.in_phase(FIRST).train.seed) == (9, 4)
  assert config.override(whole, "phases=()") == experiment()
  for wrong, message in (("phases.c.start=scratch", "phases.a.train.steps=500; the phases are a, b"),
                         ("phases.b.train.setps=1", "Phase b: .*Did you mean 'steps'")):
    with pytest.raises(ValueError, match=message):
      config.override(whole, wrong)


def test_what_all_networks_have_in_common_reaches_phases_of_other_experiments():
  other = dataclasses.replace(experiment(), family="nat_em", model=Model(fill="mine"))
  whole = phased(config.Phase("a", ("train.keep=3",), start="scratch", experiment=other), SECOND)
  new = config.override(whole, "train.steps=7", "train.keep=4", "model.net=small", "model.fill=yours")
  first, second = (new.in_phase(phase) for phase in new.phases)
  assert (first.train.steps, first.train.keep, first.model) == (7, 3, Model(Net(2, tied=False), fill="mine"))
  assert (second.train.keep, second.model) == (4, Model(Net(2, tied=False), fill="yours"))
  one = config.override(whole, "phases.a.experiment.train.steps=9", "train.steps=7")
  assert [one.in_phase(phase).train.steps for phase in one.phases] == [9, 3]


def test_a_setting_of_a_phase_keeps_its_origin(tmp_path):
  line = overrides.Assignment("phases.b.train.setps=1", "mine.txt:3")
  with pytest.raises(ValueError, match="^Phase b: mine.txt:3: train.setps=1: no field 'setps'"):
    config.override(phased(FIRST, SECOND), line)
  assert copy.deepcopy(line).origin == "mine.txt:3"  # As in `dataclasses.asdict`.


def test_phases_are_read_back():
  whole = dataclasses.replace(phased(FIRST, SECOND, sweep=("search.beam=1,2",)), model=None)
  values = json.loads(json.dumps(dataclasses.asdict(whole)))
  assert config.from_dict(config.Experiment, values) == whole


@pytest.mark.parametrize("signature, given", [("data_dir=None", "data"), ("", None)])
def test_a_config_may_look_at_the_data(tmp_path, signature, given):
  (tmp_path / "a.py").write_text(GOOD.replace("get_config()", f"get_config({signature})").replace(
    "return ", f"return {'data_dir or ' if signature else ''}"))
  found = config.load(str(tmp_path / "a.py"), config.Experiment)
  assert found.family
  if signature:
    with pytest.raises(ValueError, match="must return Experiment; got str"):
      config.load(str(tmp_path / "a.py"), config.Experiment, (), given)
  else:
    assert config.load(str(tmp_path / "a.py"), config.Experiment, (), "data") == found
