"""translate, score and evaluate from flags to files, around a model that spells sentences backwards."""
import hashlib
import io
import json
from types import SimpleNamespace

import pytest
import tensorflow as tf
from absl import app

from tests.bin import backwards
from tf_nar import recipe
from tf_nar import types
from tf_nar.evaluate import replicas
from tf_nar.evaluate import report
from tf_nar.evaluate import testset
from tf_nar.train import strategy


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


def test_translate_rescored_by_two(call, text, capsys):
  call("translate", "--input", text("in", "a b\n"), "--set=search.candidates=3", "--scores",
       "--rescore_with=runs/ar,runs/b")
  assert capsys.readouterr().out == "a b ||| -1.500000\n"


def test_translate_with_scores_of_tokens(call, text, monkeypatch, capsys):
  planted = backwards.Backwards
  monkeypatch.setattr(planted, "score_tokens", lambda self, src, tgt: -tf.cast(tgt, tf.float32), raising=False)
  monkeypatch.setattr(planted, "traits", planted.traits._replace(offers=frozenset({"score_tokens"})))
  call("translate", "--input", text("in", "a b\n\nc\n"), "--token_scores", "--window=2")
  assert capsys.readouterr().out.splitlines() == [
    "b a ||| b a <eos> ||| -6.0000 -5.0000 -1.0000", " ||| <eos> ||| 0.0000", "c ||| c <eos> ||| -7.0000 -1.0000"]
  call("translate", "--input", text("in", "a b\n"), "--token_scores", "--nbest=2")
  assert [line.count("|||") for line in capsys.readouterr().out.splitlines()] == [4, 4]


def test_translate_with_alignments(call, text, tmp_path, monkeypatch, capsys):
  def align(self, src, tgt):
    """The first target word is of the second source word, and so on."""
    return tf.one_hot(tf.range(1, 1 + tf.shape(tgt)[1]), tf.shape(src)[1]) + tf.zeros([tf.shape(src)[0], 1, 1])

  planted = backwards.Backwards
  monkeypatch.setattr(planted, "align", align, raising=False)
  monkeypatch.setattr(planted, "traits", planted.traits._replace(offers=frozenset({"align"})))
  source = text("in", "a b c\n\nd e\n")
  call("translate", "--input", source, f"--alignment={tmp_path}/out.align", f"--alignment_plot={tmp_path}/out.png")
  assert capsys.readouterr().out == "c b a\n\ne d\n"
  assert (tmp_path / "out.align").read_text() == "1-0 2-1\n\n1-0\n"
  assert (tmp_path / "out.png").stat().st_size > 1000
  call("translate", "--input", source, f"--alignment={tmp_path}/out.align", "--nbest=2", "--window=1")
  assert (tmp_path / "out.align").read_text() == "1-0 2-1\n" * 2 + "\n" + "1-0\n" * 2


def test_unknown_words_are_copied(call, text, tmp_path, monkeypatch, capsys):
  def align(self, src, tgt):
    """Each target word is of the source word that it is."""
    words = tf.math.count_nonzero(src > types.EOS, 1, dtype=tf.int32)
    return tf.reverse_sequence(tf.tile(tf.eye(tf.shape(src)[1])[None], [tf.shape(src)[0], 1, 1]), words, seq_axis=1)

  planted = backwards.Backwards
  monkeypatch.setattr(planted, "align", align, raising=False)
  monkeypatch.setattr(planted, "traits", planted.traits._replace(offers=frozenset({"align"})))
  source = text("in", "a ☃ b x\n\nc\n")
  call("translate", "--input", source)
  assert capsys.readouterr().out == "<unk> b <unk> a\n\nc\n"
  call("translate", "--input", source, "--copy_unknown", f"--alignment={tmp_path}/out.align")
  assert capsys.readouterr().out == "x b ☃ a\n\nc\n"
  assert (tmp_path / "out.align").read_text() == "0-3 1-2 2-1 3-0\n\n0-0\n"
  call("evaluate", "--source", source, "--reference", text("reference", "x b ☃ a\n\nc\n"), "--copy_unknown",
       f"--output={tmp_path}/report.json")
  assert (tmp_path / "report.hypotheses.txt").read_text() == "x b ☃ a\n\nc\n"
  rows, facts = report.read(f"{tmp_path}/report.json")
  assert rows[0].value == pytest.approx(100) and facts["copy_unknown"]


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


def test_all_devices_give_the_results_of_one(call, text, tmp_path, monkeypatch, two):
  source, target = text("src", "a b c d e\nh g f e\n\nc\n" * 5), text("tgt", "a b\ne f g h\n\nd\n" * 5)
  programs = {"translate": [f"--input={source}", "--nbest=2"], "score": [f"--source={source}", f"--target={target}"],
              "evaluate": [f"--source={source}", f"--reference={target}"]}
  few, spread = "--tokens_per_batch=16", []
  for name, arguments in programs.items():
    call(name, *arguments, few, f"--output={tmp_path}/{name}.one")
  together = replicas.Spread.together
  monkeypatch.setattr(replicas.Spread, "together", lambda *given: spread.append(len(given[1])) or together(*given))
  monkeypatch.setattr(strategy, "here", lambda tpu: two)
  for name, arguments in programs.items():
    call(name, *arguments, few, f"--output={tmp_path}/{name}.two")
    assert 2 in spread
    spread.clear()
  one, both = ({name: (tmp_path / f"{name}.{end}").read_text() for name in programs} for end in ("one", "two"))
  numbers = lambda report: {name: row["value"] for name, row in json.loads(report)["rows"].items()
                            if name not in testset.TIMES}
  assert numbers(one.pop("evaluate")) == numbers(both.pop("evaluate")) and one == both


def test_evaluate_says_how_long_a_run_was_trained(call, text, tmp_path, monkeypatch):
  monkeypatch.setattr(recipe, "seen", lambda workdir: [("budget", 720, 2_949_120), ("bound", 240, 983_040)])
  source = text("src", "a b\n")
  call("evaluate", f"--source={source}", f"--reference={source}", f"--output={tmp_path}/report.json")
  rows = json.loads((tmp_path / "report.json").read_text())["rows"]
  assert (rows["updates"]["value"], rows["million_tokens"]["value"]) == (960, 3.93216)
  assert "budget 720, bound 240;" in rows["updates"]["signature"]


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
  ("train.steps=1,2",
   "^sweep: --try and a sweep expect an option of the search and its values, as search.beam=1,5; got 'train.s"),
  ("search.beam", "^sweep: --try and a sweep expect an option of the search .* got 'search.beam'"),
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


def test_evaluate_against_several_references_in_another_way(call, text, tmp_path):
  source, one, two = text("src", "A b\nC\n"), text("one", "b a\nc\n"), text("two", "a b\nc c\n")
  texts = [f"--source={source}", f"--reference={one}", f"--reference={two}"]
  call("evaluate", *texts, f"--output={tmp_path}/r.json", "--tokenize=13a", "--lowercase", "--ter",
       f"--segments={tmp_path}/segments")
  content = json.loads((tmp_path / "r.json").read_text())
  assert list(content["facts"]["data"]) == ["source", "reference", "reference_2"]
  for name, more in (("bleu", "|eff:no|tok:13a"), ("chrf", ""), ("ter", "")):
    assert f"nrefs:2|case:lc{more}" in content["rows"][f"{name}_tokenized"]["signature"]
  written = {path.name: path.read_text() for path in (tmp_path / "segments").iterdir()}
  assert written == {"source.txt": "A b\nC\n", "hypothesis.txt": "b <unk>\n<unk>\n", "reference.txt": "b a\nc\n",
                     "reference_2.txt": "a b\nc c\n"}


def test_evaluate_given_translations_and_compare_with_them(call, load, text, tmp_path, capsys):
  source, reference = text("src", "c b a\ne d\n"), text("ref", "A b c\nd e\n")
  theirs, names = text("theirs", "A b c\nd f\n"), [f"--reference={reference}"]
  load("evaluate")[1](f"--hypothesis={theirs}", *names)
  content = json.loads((tmp_path / "theirs.json").read_text())
  assert (tmp_path / "theirs.hypotheses.txt").read_text() == theirs.read_text()
  assert list(content["rows"]) == [
    "bleu_detokenized", "chrf_detokenized", "repetition_words", "length_ratio", "sentences"]
  assert content["facts"]["hypothesis"]["lines"] == 2 and list(content["facts"]["data"]) == ["reference"]
  packed = tmp_path / "packed.json"  # By a vocabulary of tokenised text.
  load("evaluate")[1](f"--hypothesis={theirs}", *names, "--workdir=multi30k_en_de", f"--output={packed}")
  assert "bleu_tokenized" in json.loads(packed.read_text())["rows"]
  call("evaluate", f"--source={source}", *names, f"--output={tmp_path}/ours.json",
       f"--compare_with={tmp_path}/theirs.json")
  rows = json.loads((tmp_path / "ours.json").read_text())["rows"]
  assert rows["chrf_tokenized_difference"]["signature"].endswith(f" of {tmp_path}/theirs.json")
  assert 0 < rows["chrf_tokenized_difference_p"]["value"] <= 1
  load("evaluate")[1](f"--hypothesis={tmp_path}/ours.hypotheses.txt", *names, f"--output={tmp_path}/again.json",
                      f"--compare_with={tmp_path}/ours.json")
  rows = json.loads((tmp_path / "again.json").read_text())["rows"]
  assert rows["bleu_detokenized_difference"]["value"] == 0 and rows["bleu_detokenized_difference_p"]["value"] == 1
  capsys.readouterr()
  load("report")[1](f"{tmp_path}/theirs.json", f"{tmp_path}/again.json", f"--out={tmp_path}/all")
  assert "\nagain " in capsys.readouterr().out


@pytest.mark.parametrize("arguments, message", [
  (["--hypothesis={}/src", "--set=search.beam=1"], "--hypothesis is translated already; leave out --set."),
  (["--hypothesis={}/src", "--draft_with=runs/nat", "--teacher=runs/ar"],
   "--hypothesis is translated already; leave out --draft_with and --teacher."),
  (["--hypothesis=-"], "--hypothesis=- has no folder for the report; give --output."),
  (["--hypothesis={}/src", "--segments={}/s"], "--segments writes the source too; give --source."),
  (["--hypothesis={}/two"], "Parallel files must have .* lines; .*src has 1 and .*two has 2."),
  (["--hypothesis={}/src", "--reference={}/two"], "Parallel .*; .*src has 1 and .*two has 2 and .*src has 1."),
  (["--hypothesis={}/src", "--compare_with={}/none.json"], r"\[Errno 2\] .*none.json"),
  (["--hypothesis={}/src", "--compare_with={}/src"], ".*src is not a report of bin/evaluate.py"),
  (["--hypothesis={}/src", "--compare_with={}/other.json"],
   "--compare_with=.*other.json was measured with another reference than .*src; measure it with the same texts."),
  (["--hypothesis={}/src", "--compare_with={}/short.json"],
   ".*short.hypotheses.txt has 0 lines, the reference has 1; measure that system again."),
])
def test_evaluate_refuses_translations(load, text, tmp_path, arguments, message):
  for file, content in (("src", "a b\n"), ("two", "a\nb\n"), ("short.hypotheses.txt", "")):
    text(file, content)
  for name, digest in (("other", "d"), ("short", hashlib.sha256(b"a b\n").hexdigest())):
    report.write(f"{tmp_path}/{name}.json", [], {"data": {"reference": {"sha256": digest}}})
  before = sorted(tmp_path.iterdir())
  with pytest.raises(SystemExit, match=f"^evaluate: {message}") as exit:
    load("evaluate")[1]("--reference=" + str(tmp_path / "src"), *(argument.format(tmp_path) for argument in arguments))
  assert "\n" not in exit.value.code and sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name, arguments, message", [
    ("translate", ["--input={}/none"], "^translate: No file .*none; give a text file"),
    ("translate", ["--input={}/none", "--set=search.bean=1"], "no field 'bean'. Did you mean 'beam'"),
    ("translate", ["--input={}/src", "--trace"], "^translate: A trace needs an iterative search, .*; ar has none. Use"),
    ("translate", ["--input={}/src", "--trace", "--nbest=2"], "^translate: --trace .*; leave out --nbest, --scores"),
    ("translate", ["--input={}/src", "--alignment={}/out"], "^translate: runs/x is of .* ar, which has no alignment"),
    ("translate", ["--input={}/src", "--copy_unknown"], "^translate: runs/x is of .* ar, which has no alignment"),
    ("translate", ["--input={}/src", "--token_scores"],
     "^translate: runs/x is of family ar, whose tokens have no log p of their own; --scores prints that of"),
    ("score", ["--source={}/src", "--target={}/none"], "^score: No file .*none; give a text file"),
    ("evaluate", ["--source={}/src", "--reference={}/two"],
     "^evaluate: Parallel files must have the same number of lines; .*src has 1 and .*two has 2"),
    ("evaluate", ["--source={}/src", "--reference={}/src", "--beside_set=search.beam=5"],
     "^evaluate: --beside_set changes the search of the run of --speed_beside; give that run too"),
    ("evaluate", ["--source={}/src", "--reference={}/src", "--teacher=runs/ar"],
     "^evaluate: Total correlation needs an autoregressive score of the teacher, and another of the student; got ar "
     "and ar"),
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
