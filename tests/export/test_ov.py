"""OpenVINO folders against the live models: every family, every vocabulary, every type."""
import json
import pathlib
from unittest import mock

import numpy as np
import pytest

openvino = pytest.importorskip("openvino", reason="OpenVINO is not installed; it comes with the extra openvino.")

from tests.export import tiny
from tf_nar import config
from tf_nar import runs
from tf_nar import types
from tf_nar.data import shortlist
from tf_nar.data import vocab as vocab_lib
from tf_nar.evaluate import bleu
from tf_nar.evaluate import corpus
from tf_nar.evaluate import drafting
from tf_nar.evaluate import shortlisting
from tf_nar.export import ov
from tf_nar.export import ov_graphs
from tf_nar.export import ov_program
from tf_nar.models import lanmt
from tf_nar.models import lanmt_score


def separate():
  """Returns a vocabulary of target words with another one of sources, in which the same words have other ids."""
  vocab = tiny.VOCABULARIES["words"]()
  vocab.separate_source = vocab_lib.WordList([*vocab.tokens[:5], "more", *vocab.tokens[:4:-1]])
  return vocab


VOCABULARIES = tiny.VOCABULARIES | {"separate": separate}
LINES = ["a low house", "", "the  newest \u2603 tower", " <eos> show <pad> <mask> <unk>", "is " * 30]
slow = lambda *case: pytest.param(*case, marks=pytest.mark.slow)
CASES = [
  ("nat_em", "words", dict(candidates=3)),
  ("ctc", "bpe", {}),
  ("ctc", "separate", {}),
  ("cmlm", "words", dict(passes=3, candidates=2, stop=True)),
  ("ctc", "words", dict(beam=5, candidates=3, bonus=0.5)),
  ("dag", "words", dict(method="joint", candidates=3, penalty=0.5)),
  ("flowseq", "words", dict(odd=True, candidates=2)),
  ("lanmt", "words", dict(refine="delta", steps=2, candidates=2)),
  ("latent_codes", "words", dict(candidates=3, lengths=3)),
  slow("latent_codes", "bpe", dict(odd=True)),
  slow("lanmt_score", "words", dict(refine="score", steps=2)),
  slow("lanmt_score", "words", dict(refine="delta")),
  slow("lanmt", "bpe", dict(refine="none", odd=False, stop=True)),
  slow("flowseq", "bpe", dict(candidates=5, unknown=True)),
  slow("dag", "words", dict(method="viterbi", collapse=False)),
  slow("nat_em", "bpe", dict(odd=False, unknown=True)),
  slow("glat", "sentencepiece", dict(odd_everywhere=True)),
  slow("dag", "words", dict(method="greedy")),
  slow("dag", "sentencepiece", dict(collapse=False)),
  slow("nat_fertility", "words", dict(odd=True)),
  slow("cmlm", "bpe", dict(passes=4, candidates=3, repredict_all=True)),
]


def export(folder, family, kind, weights="float32", validation=None, fixed=(), short=False, **search):
  """Exports a tiny run, `short`: with a shortlist; returns the folder and the run."""
  workdir = tiny.make(folder / "run", family, VOCABULARIES[kind](), **search)
  run = runs.load(workdir)
  if short:
    likely = [[types.EOS]] + [[5 + n % 3] for n in range((run.vocab.source_size or len(run.vocab)) - 1)]
    found = shortlist.Shortlist(np.array(likely, np.int32), np.array([*range(5), 11], np.int32),
                                np.array(run.vocab.sha256))
    shortlist.write(f"{folder}/short.npz", found)
    run = shortlisting.by(run, f"{folder}/short.npz")
  ov.export(run, corpus.searcher(run.model, run.experiment.search), f"{folder}/out", weights, validation,
            fixed_lengths=fixed)
  return f"{folder}/out", run


def here(folder, questions):
  """Replaces `ov.ask`, without the time of another process."""
  translate = ov_program.Translator(folder, threads=1)
  return [translate.answers(lines) for lines in questions]


def live(run, lines):
  """Returns [(text, score), ...] of the run for each line."""
  ids = [[*run.vocab.source.encode(line)[:tiny.MAX_LENGTH - 1], types.EOS] for line in lines]
  search = corpus.searcher(run.model, run.experiment.search)
  found = corpus.translate(search, ids, tokens_per_batch=1000, longest=tiny.MAX_LENGTH)
  return [[(run.vocab.decode(each.tokens), each.score) for each in row] for row in found]


@pytest.mark.parametrize("family, kind, search", CASES)
def test_it_says_what_the_run_says(tmp_path, monkeypatch, family, kind, search):
  monkeypatch.setattr(ov, "ask", here)
  folder, run = export(tmp_path, family, kind, **search)
  translate = ov_program.Translator(folder, threads=1)
  answers = translate.answers(LINES)
  cut = [len(run.vocab.source.encode(line)) >= tiny.MAX_LENGTH for line in LINES]
  assert [each for _, each in answers] == cut and any(cut)
  for (theirs, _), ours in zip(answers, live(run, LINES), strict=True):
    assert theirs[0][0] == ours[0][0] and np.isclose(theirs[0][1], ours[0][1], rtol=0, atol=1e-3)
    assert {text for text, _ in theirs} == {text for text, _ in ours}
  assert translate(LINES) == [candidates[0][0] for candidates, _ in answers]
  assert [translate([line])[0] for line in LINES] == translate(LINES)


@pytest.mark.parametrize("family, kind, search", [
  ("nat_em", "separate", dict(candidates=3)),
  ("ctc", "words", {}),
  slow("dag", "words", dict(method="joint", candidates=3)),
  slow("cmlm", "bpe", dict(passes=3, candidates=2)),
  slow("nat_fertility", "words", dict(odd=True)),
])
def test_a_shortlist_is_that_of_the_run(tmp_path, monkeypatch, family, kind, search):
  monkeypatch.setattr(ov, "ask", here)
  folder, run = export(tmp_path, family, kind, short=True, fixed=[12] if family == "ctc" else (), **search)
  answers, wanted = ov_program.Translator(folder, threads=1).answers(LINES), live(run, LINES)
  for (theirs, _), ours in zip(answers, wanted, strict=True):
    assert theirs[0][0] == ours[0][0] and np.isclose(theirs[0][1], ours[0][1], rtol=0, atol=1e-3)
  assert [row[0][0] for row in live(runs.load(run.workdir), LINES)] != [row[0][0] for row in wanted]
  assert json.loads(pathlib.Path(folder, "metadata.json").read_text())["shortlist"] == "short.npz"


@pytest.mark.parametrize("family, weights, search", [
  ("nat_em", "float32", dict(draft_block=4)), slow("ctc", "float32", dict(draft_positions=1, extra_length=3)),
  slow("nat_em", "int8", {}), slow("nat_em", "int8_calibrated", {})])
def test_a_teacher_checks_drafts(tmp_path, monkeypatch, family, weights, search):
  monkeypatch.setattr(ov, "ask", here)
  teacher, drafter = (runs.load(tiny.make(tmp_path / name, name, VOCABULARIES["words"](), **given))
                      for name, given in (("ar", search), (family, {})))
  run, folder = drafting.by(teacher, drafter), f"{tmp_path}/out"
  search = lambda run: corpus.searcher(run.model, run.experiment.search)
  text = ov.Validation(LINES[:1], LINES[:1], lambda lines: bleu.Score(1.0, "")) if weights != "float32" else None
  ov.export(run, search(run), folder, weights, text, drafter=(drafter, search(drafter), text))
  translate = ov_program.Translator(folder, threads=1)
  answers, wanted = translate.answers(LINES), live(run, LINES)
  if weights == "float32":
    for (theirs, _), ours in zip(answers, wanted, strict=True):
      assert theirs[0][0] == ours[0][0] and np.isclose(theirs[0][1], ours[0][1], rtol=0, atol=1e-3)
  assert [translate([line])[0] for line in LINES] == [theirs[0][0] for theirs, _ in answers]
  assert json.loads(pathlib.Path(folder, "metadata.json").read_text())["drafted_by"] == family


def test_a_shortlist_in_8_bits(tmp_path, monkeypatch):
  monkeypatch.setattr(ov, "ask", here)
  folder, run = export(tmp_path, "nat_em", "words", "int8", short=True)
  answers, wanted = ov_program.Translator(folder, threads=1).answers(LINES), live(run, LINES)
  assert sum(theirs[0][0] == ours[0][0] for (theirs, _), ours in zip(answers, wanted, strict=True)) >= 0.8 * len(LINES)


@pytest.mark.parametrize("family", ["nat_em", pytest.param("ctc", marks=pytest.mark.slow)])
def test_nothing_else_reads_the_weights_of_the_output_layer(tmp_path, family):
  run = runs.load(tiny.make(tmp_path / "run", family, VOCABULARIES["words"]()))
  graphs = ov_graphs.build(run)
  model = ov.converted(graphs.get("decoder", graphs["model"]))
  looked_up = {each.input(0).get_source_output().get_node().get_friendly_name() for each in model.get_ops()
               if each.get_type_name() == "Gather"}
  multiplied = {each.input(1).get_source_output().get_node().get_friendly_name() for each in model.get_ops()
                if each.get_type_name() in ("MatMul", "Einsum")}
  assert looked_up and multiplied and not looked_up & multiplied


def test_a_large_bias_that_is_looked_up_stays_whole():
  ops, size = openvino.opset13, 40_000  # nncf compresses tables of one number a row up to some 5,000 rows.
  ids = ops.parameter([-1], np.int32)
  looked_up = ops.gather(ops.constant(np.arange(size, dtype=np.float32)), ids, ops.constant(0))
  made = ov._quantised({"biases": openvino.Model([looked_up], [ids])}, "int8", "", None)["biases"]
  assert openvino.compile_model(made, "CPU")(np.array([3, size - 1], np.int32))[0].tolist() == [3, size - 1]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
  """Returns a folder and its run; another process has checked it."""
  text = ov.Validation(["a low house", "is"], ["x", ""], lambda lines: bleu.Score(50.0, "planted"))
  return export(tmp_path_factory.mktemp("exported"), "ctc", "words", validation=text, fixed=[12])


def test_single_sentences_of_fixed_length_are_the_same(exported):
  folder, run = exported
  translate, shapes = ov_program.Translator(folder), []
  network = translate.networks["model"]
  translate.networks["model"] = lambda ids: shapes.append(ids.shape) or network(ids=ids)
  network._any = None  # Inputs of other shapes would fail.
  lines = ["a low house tower is", "is " * 30]
  assert [translate([line])[0] for line in lines] == [row[0][0] for row in live(run, lines)]
  assert shapes == [(1, 12)] * 2


@pytest.mark.parametrize("family, search", [
  ("nat_em", dict(candidates=3, odd=True)), slow("latent_codes", {}), slow("cmlm", dict(passes=3, candidates=2)),
  slow("nat_fertility", dict(odd=True)), slow("dag", {})])
def test_both_networks_have_fixed_lengths(tmp_path, monkeypatch, family, search):
  monkeypatch.setattr(ov, "ask", here)
  folder, run = export(tmp_path, family, "words", fixed=[10, 12], **search)
  translate = ov_program.Translator(folder)
  networks, lines, seen = translate.networks.values(), [*LINES[:3], "a low house tower is"], []
  count = {name: len(network._fixed) for name, network in translate.networks.items()}
  assert count == {name: number for name, number in {"model": 2, "codes": 0, "decoder": 3}.items() if name in count}
  for network in networks:
    network._shapes = lambda given, shapes=network._shapes: seen.append(shapes(given)) or seen[-1]
  assert [translate([line])[0] for line in lines] == [row[0][0] for row in live(run, lines)]
  assert all(set(seen) & set(network._fixed) for name, network in translate.networks.items() if name != "codes")


def test_the_card_says_what_was_measured(exported):
  folder, _ = exported
  about = json.loads(pathlib.Path(folder, "metadata.json").read_text())
  assert about["family"] == "ctc" and about["dtype"] == "float32" and about["openvino"]
  card = pathlib.Path(folder, "README.md").read_text()
  assert "in `metadata.json`" in card and "import translate" in card and "tensorflow" not in card
  assert "| BLEU in this type | 50.00 on 2 sentences of validation text, where the run has 50.00 in float32" in card


def test_it_is_refused_if_its_bleu_or_a_translation_differs(exported, monkeypatch):
  folder, run = exported
  search = corpus.searcher(run.model, run.experiment.search)
  monkeypatch.setattr(ov, "ask", here)
  scores = {"": 30.3, "x": 30.0}  # By the first translation.
  text = ov.Validation([""], ["x"], lambda lines: bleu.Score(scores[lines[0]], ""))
  with pytest.raises(RuntimeError, match="BLEU on the validation text is 30.30 in int8 and 30.00 of the run, more than "
                                         "0.2 apart: nothing was exported. Choose another type"):
    ov.check(folder, run, search, "int8", text)
  monkeypatch.setattr(ov, "ask", lambda folder, questions: [[([("x", 0.0)], False)] * len(questions[0]), []])
  with pytest.raises(RuntimeError, match="The export returns .*'x'.* the run .*: nothing was exported"):
    ov.check(folder, run, search, "float32")


def test_a_program_that_fails_is_one_line(tmp_path):
  for text, why in (("raise SystemExit('no such thing')", "no such thing"),
                    ("import os; os.abort()", "it ended with -6")):
    (tmp_path / "translate.py").write_text(text)
    with pytest.raises(RuntimeError, match=f"cannot be used by a fresh process: {why}; nothing was exported"):
      ov.ask(tmp_path, [[], []])


@pytest.mark.parametrize("weights", ["int8", slow("bfloat16"), slow("int8_calibrated")])
def test_other_types_are_smaller(tmp_path, monkeypatch, weights):
  monkeypatch.setattr(ov, "ask", here)
  if weights.startswith("int8"):
    pytest.importorskip("nncf", reason="nncf is not installed; it comes with the extra openvino.")
  sources = ["a low house", "the tower is new", "is a a a"]
  text = ov.Validation(sources, sources, lambda lines: bleu.Score(1.0, ""))
  folder, run = export(tmp_path, "ctc", "words", weights, text)
  assert len(ov_program.Translator(folder)(LINES)) == len(LINES)
  stored = 4 * sum(variable.shape.num_elements() for variable in run.model.variables)
  assert pathlib.Path(folder, "model.bin").stat().st_size < stored


@pytest.mark.parametrize("model, search, needed, got", [
  (lanmt.Config(latent=lanmt.Latent("source")), lanmt.Search(), "model.latent.axis=target", "source"),
  (lanmt_score.Config(kind="energy"), lanmt_score.Search(refine="energy"), "search.refine=delta", "energy"),
])
def test_what_else_latents_need(model, search, needed, got):
  family = type(model).__module__.rpartition(".")[2]
  run = mock.Mock(experiment=config.Experiment(family, model, search))
  assert f"An OpenVINO export of {family} needs {needed}; got {got}; set it, or use" in ov_graphs.lacks(run)


@pytest.mark.parametrize("family, search, message", [
  ("ctc", dict(beam=4, candidates=2, rank="consensus"), "An OpenVINO export of ctc needs search.rank=beam"),
  ("dag", dict(method="joint", candidates=2, rank="paths"), "An OpenVINO export of dag needs search.rank=path"),
  ("ctc", dict(beam=4, short=True), "An OpenVINO export of ctc needs search.beam=1 with a shortlist"),
  ("nat_fertility", dict(candidates=2), "An OpenVINO export of nat_fertility needs search.candidates=1"),
  ("lanmt", dict(candidates=2, latents=2), "An OpenVINO export of lanmt needs search.latents=1"),
  ("flowseq", dict(rank="bound"), "An OpenVINO export of flowseq needs search.rank=decoder"),
  ("latent_codes", dict(beam=2), "An OpenVINO export of latent_codes needs search.beam=1"),
  ("lanmt_score", dict(stop=True), "An OpenVINO export of lanmt_score needs search.stop=False"),
  ("ar", {}, "An OpenVINO export of ar checks the drafts of another run; got .* without --draft_with=RUN; give it"),
  ("janus", {}, "Expected a run of a family among nat_em, glat, ctc, dag, nat_fertility, cmlm, lanmt, "
   "lanmt_score, flowseq, latent_codes; got .* of the family janus"),
])
def test_refusals(tmp_path, family, search, message):
  with pytest.raises(ValueError, match=message):
    export(tmp_path, family, "words", **search)


def test_calibration_needs_a_text(tmp_path):
  with pytest.raises(ValueError, match="int8_calibrated needs a text to be calibrated on; give --source and"):
    export(tmp_path, "ctc", "words", "int8_calibrated")
