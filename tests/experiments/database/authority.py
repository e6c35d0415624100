"""Certificate authority for tests, with a signed server certificate."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Authority:
    """The files of an authority and of a server at 127.0.0.1, created by ``openssl`` in ``folder``."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "authority.pem"

    @property
    def server_options(self) -> list[str]:
        """Options of secantusdb that enable TLS."""
        return ["--tls-cert-file", str(self.folder / "server.pem"), "--tls-key-file", str(self.folder / "server.key")]

    def make(self) -> Authority:
        new_key = ("-newkey", "rsa:2048", "-nodes")
        signed = ("-CA", "authority.pem", "-CAkey", "authority.key", "-CAcreateserial")
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        for command in (
            ("req", "-x509", *new_key, "-subj", "/CN=authority", "-keyout", "authority.key", "-out", "authority.pem"),
            ("req", *new_key, "-subj", "/CN=server", "-keyout", "server.key", "-out", "server.csr"),
            ("x509", "-req", *signed, "-days", "2", "-extfile", "names", "-in", "server.csr", "-out", "server.pem"),
        ):
            subprocess.run(["openssl", *command], cwd=self.folder, check=True, capture_output=True)
        return self
