"""Makes a run of a TensorFlow 1 checkpoint of the original NAT-EM program, AR or NAR.

tf_nar/cli/import_nat_em.py has its flags and its work; installed, it is `tf-nar import_nat_em`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar import program
from tf_nar.cli import import_nat_em

if __name__ == "__main__":
  program.start(import_nat_em)
