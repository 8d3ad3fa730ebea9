"""JANUS on WMT16 en-ro, with the settings of its program's script for this text.

  python bin/train.py --config=configs/janus_wmt16.py --data_dir=data/wmt16_en_ro --workdir=runs/janus_wmt16

An update is 32,768 tokens; for memory see configs/janus_wmt14.py. Not measured yet, as it needs an accelerator.
"""
from configs import janus_wmt14
from tf_nar import config


def get_config():
  return config.override(
    janus_wmt14.get_config(), "model.net.dropout=0.3", "train.optimizer.accumulate=16")
