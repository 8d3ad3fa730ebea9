"""bench_train, check_tpu, doctor and em on configs, folders and outputs as they occur in practice."""
import re
import subprocess
import sys

import pytest

from tests.bin import people
from tests.data import folders
from tests.data import holding
from tf_nar import models
from tf_nar.cli import doctor
from tf_nar.em import run as em_run

CONFIG = b"""
from tf_nar import config
from tf_nar.models import ar
def get_config():
  net = ar.transformer.Config(width=8, ffn=8, heads=2, encoder_layers=1, decoder_layers=1, max_length=16)
  return config.Experiment("ar", ar.Config(net), ar.Search(beam=2), config.Train(max_length=16, buckets=1))
"""
EM = b"from tests.em import minuscule\nget_config = minuscule.get_config\n"


@pytest.fixture
def tool(load, monkeypatch):
  """Returns a function that runs bench_train, check_tpu or em up to where their long work begins."""
  bench, call_bench = load("bench_train")
  check, call_check = load("check_tpu")
  monkeypatch.setattr(bench, "show", lambda told: None)
  monkeypatch.setattr(models, "build", lambda *_: pytest.fail("It built a model."))
  monkeypatch.setattr(check, "check", lambda name, experiment, wide, histogram, sizes: [])
  monkeypatch.setattr(em_run, "run", lambda *_, **__: pytest.fail("It began."))
  return {"bench_train": call_bench, "check_tpu": call_check, "em": load("em")[1]}


@pytest.mark.parametrize("data", [
  CONFIG, b"\xef\xbb\xbf" + CONFIG, CONFIG.replace(b"\n", b"\r\n"), CONFIG + "# \u2028 日本\n".encode(),
  CONFIG + b"# " + b"x" * 100_000,
])
def test_configs_are_read(tool, tmp_path, capsys, data):
  (tmp_path / "c.py").write_bytes(data)
  tool["check_tpu"](f"--config={tmp_path}/c.py", "--vocab=20")
  assert capsys.readouterr().out == "No problem was found.\n" and people.listed(tmp_path) == ["c.py"]


@pytest.mark.parametrize("name", people.NAMES)
def test_configs_of_any_name(tool, tmp_path, monkeypatch, capsys, name):
  (tmp_path / name).mkdir()
  monkeypatch.chdir(tmp_path / name)
  (tmp_path / name / f"{name}.py").write_bytes(CONFIG)
  tool["check_tpu"](f"--config=../{name}/{name}.py", "--vocab=20")
  assert capsys.readouterr().out == "No problem was found.\n"


@pytest.mark.parametrize("name", ["bench_train", "check_tpu", "em"])
@pytest.mark.parametrize("data, message", [
  (None, "No config {}."), ("a folder", "No config {}."),
  (b"", r"{} defines no get_config\(\)"), (b"\n", r"{} defines no get_config\(\)"),
  (b"x = \n", "{}, line 1: "), (b"\0", "{}"), (b"# sch\xf6n\nx = 1\n", "{}"),
  (b"def get_config():\n  return 3\n", "{} must return (an )?(Experiment|Alternation)"),
])
def test_what_is_no_config_is_one_line(tool, tmp_path, name, data, message):
  path = tmp_path / "c.py"
  if data == "a folder":
    path.mkdir()
  elif data is not None:
    path.write_bytes(data)
  more = [f"--workdir={tmp_path}/run"] if name == "em" else []
  line = people.refused(tool[name], f"--config={path}", *more)
  assert re.match(f"{name}: {message.format(path)}", line), line
  assert people.listed(tmp_path) == ["c.py"] * isinstance(data, bytes)


@pytest.mark.parametrize("name, config", [("bench_train", CONFIG), ("check_tpu", CONFIG), ("em", EM)])
@pytest.mark.parametrize("data, message", [
  (None, "No manifest.json in {}: it is not a complete data folder"), ("a file", "No manifest.json in {}"),
  (b"", "{}/manifest.json is no JSON"), (b'{{"version"', "{}/manifest.json is no JSON"),
  (b"[]", "{}/manifest.json lacks what belongs in it"),
  (b'{"version": 99}', "{}/manifest.json must be of version"),
])
def test_what_is_no_data_folder_is_one_line(tool, tmp_path, monkeypatch, name, config, data, message):
  if name == "em":
    monkeypatch.undo()  # The folder is checked before anything is written.
  (tmp_path / "c.py").write_bytes(config)
  if data == "a file":
    (tmp_path / "data").write_text("x")
  else:
    (tmp_path / "data").mkdir()
  if isinstance(data, bytes):
    (tmp_path / "data/manifest.json").write_bytes(data)
  before = people.listed(tmp_path)
  more = [f"--workdir={tmp_path}/run"] if name == "em" else []
  line = people.refused(tool[name], f"--config={tmp_path}/c.py", f"--data_dir={tmp_path}/data", *more)
  assert re.match(f"{name}: {message.format(f'{tmp_path}/data')}", line), line
  assert people.listed(tmp_path) == before and not (tmp_path / "run").exists()


@pytest.mark.parametrize("output, message", [("{}", "{} is a folder"), ("{}/new/", "{}/new/ is a folder")])
def test_bench_train_refuses_an_output_before_it_measures(tool, tmp_path, output, message):
  (tmp_path / "c.py").write_bytes(CONFIG)
  line = people.refused(tool["bench_train"], f"--config={tmp_path}/c.py", "--length=8", "--vocab=20",
                        f"--output={output.format(tmp_path)}")
  assert re.match(f"bench_train: {message.format(tmp_path)}; give the name of a file", line), line


@pytest.mark.parametrize("output, message", [
  ("/dev/full", r"\[Errno 28\] No space left on device: '/dev/full'"), ("{}/c.py/out", r"\[Errno (17|20)\] .*c.py"),
  ("{}/out", None), ("{}/new/run[1] 'ü", None),
])
def test_bench_train_writes(load, tmp_path, monkeypatch, output, message):
  bench, call = load("bench_train")
  monkeypatch.setattr(bench, "measure", lambda: {"rounds": []})
  monkeypatch.setattr(bench, "show", lambda told: None)
  (tmp_path / "c.py").write_bytes(CONFIG)
  arguments = f"--config={tmp_path}/c.py", f"--output={output.format(tmp_path)}"
  if message:
    assert re.match(f"bench_train: {message}", people.refused(call, *arguments))
    assert people.listed(tmp_path) == ["c.py"]
  else:
    call(*arguments)
    assert people.listed(tmp_path) == sorted(["c.py", output.removeprefix("{}/")])


DOCTOR = [sys.executable, "-S", str(doctor.ROOT / "bin/doctor.py")]  # Without site-packages.


@pytest.mark.parametrize("shell, status, error", [
  ('"$@" | exec sleep 0; exit ${PIPESTATUS[0]}', 141, ""),
  ('"$@" > /dev/full', 1, "doctor: [Errno 28] No space left on device\n"),
  ('"$@" >&-', 1, ""), ('"$@" < /dev/null | cat; exit ${PIPESTATUS[0]}', 1, ""),
  ('LC_ALL=C PYTHONUTF8=0 PYTHONCOERCECLOCALE=0 "$@"', 1, ""),
])
def test_doctor_in_any_place_and_into_anything(tmp_path, shell, status, error):
  place = tmp_path / "a*b? 'ü日本\""
  place.mkdir()
  done = subprocess.run(["bash", "-c", shell, "sh", *DOCTOR], cwd=place, capture_output=True, text=True, check=False)
  assert (done.returncode, done.stderr) == (status, error) and list(place.iterdir()) == []


def test_em_twice_at_once_or_into_a_file(load, tmp_path):
  (tmp_path / "c.py").write_bytes(EM)
  (tmp_path / "run").mkdir()
  arguments = f"--config={tmp_path}/c.py", f"--workdir={tmp_path}/run/"
  with holding.held(tmp_path / "run"):
    line = people.refused(load("em")[1], *arguments)
  assert line == f"em: {tmp_path}/run/ is in use by another process; wait for its end, or choose another --workdir."
  assert people.listed(tmp_path) == ["c.py"]
  (tmp_path / "run").rmdir()
  (tmp_path / "run").write_text("precious")
  assert re.match("em: .*run", people.refused(load("em")[1], *arguments))
  assert (tmp_path / "run").read_text() == "precious"


@pytest.mark.parametrize("file, data", [
  ("alternation.json", b""), ("alternation.json", b"[]"), ("data/manifest.json", b"{"),
])
def test_em_in_a_broken_folder(load, tmp_path, file, data):
  (tmp_path / "c.py").write_bytes(EM)
  if file.startswith("data"):
    (tmp_path / "run/data").mkdir(parents=True)
  else:
    folders.make(tmp_path / "data", folders.random_pairs(9, longest=8))
    (tmp_path / "run").mkdir()
  (tmp_path / "run" / file).write_bytes(data)
  more = [] if file.startswith("data") else [f"--data_dir={tmp_path}/data"]
  before = people.listed(tmp_path)
  line = people.refused(load("em")[1], f"--config={tmp_path}/c.py", f"--workdir={tmp_path}/run", *more)
  assert re.match(f"em: {tmp_path}/run/{file} (is no JSON|lacks what belongs)", line), line
  assert people.listed(tmp_path) == before
