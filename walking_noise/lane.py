"""The process behind a lane: ``python -m walking_noise.lane FD``, started by :mod:`walking_noise.lanes` alone."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import sys
from multiprocessing.connection import Connection

import torch

from walking_noise.attempts import run_pack
from walking_noise.errors import Stopped
from walking_noise.job import Event, Job, Logged
from walking_noise.lanes import IDLE


def main(descriptor: int) -> None:
    """Run the packs that come over the pipe, until it is closed."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # what they mean is the parent's to decide
    torch.set_num_threads(1)
    connection = Connection(descriptor)
    logging.getLogger().addHandler(_ToParent(connection))

    def check() -> None:
        if connection.poll():
            raise Stopped("the parent has closed the pipe")

    def tell(event: Event) -> None:
        try:
            connection.send(event)
        except OSError:
            raise Stopped("the parent is gone") from None

    try:
        job: Job = connection.recv()
        while True:
            connection.send(IDLE)
            members, configs = connection.recv()
            for event in run_pack(dataclasses.replace(job, configs=configs), members, tell, check):
                tell(event)
    except (EOFError, ConnectionError, Stopped):
        return


class _ToParent(logging.Handler):
    """Lets the parent log what is logged here."""

    def __init__(self, connection: Connection) -> None:
        super().__init__()
        self._connection = connection

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self._connection.send(Logged(record.name, record.levelno, record.getMessage()))


if __name__ == "__main__":
    main(int(sys.argv[1]))
