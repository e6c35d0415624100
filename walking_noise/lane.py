"""The process behind a lane: ``python -m walking_noise.lane FD``, started by :mod:`walking_noise.lanes` alone."""

from __future__ import annotations

import dataclasses
import signal
import sys
from multiprocessing.connection import Connection

import torch

from walking_noise.attempts import run_pack
from walking_noise.errors import Stopped
from walking_noise.job import Job
from walking_noise.lanes import IDLE


def main(descriptor: int) -> None:
    """Run the packs that come over the pipe, until it is closed."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1):  # what they mean is the parent's to decide
        signal.signal(signum, signal.SIG_IGN)
    torch.set_num_threads(1)
    connection = Connection(descriptor)

    def check() -> None:
        if connection.poll():
            raise Stopped("the parent has closed the pipe")

    try:
        job: Job = connection.recv()
        while True:
            connection.send(IDLE)
            members, configs = connection.recv()
            run_pack(dataclasses.replace(job, configs=configs), members, connection.send, check)
    except (EOFError, ConnectionError, Stopped):
        return


if __name__ == "__main__":
    main(int(sys.argv[1]))
