"""One process of a job: `python -m src.app.processes.rank <frozen job>`; see group.py."""

import json
import os
import signal
import sys
import threading
from pathlib import Path

from src.app.processes.process import prepare_process
from src.core.preemption import preemptible
from src.core.redact import with_passwords


def main() -> None:
    """Read the job that the first argument names and do this process's part of it."""
    prepare_process()
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # until there is somebody to read an outcome
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # only now, because Ctrl-C during an import is not to show a traceback
    from src.app.processes.job import PASSWORDS, parse, restore_hydra
    from src.app.processes.outcome import EXIT, take_part

    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    job = parse(with_passwords(text, json.loads(os.environ.pop(PASSWORDS))))
    restore_hydra(job.hydra)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with preemptible():
        outcome = take_part(job, int(os.environ["RANK"]))
    sys.exit(EXIT[outcome.status])


def _end_with_parent() -> None:
    """Wait for the end of standard input, which comes when the starting process is gone."""
    while os.read(sys.stdin.fileno(), 1):  # unbuffered: a lock held here would disturb the exit
        continue
    os._exit(1)


if __name__ == "__main__":
    main()
