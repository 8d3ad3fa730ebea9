"""The NAR student on WMT14 en-de, the base model of the original program.

The settings are those of its launch scripts: about 1,280 sentences per update, in eight micro-batches.

  python bin/train.py --config=configs/nat_em_wmt14.py --data_dir=data/wmt14_en_de \\
      --workdir=runs/nat_em_wmt14

Not measured yet, as it needs an accelerator.
"""
from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import nat_em


def get_config():
  return config.Experiment(
    family="nat_em",
    model=nat_em.Config(transformer.BASE),
    search=nat_em.Search(odd=True, alpha=0.6),
    train=config.Train(
      steps=125_000, tokens_per_batch=5_120, max_length=250, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(
        learning_rate=0.05, warmup=4_000, schedule="nat_em", bias_correction=False, weight_decay=1e-4,
        accumulate=8),
    ),
  )
