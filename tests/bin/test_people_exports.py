"""Programs that read run folders or write model folders, on names and files as they occur in practice."""
import errno
import json
import re
from types import SimpleNamespace

import pytest
import tensorflow as tf

from tests.bin import backwards
from tests.bin import people
from tests.data import holding
from tests.export import tiny
from tf_nar import config
from tf_nar import runs
from tf_nar.data import paths
from tf_nar.export import card
from tf_nar.export import ct2
from tf_nar.export import metadata
from tf_nar.export import optional
from tf_nar.export import ov
from tf_nar.export import ov_graphs
from tf_nar.export import saved_model
from tf_nar.export import verify
from tf_nar.models import ar
from tf_nar.models import original

EXPORTS = {
  "export": ["README.md", "assets.extra/metadata.json", "assets.extra/tf_serving_warmup_requests", "fingerprint.pb",
             "saved_model.pb", "variables/variables.data-00000-of-00001", "variables/variables.index"],
  "export_ct2": ["metadata.json", "model.bin", "target.json", "translate.py", "vocab.txt"],
  "export_openvino": ["README.md", "metadata.json", "model.xml", "ov_drafts.py", "ov_network.py", "ov_search.py",
                      "ov_words.py", "target.json", "translate.py", "vocab.txt"],
}


class Exported(tf.Module):
  def __init__(self):
    super().__init__()
    self.weight = tf.Variable(1.0)

  @tf.function(input_signature=[tf.TensorSpec([None], tf.string, "text")], autograph=False)
  def translate(self, text):
    return {"translation": tf.strings.upper(text), "score": self.weight * tf.ones(tf.shape(text))}


def built(run, search, teacher, trace, copies, score):
  module = Exported()
  return module, {"translate": module.translate, "translate_ids": module.translate}


class Spec:
  validate = staticmethod(lambda: None)
  optimize = staticmethod(lambda quantization: None)

  @staticmethod
  def save(folder):
    with open(f"{folder}/model.bin", "wb") as file:
      file.write(b"weights")


@pytest.fixture
def exporter(monkeypatch, load):
  """Returns a function that calls an exporting program with fake models."""
  def load_run(workdir, overrides=()):
    experiment = config.Experiment("ar", ar.Config(ar.transformer.Config(max_length=6)), ar.Search())
    return runs.Run(experiment, backwards.Backwards(), people.VOCAB, workdir)

  monkeypatch.setattr(runs, "load", load_run)
  monkeypatch.setattr(saved_model, "build", built)
  monkeypatch.setattr(verify, "check", lambda *_: None)
  monkeypatch.setattr(card, "write", lambda folder, *_, **__: open(f"{folder}/README.md", "w").close())
  monkeypatch.setattr(metadata, "describe", lambda *_: {"warm": ["a b"]})
  for name, fake in (("silence", lambda *_: None), ("spec", lambda run: Spec), ("check", lambda *_: None)):
    monkeypatch.setattr(ct2, name, fake)
  openvino = SimpleNamespace(__version__="0", save_model=lambda model, path, **_: open(path, "w").close())
  for module, name, fake in (
      (optional, "package", lambda name: openvino), (ov, "converted", lambda graph: graph),
      (ov, "check", lambda *_: []), (ov, "_program", lambda: paths), (ov_graphs, "build", lambda run: {"model": None})):
    monkeypatch.setattr(module, name, fake)
  return lambda name, *arguments: load(name)[1]("--workdir=runs/x", *arguments)


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("out", ["run[1] a*b?", "quo'te\" üml 日本", "-dash", "new/er/", "./x/../y"])
def test_exports_write_folders_of_any_name(exporter, tmp_path, monkeypatch, capsys, name, out):
  (tmp_path / "cwd").mkdir()
  monkeypatch.chdir(tmp_path / "cwd")
  exporter(name, f"--out={out}")
  folder = tmp_path / "cwd" / out
  assert people.listed(folder.resolve()) == EXPORTS[name] and len(people.listed(tmp_path)) == len(EXPORTS[name])
  assert repr(out) in capsys.readouterr().out
  if name == "export":
    loaded = tf.saved_model.load(paths.literal(str(folder)))  # Held: it owns the weights.
    assert loaded.translate(tf.constant(["a"]))["translation"].numpy() == [b"A"]


@pytest.mark.parametrize("name", EXPORTS)
@pytest.mark.parametrize("out, message", [
  ("{}/taken", "{}/taken already exists and is not an empty folder; remove it, or choose another --out."),
  ("{}/file", "{}/file already exists and is not an empty folder"), ("/dev/null", "/dev/null already exists"),
  ("{}/file/out", r"\[Errno (17|20)\] .*file"),
])
def test_exports_refuse_a_place(exporter, tmp_path, name, out, message):
  (tmp_path / "taken").mkdir()
  for path in ("taken/weights.npz", "file"):
    (tmp_path / path).write_text("precious")
  line = people.refused(exporter, name, f"--out={out.format(tmp_path)}")
  assert re.match(f"{name}: {message.format(tmp_path)}", line), line
  assert people.listed(tmp_path) == ["file", "taken/weights.npz"] and (tmp_path / "file").read_text() == "precious"


@pytest.mark.parametrize("problem", [
  OSError(errno.ENOSPC, "No space left on device"),
  tf.errors.ResourceExhaustedError(None, None, "out/x; No space left"),
])
def test_an_export_onto_a_full_disk_leaves_nothing(exporter, tmp_path, monkeypatch, problem):
  def full(module, folder, signatures, options):
    tf.io.gfile.makedirs(f"{folder}/variables")
    raise problem
  monkeypatch.setattr(tf.saved_model, "save", full)
  assert "No space left" in people.refused(exporter, "export", f"--out={tmp_path}/out")
  assert list(tmp_path.iterdir()) == []


@pytest.fixture(scope="module")
def run(tmp_path_factory):
  return tiny.make(tmp_path_factory.mktemp("run") / "ar", "ar", tiny.VOCABULARIES["words"]())


@pytest.mark.parametrize("name, file, data, message", [
  ("export", "config.json", None, "No run at {} "),
  ("export", "config.json", b"", "{}/config.json is no JSON"),
  ("export_ct2", "config.json", b'{"family": "ar"}', r"{}/config.json lacks what belongs in it \(KeyError: 'model'\)"),
  ("translate", "config.json", b"[]", "{}/config.json lacks what belongs in it"),
  ("export", "vocab.txt", None, "No vocab.model or vocab.txt in {}: it is not a data or run folder."),
  ("export", "vocab.txt", b"\xff\xfe\n", r"{}/vocab.txt is not UTF-8 \(byte 1\)"),
  ("export", "vocab.txt", b"", "{}: vocab.txt must begin with <pad>"),
  ("export_ct2", "vocab.txt", b"a\nb\n", "{}: vocab.txt must begin with <pad>"),
  ("export", "target.json", b"\0", "{}/target.json is no JSON"),
  ("export", "weights.npz", None, "{} has no weights.npz: its training has not saved a model yet"),
  ("export", "weights.npz", b"", "{}/weights.npz is broken .*; restore it, or make it again."),
  ("export_ct2", "weights.npz", b"PK\x03\x04 cut", "{}/weights.npz is broken"),
  ("translate", "weights.npz", b"\n", "{}/weights.npz is broken"),
])
def test_a_broken_run_folder_is_one_line(load, run, tmp_path, name, file, data, message):
  broken = tmp_path / "run"
  broken.mkdir()
  for path in map(broken.joinpath, people.listed(tmp_path.__class__(run))):
    path.write_bytes((tmp_path.__class__(run) / path.name).read_bytes())
  if data is None:
    (broken / file).unlink()
  else:
    (broken / file).write_bytes(data)
  before = people.listed(tmp_path)
  out = [f"--out={tmp_path}/out"] if name.startswith("export") else [f"--output={tmp_path}/out", "--input=/dev/null"]
  line = people.refused(load(name)[1], f"--workdir={broken}", *out)
  assert re.match(f"{name}: {message.format(broken)}", line), line
  assert people.listed(tmp_path) == before


# A checkpoint of the original program, of which only the names are read, and its model_config.json.
SIZES = json.dumps({
  "vocab_size": 7, "hidden_size": 8, "filter_size": 8, "num_heads": 2, "num_encoder_layers": 1, "num_decoder_layers": 1,
  "hidden_dropout": 0.1, "attention_dropout": 0.1, "relu_dropout": 0.1, "max_position_embeddings": 9,
  "label_smoothing": 0.1}).encode()


@pytest.fixture
def importer(monkeypatch, load, tmp_path):
  """Returns a function that imports from a folder into a workdir, after writing some of the three files."""
  monkeypatch.setattr(original, "load", lambda model, read: None)

  def run(folder, workdir, vocab=b"a 9\nb 8\nc 7\n", sizes=SIZES):
    folder.mkdir(exist_ok=True)
    scope = {"Trasnformer/v": tf.Variable(1.0)}
    tf.raw_ops.SaveV2(prefix=str(tmp_path / "ckpt"), tensor_names=list(scope), shape_and_slices=[""],
                      tensors=list(scope.values()))
    for path in tmp_path.glob("ckpt.*"):
      path.rename(folder / path.name)
    for name, data in (("vocab", vocab), ("sizes.json", sizes)):
      if data == "a folder":
        (folder / name).mkdir()
      elif data is not None:
        (folder / name).write_bytes(data)
    load("import_nat_em")[1](f"--checkpoint={folder}/ckpt", f"--vocab={folder}/vocab", f"--workdir={workdir}",
                             f"--model_config={folder}/sizes.json")

  return run


@pytest.mark.parametrize("name", ["run[1] a*b?", "quo'te\" üml 日本", "-dash", "new/"])
def test_import_from_and_into_folders_of_any_name(importer, tmp_path, monkeypatch, capsys, name):
  monkeypatch.chdir(tmp_path)
  importer(tmp_path / name, f"runs/{name}")
  assert people.listed(tmp_path / "runs" / name) == ["config.json", "target.json", "vocab.txt", "weights.npz"]
  assert "Imported a model of family ar" in capsys.readouterr().out


@pytest.mark.parametrize("vocab, message", [
  (b"", ".*vocab gives 4 tokens with a count of 5 or more, the model has 7"),
  (b"\n", ".*vocab:1: expected a token, a space and its count; got ''"),
  (b"a 9\nb\n", ".*vocab:2: expected a token, a space and its count; got 'b'"),
  (b"a 9\nb 8\nc 7", None), (b"a 9\r\nb 8\r\nc 7\r\n", None), (b"\xef\xbb\xbfa 9\nb 8\n\0 7\n", None),
  (b"x" * 100_000 + b" 9\nb 8\n" + "日 7\n".encode(), None),
  (b"a 9\nb 8\nc 7\nd 6\n", ".*vocab gives 8 tokens .*, the model has 7; give the vocabulary"),
  (b"a 9\nsch\xf6n 8\n", r".*vocab, line 2: not UTF-8 \(byte 4 is 0xf6\)"),
  (people.BAD["UTF-16"][0], ".*vocab must be UTF-8, but is UTF-16; convert it"),
  (people.BAD["a cut archive"][0], ".*vocab is a broken .gz archive"),
  (None, "No file .*vocab; give as --vocab the file of the original program."), ("a folder", ".*vocab"),
])
def test_import_of_any_vocabulary(importer, tmp_path, vocab, message):
  if message is None:
    importer(tmp_path / "in", tmp_path / "run", vocab)
    assert len((tmp_path / "run/vocab.txt").read_text().split("\n")) == 8
    return
  line = people.refused(importer, tmp_path / "in", tmp_path / "run", vocab)
  assert re.match(f"import_nat_em: {message}", line), line
  assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("sizes, message", [
  (b"", ".*sizes.json is no JSON"), (b"\0", ".*sizes.json is no JSON"), (b"[]", ".*sizes.json lacks what belongs"),
  (b'{"vocab_size": 7}', ".*sizes.json has no 'hidden_size'; give the model_config.json that the training wrote"),
  (None, "No file .*sizes.json; give as --model_config"), ("a folder", ".*sizes.json"),
])
def test_import_of_any_sizes(importer, tmp_path, sizes, message):
  line = people.refused(importer, tmp_path / "in", tmp_path / "run", sizes=sizes)
  assert re.match(f"import_nat_em: {message}", line), line
  assert not (tmp_path / "run").exists()


def test_import_does_not_touch_a_run(importer, tmp_path):
  (tmp_path / "run").mkdir()
  (tmp_path / "run/weights.npz").write_text("precious")
  line = people.refused(importer, tmp_path / "in", tmp_path / "run")
  assert line == (f"import_nat_em: {tmp_path}/run already exists and is not an empty folder; remove it, or choose "
                  "another --workdir.")
  assert people.listed(tmp_path / "run") == ["weights.npz"] and (tmp_path / "run/weights.npz").read_text() == "precious"


@pytest.fixture
def latency(monkeypatch, load, tmp_path):
  monkeypatch.setattr(tf.config.threading, "set_intra_op_parallelism_threads", lambda _: None)
  return lambda *arguments: load("latency")[1](f"--workdir={tmp_path}/work", *arguments)


@pytest.mark.parametrize("kind", [*people.GOOD, *people.BAD, "nothing", "a folder"])
def test_latency_reads_any_text(latency, tmp_path, kind):
  data, message = people.BAD.get(kind, (None, "No file {}; give a text file"))
  if kind in people.GOOD:
    data = people.GOOD[kind].data
    message = "Nothing to compare" if any(people.GOOD[kind].words) else "Expected a sentence a line in --text, got none"
  if kind == "a folder":
    (tmp_path / "in").mkdir()
  elif data is not None:
    (tmp_path / "in").write_bytes(data)
  line = people.refused(latency, f"--text={tmp_path}/in")
  assert re.match("latency: " + message.format(re.escape(f"{tmp_path}/in")), line), line
  assert people.listed(tmp_path) == ["in"] * (data is not None)


@pytest.mark.parametrize("name", people.NAMES)
def test_latency_takes_systems_in_folders_of_any_name(latency, tmp_path, name):
  (tmp_path / name).mkdir()
  (tmp_path / name / "saved_model.pb").write_text("")
  (tmp_path / "text").write_text("a\n")
  line = people.refused(latency, f"--text={tmp_path}/text", f"--system={name}={tmp_path}/{name}/", "--baseline=x")
  assert line == f"latency: --baseline=x is not one of the systems: {name}."


def test_latency_twice_at_once_and_into_a_file(latency, tmp_path):
  (tmp_path / "work").mkdir()
  with holding.held(tmp_path / "work"):
    assert re.match("latency: .*work is in use by another process", people.refused(latency, "--text=x"))
  (tmp_path / "work").rmdir()
  (tmp_path / "work").write_text("precious")
  assert "work" in people.refused(latency, "--text=x") and (tmp_path / "work").read_text() == "precious"
