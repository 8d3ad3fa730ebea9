"""Chooses the devices by one flag and the environment; they affect the result of a training by rounding only.

  --tpu=local          the TPU of this TPU VM           (TPUStrategy; pods are untried)
  --tpu=NAME           a TPU by its name or grpc://     (TPUStrategy)
  TF_CONFIG            several machines                 (MultiWorkerMirroredStrategy; workdir on a shared disk)
  several GPUs here    all of them                      (MirroredStrategy)
  else                 the only device
"""
import json
import os

import tensorflow as tf

# Errors of the other machines when one stops while they train together.
GONE = tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError, tf.errors.DeadlineExceededError


def build(tpu: str = "") -> tf.distribute.Strategy:
  """Returns the distribution strategy, in whose scope to make everything; call it before TensorFlow does anything else.

  Args:
    tpu: "local", the name or address of a TPU, or "" for none.

  Raises:
    ValueError: if TF_CONFIG cannot be parsed, or names several machines although `tpu` is given; if the TPU cannot be
      reached.
  """
  _, machines = machine()
  if tpu and machines > 1:
    raise ValueError("Expected --tpu or a TF_CONFIG of several workers; got both. A TPU needs no TF_CONFIG, unset it.")
  return tf.distribute.MultiWorkerMirroredStrategy() if machines > 1 else here(tpu)


def here(tpu: str = "") -> tf.distribute.Strategy:
  """Returns the strategy of the devices of this machine, whatever TF_CONFIG says; arguments and errors as `build`."""
  if tpu:
    return tf.distribute.TPUStrategy(_connected(tpu))
  if len(tf.config.list_logical_devices("GPU")) > 1:
    return tf.distribute.MirroredStrategy()
  return tf.distribute.get_strategy()


def machine() -> tuple[int, int]:
  """Returns (the number of this machine in TF_CONFIG, where 0 is the chief, how many there are); without it (0, 1).

  Raises:
    ValueError: if TF_CONFIG cannot be parsed, or names several machines and none of them as this one.
  """
  text = os.environ.get("TF_CONFIG", "")
  try:
    values = json.loads(text or "{}")
    cluster = values.get("cluster", {})
    tasks = [(kind, index) for kind in ("chief", "worker") for index in range(len(cluster.get(kind, [])))]
    if len(tasks) < 2:
      return 0, 1
    return tasks.index((values["task"]["type"], int(values["task"]["index"]))), len(tasks)
  except (ValueError, AttributeError, TypeError, LookupError) as error:
    raise ValueError(
      'TF_CONFIG must be like {"cluster": {"worker": ["host:port", ...]}, "task": {"type": "worker", "index": 0}}; '
      f"got {text!r}.") from error


def _connected(tpu):
  try:
    resolver = tf.distribute.cluster_resolver.TPUClusterResolver(tpu=tpu)
    if tpu != "local":
      tf.config.experimental_connect_to_cluster(resolver)
    tf.tpu.experimental.initialize_tpu_system(resolver)
  except (ValueError, RuntimeError, tf.errors.OpError) as error:
    first = str(error).strip().splitlines()[0]
    raise ValueError(
      f"No TPU {tpu!r} can be reached: {first} On a TPU VM give --tpu=local; `python bin/doctor.py` lists what is "
      "missing.") from error
  return resolver


def is_chief() -> bool:
  """Whether this process writes the run folder; of several machines only the first does."""
  resolver = getattr(tf.distribute.get_strategy(), "cluster_resolver", None)
  if resolver is None or not getattr(resolver, "task_type", None):
    return True
  return resolver.task_type == "chief" or (resolver.task_type == "worker" and not resolver.task_id
                                           and "chief" not in resolver.cluster_spec().jobs)


def any_replica(flag: bool, ask: bool = True) -> bool:
  """Returns whether `flag` is true on any machine. All machines must call this together, with the same `ask`.

  Args:
    flag: the flag of this machine.
    ask: False returns False on several machines without communication, which takes time; on one machine `flag` is
      returned.
  """
  strategy = tf.distribute.get_strategy()
  if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
    return flag
  if not ask:
    return False
  question = lambda: tf.distribute.get_replica_context().all_reduce("SUM", tf.constant(float(flag)))
  return float(strategy.experimental_local_results(strategy.run(question))[0]) > 0
