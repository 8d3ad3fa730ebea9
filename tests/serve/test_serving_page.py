"""The programs in docs/serving.md work as described. A few lines stand in for TensorFlow Serving."""
import concurrent.futures
import http.server
import importlib.util
import json
import pathlib
import re
import threading

import pytest
import tensorflow as tf

from tests.serve import planted
from tests.serve import test_loaded

PAGE = (pathlib.Path(__file__).parents[2] / "docs/serving.md").read_text()


def program(mark):
  """Returns the one Python block of the page that has `mark`."""
  [found] = [block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if mark in block]
  return found


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
  folder = tmp_path_factory.mktemp("served") / "1"
  return test_loaded.save(folder, *test_loaded.loaded.OFFERS, facts={})


@pytest.fixture(scope="module")
def signatures(folder):
  module = tf.saved_model.load(folder)
  yield {**module.signatures, "serving_default": module.signatures["translate"]}


def test_a_client_of_ours(capsys):
  with planted.served(planted.Model()) as url:
    exec(program("127.0.0.1:8000").replace("http://127.0.0.1:8000", url), {})
  assert capsys.readouterr().out == "TWO DOGS RUN .\n"


def test_a_rest_client_of_tensorflow_serving(signatures, capsys):
  class Handler(http.server.BaseHTTPRequestHandler):
    """Answers `inputs` in columnar format, as in TensorFlow Serving's manual."""

    def do_POST(self):
      asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
      inputs = {name: tf.constant(value) for name, value in asked["inputs"].items()}
      found = signatures[asked["signature_name"]](**inputs)
      plain = {name: tf.nest.map_structure(lambda each: each.decode() if isinstance(each, bytes) else each,
                                           value.numpy().tolist()) for name, value in found.items()}
      self.send_response(200 if self.path == "/v1/models/translator:predict" else 404)
      self.end_headers()
      self.wfile.write(json.dumps({"outputs": plain}).encode())

    def log_message(self, *_):
      pass

  with http.server.HTTPServer(("127.0.0.1", 0), Handler) as server:
    threading.Thread(target=server.serve_forever, daemon=True).start()
    exec(program("127.0.0.1:8501").replace("8501", str(server.server_port)), {})
    server.shutdown()
  assert capsys.readouterr().out == "['TWO DOGS RUN .', 'A MAN SLEEPS .'] [-14.0, -14.0]\n"


@pytest.mark.skipif(not importlib.util.find_spec("tensorflow_serving"),
                    reason="tensorflow_serving is missing: pip install --no-deps tensorflow-serving-api==2.20.0.")
def test_a_grpc_client_of_tensorflow_serving(signatures, capsys):
  import grpc
  from tensorflow_serving.apis import predict_pb2
  from tensorflow_serving.apis import prediction_service_pb2_grpc

  class Service(prediction_service_pb2_grpc.PredictionServiceServicer):
    def Predict(self, request, context):
      assert request.model_spec.name == "translator"
      inputs = {name: tf.constant(tf.make_ndarray(value)) for name, value in request.inputs.items()}
      answer = predict_pb2.PredictResponse()
      for name, value in signatures[request.model_spec.signature_name](**inputs).items():
        answer.outputs[name].CopyFrom(tf.make_tensor_proto(value))
      return answer

  server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
  prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(Service(), server)
  port = server.add_insecure_port("127.0.0.1:0")
  server.start()
  exec(program("127.0.0.1:8500").replace("8500", str(port)), {})
  server.stop(None).wait()
  assert capsys.readouterr().out == "['TWO DOGS RUN .', 'A MAN SLEEPS .']\n"
