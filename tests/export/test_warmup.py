"""The warm-up requests, parsed by the protobuf messages that TensorFlow Serving declares."""
import pytest
import tensorflow as tf
from google.protobuf import descriptor_pb2
from google.protobuf import descriptor_pool
from google.protobuf import message_factory
from tensorflow.core.framework import tensor_pb2

from tests.export import tiny
from tf_nar.export import warmup

BYTES, STRING, MESSAGE = 12, 9, 11  # Types of fields.


def message(name, *fields):
  """Declares a message of optional fields: (name, number, kind, or the name of a message)."""
  declared = descriptor_pb2.DescriptorProto(name=name)
  for field, number, kind in fields:
    of = dict(type=MESSAGE, type_name=f".warm.{kind}") if isinstance(kind, str) else dict(type=kind)
    declared.field.add(name=field, number=number, label=3 if field == "inputs" else 1, **of)
  return declared


@pytest.fixture(scope="module")
def prediction_log():
  """The class PredictionLog; a map is a list of keys and values, as on the wire."""
  file = descriptor_pb2.FileDescriptorProto(name="warm.proto", package="warm", syntax="proto3", message_type=[
    message("ModelSpec", ("name", 1, STRING), ("signature_name", 3, STRING)),
    message("Input", ("key", 1, STRING), ("value", 2, BYTES)),
    message("PredictRequest", ("model_spec", 1, "ModelSpec"), ("inputs", 2, "Input")),
    message("PredictLog", ("request", 1, "PredictRequest")),
    message("PredictionLog", ("predict_log", 6, "PredictLog"))])
  pool = descriptor_pool.DescriptorPool()
  pool.Add(file)
  return message_factory.GetMessageClass(pool.FindMessageTypeByName("warm.PredictionLog"))


def test_requests_are_read_back(tmp_path, prediction_log):
  lines = ["a house " * 40, "tower"]  # The length of the first does not fit into one byte.
  warmup.write(str(tmp_path), {"translate": [("text", tf.string)], "translate_ids": [("ids", tf.int32)]}, lines)
  found = []
  for record in tf.data.TFRecordDataset(str(tmp_path / warmup.FILE)).as_numpy_iterator():
    request = prediction_log.FromString(record).predict_log.request
    (given,) = request.inputs
    value = tf.make_ndarray(tensor_pb2.TensorProto.FromString(given.value))
    found.append((request.model_spec.signature_name, given.key, value.tolist()))
  assert found[0] == ("translate", "text", [lines[0].encode()]) and found[2][2] == [b"tower"]
  assert found[1][:2] == ("translate_ids", "ids") and [len(found[i][2][0]) for i in (1, 3)] == [81, 2]


def test_lengths_double_up_to_the_longest():
  assert warmup.buckets(256) == [8, 16, 32, 64, 128, 256]
  assert warmup.buckets(100) == [8, 16, 32, 64, 100] and warmup.buckets(5) == [5]


@pytest.mark.parametrize("kind", tiny.VOCABULARIES)
def test_texts_are_about_as_long_as_asked(kind):
  vocab, lengths = tiny.VOCABULARIES[kind](), [1, 8, 12, 40]
  counts = [len(vocab.encode(line)) + 1 for line in warmup.texts(vocab, lengths)]
  assert all(length // 2 <= count <= length for count, length in zip(counts, lengths, strict=True)), counts
