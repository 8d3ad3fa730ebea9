"""CTC on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/ctc_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/ctc

Two places a source token are too few for 2 of the 28,998 training pairs, and for no validation pair.
Measured: docs/results.md.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ctc


def get_config():
  return config.Experiment(
    family="ctc",
    model=ctc.Config(dataclasses.replace(transformer.TINY, dropout=0.2)),
    search=ctc.Search(),
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
