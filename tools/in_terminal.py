"""``python -m tools.in_terminal module words``: in the terminal at standard input."""

import fcntl
import os
import signal
import sys
import termios

if __name__ == "__main__":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # this process leads a session that has none yet
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.execv(sys.executable, [sys.executable, "-m", *sys.argv[1:]])  # noqa: S606
