"""A score network over the latents of LaNMT on Multi30k en-de (lc.norm.tok, joint BPE of 10,000 merges).

  python bin/train.py --config=configs/lanmt_score_multi30k.py --data_dir=data/multi30k_en_de \\
      --workdir=runs/lanmt_score

The phases "budget" and "bound" train the model as configs/lanmt_multi30k.py does; "score" trains the network with that
model frozen. The kind of steps and their number are chosen on validation text. An energy network:
--set=phases.score.model.kind=energy. Cost: 4,320 updates of 4,096 padded tokens, 1,440 of them of the network. Measured
so on a teacher's translations, with --warm_start=multi30k_en_de/teacher: test BLEU 33.4 after one step, as by the
prior's mean, and 36.4 ranked by the teacher (docs/results.md).
"""
import dataclasses

from configs import lanmt_multi30k
from tf_nar import config
from tf_nar.models import lanmt_score


def get_config():
  latent = lanmt_multi30k.get_config()
  plain = dataclasses.replace(latent, phases=())
  before = tuple(dataclasses.replace(phase, experiment=plain) for phase in latent.phases)
  return config.Experiment(
    family="lanmt_score",
    model=lanmt_score.Config(latent.model.net, latent.model.latent),
    search=lanmt_score.Search(),
    train=latent.train,
    phases=(*before, config.Phase("score", frozen="bound")),
    sweep=("search.refine=none,delta,score", "search.steps=1,2"),
  )
