"""Runs a command that does not outlive who started it, however that ends.

    python leash.py REPORT PARENT WORD …

Whoever is killed with SIGKILL can't end what it has started, and a migration that goes on alone
changes a database of which everybody believes that nobody is at work on it. The kernel tells this
process of its parent's death, and it takes its whole process group along. It is a program of its
own, and not a function that is called between fork and exec: that is not safe beside other threads.

Why the command could not be started at all goes, as an error number, to the descriptor REPORT.
Linux only; nothing but the standard library.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Run the command and return its status; as a shell does, 128 more than a signal's number."""
    report, parent, argv = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
    signal.signal(signal.SIGTERM, lambda *_: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
    if os.getppid() != parent:
        # It has died before it could be watched.
        return 1
    # A Python that starts in no locale at all sets one: the command gets what it was given.
    environment = {name: value for name, value in os.environ.items() if name != "LC_CTYPE"}
    try:
        process = subprocess.Popen(argv, env=environment)
    except OSError as error:
        os.write(report, str(error.errno).encode())
        return 127
    os.close(report)
    status = process.wait()
    return status if status >= 0 else 128 - status


if __name__ == "__main__":
    sys.exit(main())
