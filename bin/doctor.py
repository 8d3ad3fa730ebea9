"""Says what is wrong with an installation, and the command that mends it.

tf_nar/cli/doctor.py has its flags and its work; installed, it is `tf-nar doctor`.
"""
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

from tf_nar.cli import doctor

if __name__ == "__main__":
  sys.exit(doctor.main())
