"""The AR teacher on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/ar_multi30k.py --data_dir=data/multi30k_en_de --workdir=runs/teacher

The published recipe for a text-only Transformer of this size (Wu et al., ACL 2021: 41.02 BLEU, tokenised, test_2016,
beam 5): 8,192 tokens per update, 8,000 updates, warm-up 2,000, peak learning rate 0.005, dropout 0.3, average of the
last 10 checkpoints. Measured with the mean of ten checkpoints of some weights alone: BLEU 40.2 by the published search,
and 41.0 after 1,500 updates more with the mean of all (docs/results/em.md).
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import ar


def get_config():
  return config.Experiment(
    family="ar",
    model=ar.Config(transformer.TINY),
    search=ar.Search(beam=1, extra_length=20),  # Used in validation; evaluate with --set=search.beam=5.
    train=config.Train(
      steps=8_000,
      tokens_per_batch=8_192,
      max_length=64,
      optimizer=config.Optimizer(learning_rate=0.005, warmup=2_000),
      log_every=50,
      validate_every=100,  # About an epoch and a half.
      keep=10,
      average=10,
    ),
  )
