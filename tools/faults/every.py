"""All faults, in the order of the table."""

from tools.faults.disks import DISKS
from tools.faults.files import FILES
from tools.faults.groups import GROUPS
from tools.faults.logging import LOGGING
from tools.faults.scene import Fault
from tools.faults.signals import SIGNALS
from tools.faults.training import TRAINING

ALL: list[Fault] = [*SIGNALS, *DISKS, *FILES, *GROUPS, *LOGGING, *TRAINING]
