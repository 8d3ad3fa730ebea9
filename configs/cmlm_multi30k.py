"""The conditional masked language model on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/cmlm_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/cmlm

Validation translates in 4 passes; bin/translate.py --set=search.passes=10 in as many as asked for.
Measured: docs/results.md.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import cmlm


def get_config():
  return config.Experiment(
    family="cmlm",
    model=cmlm.Config(dataclasses.replace(transformer.TINY, dropout=0.2)),
    search=cmlm.Search(passes=4, lengths=3),
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
