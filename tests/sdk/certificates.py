"""Certificates for tests, made by OpenSSL."""

import subprocess
from pathlib import Path

CONFIG = """
[req]
distinguished_name = name
[name]
[authority]
basicConstraints = critical, CA:TRUE
[leaf]
basicConstraints = critical, CA:FALSE
subjectAltName = DNS:localhost, IP:127.0.0.1
"""
KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """A certificate authority, with its files in a folder."""

    def __init__(self, folder, name="authority"):
        self._folder = Path(folder)
        self._config = self._folder / "openssl.cnf"
        self._config.write_text(CONFIG)
        self.cert, self._key = self._make(name, "authority")

    def issue(self, name):
        """The files of a certificate for this machine, and of its key."""
        return self._make(name, "leaf", "-CA", self.cert, "-CAkey", self._key)

    def _make(self, name, kind, *more):
        cert, key = self._folder / f"{name}.crt", self._folder / f"{name}.key"
        command = ["openssl", "req", "-x509", "-config", self._config, "-extensions", kind, *KEY]
        command += ["-subj", f"/CN={name}", "-days", "2", "-out", cert, "-keyout", key, *more]
        subprocess.run(command, check=True, capture_output=True)
        return cert, key
