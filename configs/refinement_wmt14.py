"""Deterministic refinement on WMT14 en-de; sizes and schedule as configs/nat_em_wmt14.py.

  python bin/train.py --config=configs/refinement_wmt14.py --data_dir=data/wmt14_en_de \\
      --workdir=runs/refinement_wmt14

Not measured yet, as it needs an accelerator. The paper trains on a teacher's translations; see bin/em.py.
"""
from configs import nat_em_wmt14
from tf_nar import config
from tf_nar.models import refinement


def get_config():
  student = nat_em_wmt14.get_config()
  return config.Experiment(
    family="refinement",
    model=refinement.Config(student.model.net),
    search=refinement.Search(passes=10, stop="same"),
    train=student.train,
  )
