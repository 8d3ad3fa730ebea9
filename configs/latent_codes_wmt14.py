"""The Latent Transformer on WMT14 en-de: base size and 4,096 codes by soft EM, as Roy et al., in two phases.

  python bin/train.py --config=configs/latent_codes_wmt14.py --data_dir=data/wmt14_en_de \\
      --workdir=runs/latent_codes_wmt14

The phases are those of configs/latent_codes_multi30k.py, which also lists the variants. Cost: 185,000 updates of 40,960
padded tokens. Not measured yet, as it needs an accelerator. The papers train on a teacher's translations too; see
bin/em.py.
"""
from tf_nar import config
from tf_nar.layers import quantizer
from tf_nar.layers import transformer
from tf_nar.models import latent_codes
from tf_nar.ops import schedule

PHASES = (
  config.Phase("codes", start="warm_start"),
  config.Phase("settled", ("model.settled=True", "train.seed=1", "train.steps=60_000")),
)


def get_config():
  return config.Experiment(
    family="latent_codes",
    model=latent_codes.Config(
      transformer.BASE, quantizer.Config(
        codes=4_096, samples=10, decay=0.999, temperature=schedule.Linear(1.2, 0.2, 125_000))),
    search=latent_codes.Search(),
    train=config.Train(
      steps=125_000, tokens_per_batch=5_120, max_length=250, validate_every=2_000, keep=5,
      optimizer=config.Optimizer(learning_rate=5e-4, warmup=10_000, cooldown=20_000, accumulate=8),
    ),
    phases=PHASES,
    sweep=("search.beam=1,4", "search.odd=False,True"),
  )
