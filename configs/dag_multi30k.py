"""The DA-Transformer on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/dag_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/dag

Half of the paper's vertices, for a small machine; glancing fades within the run, as in the paper.
Measured: docs/results.md.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import dag
from tf_nar.ops import glancing


def get_config():
  return config.Experiment(
    family="dag",
    model=dag.Config(
      dataclasses.replace(transformer.TINY, dropout=0.2), upsample=4, glance=glancing.Glance(0.5, 0.1, updates=1_600)),
    search=dag.Search(method="lookahead"),
    train=config.Train(
      steps=2_400,
      tokens_per_batch=4_096,
      max_length=64,
      optimizer=config.Optimizer(learning_rate=0.0025, warmup=800),
      log_every=60,
      validate_every=120,  # About an epoch.
      patience=15,
      keep=10,
      average=10,
    ),
  )
