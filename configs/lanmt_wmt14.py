"""LaNMT with latents of the target on WMT14 en-de, with the sizes of Lee et al. (EMNLP 2020).

  python bin/train.py --config=configs/lanmt_wmt14.py --data_dir=data/wmt14_en_de --workdir=runs/lanmt_wmt14

On a teacher's translations. The phase "bound" is about an epoch without free KL. For the latents of the source of Shu
et al. (AAAI 2020) add --set=model.latent.axis=source --set=model.net.encoder_layers=6. Cost: 102,000 updates of 65,536
padded tokens. Not measured yet, as it needs an accelerator.

# Differs: the learning rate of the phase "bound" falls from 1e-4 to 0; the paper's stays.
"""
import dataclasses

from tf_nar import config
from tf_nar.layers import transformer
from tf_nar.models import lanmt
from tf_nar.ops import schedule

STEPS = 100_000


def get_config():
  net = dataclasses.replace(transformer.BASE, encoder_layers=5, norm="pre", positions="sine", epsilon=1e-6)
  return config.Experiment(
    family="lanmt",
    model=lanmt.Config(net, budget=schedule.Linear(1.0, 0.0, updates=STEPS // 2, delay=STEPS // 2)),
    search=lanmt.Search(),
    train=config.Train(
      steps=STEPS, tokens_per_batch=8_192, max_length=80, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(learning_rate=1.4e-3, warmup=4_000, clip_norm=0.0, accumulate=8),
    ),
    phases=(
      config.Phase("budget", start="warm_start"),
      config.Phase("bound", (
        "model.budget.start=0.0", "model.budget.delay=0", "train.steps=2_000", "train.seed=1",
        "train.validate_every=200", "train.optimizer.learning_rate=1e-4", "train.optimizer.schedule=cosine",
        "train.optimizer.warmup=100")),
    ),
  )
