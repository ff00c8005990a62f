"""All faults, in the order of the table."""

from tests.support.faults.disks import DISKS
from tests.support.faults.files import FILES
from tests.support.faults.groups import GROUPS
from tests.support.faults.logging import LOGGING
from tests.support.faults.scene import Fault
from tests.support.faults.signals import SIGNALS
from tests.support.faults.training import TRAINING

ALL: list[Fault] = [*SIGNALS, *DISKS, *FILES, *GROUPS, *LOGGING, *TRAINING]
