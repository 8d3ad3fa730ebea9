"""translate, score and evaluate from flags to files, around a model that spells sentences backwards."""
import io
import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from absl import app

from tests.bin import backwards
from tf_nar import types
from tf_nar.evaluate import testset


def test_translate_a_file(call, text, tmp_path):
  source = text("in", "a b c\n\nd\na b c d e f g h\nb a\n")
  call("translate", f"--input={source}", f"--output={tmp_path}/out", "--window=2")
  assert (tmp_path / "out").read_text() == "c b a\n\nd\ne d c b a\na b\n"


def test_translate_standard_input(call, monkeypatch, capsys):
  stdin = SimpleNamespace(buffer=io.BytesIO(b"a b\nc\n"), isatty=lambda: False)
  monkeypatch.setattr("sys.stdin", stdin)
  call("translate", "--scores")
  assert capsys.readouterr().out == "b a ||| 0.000000\nc ||| 0.000000\n"


def test_translate_asks_on_a_terminal(call, monkeypatch, capsys):
  stdin = SimpleNamespace(buffer=io.BytesIO(b"a b\n"), isatty=lambda: True)
  monkeypatch.setattr("sys.stdin", stdin)
  call("translate")
  said = capsys.readouterr()
  assert said.out == "b a\n" and said.err.startswith("> > ")


def test_translate_nbest(call, text, capsys):
  call("translate", "--input", text("in", "a b\n\n"), "--nbest=2")
  assert capsys.readouterr().out == ("0 ||| b a ||| 0.000000\n0 ||| a b ||| -1.000000\n1 |||  ||| 0.000000\n")


def test_translate_widens_the_search(call, text, capsys):
  call("translate", "--input", text("in", "a b\n"), "--nbest=6")  # Its beam is 4.
  assert len(capsys.readouterr().out.splitlines()) == 6


def test_translate_rescored(call, text, capsys):
  source = text("in", "a b\n")
  call("translate", "--input", source, "--set=search.candidates=3", "--rescore_with=runs/ar", "--scores")
  assert capsys.readouterr().out == "a b ||| -1.500000\n"


def test_translate_with_a_trace(call, text, monkeypatch, capsys):
  def trace(self, src, search, rescore=None):
    """Two passes, of which the second repeats the last position."""
    masks = tf.where(src > 0, types.MASK, 0)
    half = tf.concat([src[:, :-1], masks[:, -1:]], 1)
    steps = lambda *each: tf.stack(each, 1)[:, None]
    return self.translate(src, search), types.Trace(steps(masks, half), steps(src, src))

  planted = backwards.Backwards
  monkeypatch.setattr(planted, "trace", trace, raising=False)
  monkeypatch.setattr(planted, "traits", planted.traits._replace(offers=frozenset({"trace"})))
  call("translate", "--input", text("in", "a b\n\nc\n"), "--trace")
  assert capsys.readouterr().out.splitlines() == [
    "0 ||| 1 ||| <mask> <mask> <mask> ||| a b <eos>", "0 ||| 2 ||| a b <mask> ||| a b <eos>",
    "2 ||| 1 ||| <mask> <mask> ||| c <eos>", "2 ||| 2 ||| c <mask> ||| c <eos>"]


def test_score(call, text, tmp_path):
  source, target = text("src", "a b\nc\nd\n"), text("tgt", "a\nd d d\na a a a a a a\n")
  call("score", f"--source={source}", f"--target={target}", f"--output={tmp_path}/out")
  assert (tmp_path / "out").read_text() == "-1.000000\n-102.000000\n-inf\n"


def test_score_refuses_other_counts(call, text, tmp_path):
  source, target = text("src", "a b\nc\n"), text("tgt", "a\n")
  with pytest.raises(SystemExit, match="^score: Parallel files must have the same number.*src has 2 and .*tgt has 1"):
    call("score", f"--source={source}", f"--target={target}", f"--output={tmp_path}/out")
  assert not (tmp_path / "out").exists()


def test_evaluate(call, text, tmp_path, capsys):
  source, reference = text("src", "e d c b a\nh g f e\n"), text("ref", "a b c d e\ne f g h\n")
  call("evaluate", f"--source={source}", f"--reference={reference}", f"--output={tmp_path}/out/report.json",
       "--set=search.beam=7")
  content = json.loads((tmp_path / "out/report.json").read_text())
  assert content["rows"]["bleu_tokenized"]["value"] == pytest.approx(100)
  assert content["facts"]["experiment"]["search"]["beam"] == 7
  assert content["facts"]["data"]["source"]["lines"] == 2
  assert (tmp_path / "out/report.hypotheses.txt").read_text() == reference.read_text()
  said = capsys.readouterr().out
  assert "tok:none" in said and "milliseconds" not in said
  assert content["rows"]["ncm"]["value"] == pytest.approx((11 * 0.5 + 100 * 2) / 11)


def test_sweep(call, text, capsys):
  source, reference = text("src", "a b c d\n"), text("ref", "a b c d\n")
  call("sweep", f"--source={source}", f"--reference={reference}", "--rescore_with=runs/ar", "--set=search.beam=5",
       "--try=search.candidates=1,2", "--try=search.alpha=0.0,1.0")
  said = capsys.readouterr().out
  assert [line.split()[:3] for line in said.splitlines() if line.startswith("search.")] == [
    ["search.candidates=1", "search.alpha=0.0", "22.59"], ["search.candidates=1", "search.alpha=1.0", "22.59"],
    ["search.candidates=2", "search.alpha=0.0", "100.00"], ["search.candidates=2", "search.alpha=1.0", "100.00"]]
  assert said.endswith("Best BLEU, 100.00: --set=search.beam=5 --set=search.candidates=2 --set=search.alpha=0.0 "
                       "--rescore_with=runs/ar\n")


@pytest.mark.parametrize("tried, message", [
  ("train.steps=1,2", "^sweep: --try expects an option of the search and its values, as search.beam=1,5; got 'train.s"),
  ("search.beam", "^sweep: --try expects an option of the search .* got 'search.beam'"),
  ("search.bean=1,2", "^sweep: .*no field 'bean'. Did you mean 'beam'"),
])
def test_sweep_refuses(call, text, tried, message):
  source = text("src", "a b\n")
  with pytest.raises(SystemExit, match=message):
    call("sweep", f"--source={source}", f"--reference={source}", f"--try={tried}")


def test_sweep_ranks_where_there_are_several(call, text, capsys):
  source, reference = text("src", "a b c d\n"), text("ref", "d c b a\n")  # The only candidate is the best one.
  call("sweep", f"--source={source}", f"--reference={reference}", "--rescore_with=runs/ar", "--set=search.candidates=2",
       "--set=search.alpha=0.0", "--try=search.beam=4,5")
  assert capsys.readouterr().out.endswith(
    "--set=search.candidates=2 --set=search.alpha=0.0 --set=search.beam=4 --rescore_with=runs/ar\n")
  call("sweep", f"--source={source}", f"--reference={reference}", "--rescore_with=runs/ar",
       "--try=search.candidates=1,2")
  assert capsys.readouterr().out.endswith("Best BLEU, 100.00: --set=search.candidates=1\n")
  with pytest.raises(SystemExit, match="^sweep: .*has nothing to rank"):
    call("sweep", f"--source={source}", f"--reference={reference}", "--rescore_with=runs/ar", "--try=search.beam=1,2")


def test_evaluate_refuses_a_speed_before_it_translates(call, text, monkeypatch):
  monkeypatch.setattr(testset, "measure", lambda *_, **__: pytest.fail("It translated."))
  source = text("src", "a b\n")
  with pytest.raises(SystemExit, match="^evaluate: Speed is measured on at least 128 sentences; got 1"):
    call("evaluate", f"--source={source}", f"--reference={source}", "--speed_beside=runs/ar")


def test_evaluate_beside_another_run(call, text, tmp_path, monkeypatch):
  monkeypatch.setattr(testset, "CROWD", 2)
  source, reference = text("src", "c b a\ne d\n"), text("ref", "a b c\nd e\n")
  call("evaluate", f"--source={source}", f"--reference={reference}", f"--output={tmp_path}/report.json",
       "--speed_beside=runs/ar", "--beside_set=search.beam=6")
  content = json.loads((tmp_path / "report.json").read_text())
  assert content["facts"]["speed_beside"] == "runs/ar"
  assert "seconds of ar {'beam': 6" in content["rows"]["times_baseline_batch_2"]["signature"]


@pytest.mark.parametrize("name, arguments, message", [
    ("translate", ["--input={}/none"], "^translate: No file .*none; give a text file"),
    ("translate", ["--input={}/none", "--set=search.bean=1"], "no field 'bean'. Did you mean 'beam'"),
    ("translate", ["--input={}/src", "--trace"], "^translate: A trace needs an iterative search, .*; ar has none. Use"),
    ("translate", ["--input={}/src", "--trace", "--nbest=2"], "^translate: --trace .*; leave out --nbest and --scores"),
    ("score", ["--source={}/src", "--target={}/none"], "^score: No file .*none; give a text file"),
    ("evaluate", ["--source={}/src", "--reference={}/two"],
     "^evaluate: Parallel files must have the same number of lines; .*src has 1 and .*two has 2"),
    ("evaluate", ["--source={}/src", "--reference={}/src", "--beside_set=search.beam=5"],
     "^evaluate: --beside_set changes the search of the run of --speed_beside; give that run too"),
    ("evaluate", ["--source={}/empty", "--reference={}/empty"], "^evaluate: There is no sentence to evaluate"),
])
def test_a_users_mistake_is_one_line(call, text, tmp_path, name, arguments, message):
  for file, content in (("src", "a b\n"), ("two", "a\nb\n"), ("empty", "")):
    text(file, content)
  with pytest.raises(SystemExit, match=message) as exit:
    call(name, f"--output={tmp_path}/out", *(argument.format(tmp_path) for argument in arguments))
  assert isinstance(exit.value.code, str) and "\n" not in exit.value.code
  assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name, needed", [
    ("translate", []), ("score", ["--source=s", "--target=t"]), ("evaluate", ["--source=s", "--reference=t"]),
    ("sweep", ["--source=s", "--reference=t", "--try=search.beam=1"]),
])
def test_stray_arguments_are_refused(call, name, needed):
  with pytest.raises(app.UsageError, match="Arguments that are not flags"):
    call(name, *needed, "stray")
