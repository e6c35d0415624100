"""Worker process of a pool, started by the pool only: ``python -m walking_noise.runtime.worker_process FD``."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import signal
import sys
from logging.handlers import QueueHandler
from multiprocessing.connection import Connection
from typing import Any, cast

import torch

from walking_noise.errors import Stopped
from walking_noise.runtime.retry_by_bisection import run_pack
from walking_noise.runtime.run_context import Event, RunContext
from walking_noise.runtime.worker_pool import IDLE


def main(descriptor: int) -> None:
    """Run the packs that are received over the pipe, until it is closed."""
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)  # the parent handles them and closes the pipe
    torch.set_num_threads(1)
    connection = Connection(descriptor)
    logging.getLogger().addHandler(_PipeHandler(cast(Any, connection)))

    def after_batch() -> None:
        if connection.poll():
            raise Stopped("the parent has closed the pipe")

    def send(event: Event) -> None:
        try:
            connection.send(event)
        except OSError:
            raise Stopped("the parent has ended") from None

    try:
        context: RunContext = connection.recv()
        while True:
            connection.send(IDLE)
            pack, configs = connection.recv()
            for event in run_pack(dataclasses.replace(context, configs=configs), pack, send, after_batch):
                send(event)
    except (EOFError, ConnectionError, Stopped):
        return


class _PipeHandler(QueueHandler):
    """Sends log records to the parent, which logs them."""

    queue: Any  # the connection

    def enqueue(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):
            self.queue.send(record)


if __name__ == "__main__":
    main(int(sys.argv[1]))
