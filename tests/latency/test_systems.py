"""The systems that are compared, and their names."""
import os
import sys

import pytest

from tests.latency import tiny
from tf_nar import config
from tf_nar import runs
from tf_nar.latency import systems


def test_systems_of_runs(tmp_path):
  ar, nar = tiny.run(tmp_path / "ar"), tiny.run(tmp_path / "nar", "nat_em")
  found = systems.standard([nar], [ar], "out", with_ct2=True)
  both = systems.standard([nar], [], "out", with_ct2=False, openvino=[nar])
  assert [system.name for system in both] == ["NAR float32", "NAR bfloat16", "NAR OpenVINO float32",
                                              "NAR OpenVINO bfloat16", "NAR OpenVINO int8"]
  assert both[-1].kind == "openvino" and both[-1].made_by == (f"--workdir={nar}", "--weights=int8")
  assert [system.name for system in found] == [
    "NAR float32", "NAR bfloat16", "NAR bfloat16, 9 lengths", "AR 1-1, beam 1", "AR 1-1, beam 5",
    "CT2 1-1 float32, beam 1", "CT2 1-1 float32, beam 5", "CT2 1-1 int8, beam 1", "CT2 1-1 int8, beam 5"]
  assert found[2].made_by[:3] == (f"--workdir={nar}", "--set=search.candidates=9", f"--rescore_with={ar}")
  assert found[1].made_by == (f"--workdir={nar}", "--weights=bfloat16", systems.SHARDS)
  assert found[-2].folder == found[-1].folder == "out/ct2_1-1_int8" and (found[-2].beam, found[-1].beam) == (1, 5)
  assert not any(system.kind == "ct2" for system in systems.standard([nar], [ar], "out", with_ct2=False))
  assert [system.name for system in systems.standard([nar], [], "out", with_ct2=True)] == [
    "NAR float32", "NAR bfloat16"]


def test_several_runs_are_told_apart_by_what_differs(tmp_path):
  one, deep, other = (
    tiny.run(tmp_path / name, family, **sizes) for name, family, sizes in (
      ("one", "nat_em", {}), ("deep", "nat_em", {"encoder_layers": 2}), ("other", "glat", {"width": 8})))
  assert list(systems.labels([one, deep]).values()) == ["1-1", "2-1"]
  assert list(systems.labels([one, other]).values()) == ["nat_em 1-1 of 16", "glat 1-1 of 8"]
  wide = tiny.run(tmp_path / "wide", "nat_em", candidates=3)
  assert list(systems.labels([one, wide, deep]).values()) == ["1-1 candidates=1", "1-1 candidates=3", "2-1"]
  narrow = str(tmp_path / "narrow")
  runs.create(config.override(runs.read(one), "model.net.ffn=24"), tiny.VOCAB, narrow)
  assert list(systems.labels([one, narrow]).values()) == ["1-1 net.ffn=32", "1-1 net.ffn=24"]
  found = systems.standard([one, deep], [], "out", with_ct2=False, openvino=[deep])
  assert [system.name for system in found] == [
    "NAR 1-1 float32", "NAR 1-1 bfloat16", "NAR 2-1 float32", "NAR 2-1 bfloat16", "NAR 2-1 OpenVINO float32",
    "NAR 2-1 OpenVINO bfloat16", "NAR 2-1 OpenVINO int8"]
  assert found[0].folder == "out/nar_1-1_float32" and found[2].run == deep


def test_beams_are_those_that_are_asked_for(tmp_path):
  found = systems.standard([], [tiny.run(tmp_path / "ar")], "out", with_ct2=True, beams=[3])
  assert [system.name for system in found] == ["AR 1-1, beam 3", "CT2 1-1 float32, beam 3", "CT2 1-1 int8, beam 3"]


def test_a_drafter_adds_a_system_of_each_ar_run(tmp_path):
  ar = tiny.run(tmp_path / "ar")
  found = systems.standard([], [ar], "out", with_ct2=False, drafter="nar")
  assert [system.name for system in found] == ["AR 1-1, beam 1", "AR 1-1, beam 5", "AR 1-1, drafted"]
  assert found[-1].made_by == (f"--workdir={ar}", "--draft_with=nar") and found[-1].kind == "saved_model"
  drafter = "nar,search.beam=1"
  both = systems.standard([], [ar], "out", with_ct2=False, drafter=drafter, openvino=[drafter])
  assert [(system.name, system.kind) for system in both[-2:]] == [
    ("AR 1-1, drafted, OpenVINO float32", "openvino"), ("AR 1-1, drafted, OpenVINO int8", "openvino")]
  assert both[-1].made_by == (
    f"--workdir={ar}", "--weights=int8", "--draft_with=nar", "--set=drafter.search.beam=1")


def test_a_shortlist_adds_a_system_of_each_export(tmp_path):
  nar = tiny.run(tmp_path / "nar", "nat_em")
  found = systems.standard([nar], [], "out", with_ct2=False, openvino=[nar], shortlist="short.npz")
  plain = systems.standard([nar], [], "out", with_ct2=False, openvino=[nar])
  assert found[:5] == plain and [each.name for each in found[5:]] == [f"{each.name}{systems.SHORT}" for each in plain]
  for short, each in zip(found[5:], plain, strict=True):
    assert short.made_by == (*each.made_by, "--shortlist=short.npz") and short.folder == f"{each.folder}_shortlist"


def test_a_folder_of_other_flags_is_refused(tmp_path):
  (tmp_path / "programs.py").write_text("import os, sys; os.mkdir(sys.argv[-1].partition('=')[2])")
  command = sys.executable, tmp_path / "programs.py"
  made_by = lambda drafter: systems.System(
    "mine", "saved_model", f"{tmp_path}/all/out", made_by=("--workdir=x", f"--draft_with={drafter}"))
  systems.prepare(made_by("one"), command)
  systems.prepare(made_by("one"), ["no such program"])  # It is there.
  with pytest.raises(ValueError, match="out was exported with --workdir=x --draft_with=one, not with --workdir=x "
                                       "--draft_with=two; remove it, or give another --workdir."):
    systems.prepare(made_by("two"), command)


def test_a_given_folder_tells_its_kind(tmp_path):
  for name, mark in (("a", "saved_model.pb"), ("b", "model.bin"), ("c", "model.bin"), ("c", "model.xml")):
    (tmp_path / name).mkdir(exist_ok=True)
    (tmp_path / name / mark).touch()
  assert systems.given(f"one={tmp_path}/a") == systems.System("one", "saved_model", f"{tmp_path}/a")
  assert systems.given(f"two={tmp_path}/b,beam=3") == systems.System("two", "ct2", f"{tmp_path}/b", 3)
  assert systems.given(f"three={tmp_path}/c") == systems.System("three", "openvino", f"{tmp_path}/c")
  for text, message in (
      ("one", "Expected --system=NAME=FOLDER or --system=NAME=FOLDER,beam=N, got 'one'"),
      (f"one={tmp_path}/b,beam=x", "Expected --system=NAME=FOLDER"),
      (f"one={tmp_path}", "is no SavedModel, OpenVINO or CTranslate2 folder; make one with bin/export.py"),
      (f"one={tmp_path}/a,beam=2",
       "only a CTranslate2 folder has a choice of beams; export the other with --set=search.beam=2")):
    with pytest.raises(ValueError, match=message):
      systems.given(text)


def test_a_failed_export_is_one_line(tmp_path):
  (tmp_path / "programs.py").write_text("import sys; sys.exit(f'{sys.argv[1]}: no {sys.argv[2]}')")
  system = systems.System("mine", "saved_model", f"{tmp_path}/out", made_by=("--workdir=x",))
  with pytest.raises(ValueError, match="^mine: export: no --workdir=x$"):
    systems.prepare(system, (sys.executable, tmp_path / "programs.py"))
  os.mkdir(system.folder)
  systems.prepare(system)  # An existing folder is not exported again.
