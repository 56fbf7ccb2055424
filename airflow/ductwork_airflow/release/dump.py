"""Saves the database in the artifact bucket before a migration, where RDS makes no snapshot of it; and brings it back.

`python -m ductwork_airflow.release.dump restore KEY` is for people: it replaces everything in the database. The
password goes to the programs of Postgres by their environment, never by an argument.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from ductwork_airflow.hosts import database, envfile
from ductwork_airflow.release import told

log = logging.getLogger("ductwork.dump")


# What a schema has, tables first.
THERE = """
select 'table', tablename from pg_tables where schemaname = current_schema()
union all select 'sequence', sequencename from pg_sequences where schemaname = current_schema()
"""


class DumpError(RuntimeError):
    """The database cannot be saved, or not be brought back."""


def program(name: str) -> str:
    """`pg_dump`, `pg_restore` or `psql`."""
    if found := shutil.which(name):
        return found
    raise DumpError(
        f"`{name}` is not installed here, so the database cannot be saved before its migration; add PostgreSQL's client"
        " to `packages` in the environment file, or to the image, then deploy again"
    )


def connection_of(url: str) -> dict[str, str]:
    """A database as libpq's own variables."""
    from sqlalchemy import make_url

    parts = make_url(url)
    values = {
        "PGHOST": parts.host,
        "PGPORT": parts.port,
        "PGUSER": parts.username,
        "PGPASSWORD": parts.password,
    }
    named = values | {"PGDATABASE": parts.database, "PGSSLMODE": parts.query.get("sslmode")}
    named |= {"PGSSLROOTCERT": parts.query.get("sslrootcert")}
    return {name: str(value) for name, value in named.items() if value}


def run(name: str, *words: str, url: str) -> None:
    """A program of Postgres; DumpError with its last words if it fails."""
    env = {"PATH": os.environ.get("PATH", ""), "LANG": "C.UTF-8"} | connection_of(url)
    done = subprocess.run([program(name), *words], env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DumpError(f"{name} ended with {done.returncode}: {done.stderr.strip()[-2000:]}")


def save(env: Mapping[str, str], url: str, key: str) -> None:
    """Dumps the database to the key, encrypted as the bucket is."""
    if not url.startswith("postgresql"):
        log.warning(
            "an existing MySQL database is not saved before its migration; restore it from your own backups"
        )
        return
    with tempfile.TemporaryDirectory(prefix="ductwork-dump-") as folder:
        file = Path(folder, "dump")
        run("pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={file}", url=url)
        told.client().upload_file(str(file), env["DUCTWORK_ARTIFACT_BUCKET"], key)
        log.info(
            "database saved as s3://%s/%s, %d bytes",
            env["DUCTWORK_ARTIFACT_BUCKET"],
            key,
            file.stat().st_size,
        )


def restore(env: Mapping[str, str], url: str, key: str) -> None:
    """The database as it was; everything since is lost. In one transaction: it is as before if anything fails."""
    with tempfile.TemporaryDirectory(prefix="ductwork-dump-") as folder:
        file = Path(folder, "dump")
        told.client().download_file(env["DUCTWORK_ARTIFACT_BUCKET"], key, str(file))
        with database.open_url(url) as connection, database.taking_turns(connection, "migrate"):
            # Tables of a newer Airflow are in no dump of an older one; not every sequence goes with a table.
            drops = [
                f'drop {kind} if exists "{name}" cascade;\n'
                for kind, name in database.rows(connection, THERE)
            ]
            before, made = Path(folder, "before.sql"), Path(folder, "made.sql")
            before.write_text("".join(["set client_min_messages = warning;\n", *drops]))
            run("pg_restore", "--no-owner", "--no-privileges", f"--file={made}", str(file), url=url)
            run("psql", "--no-psqlrc", "--quiet", "--single-transaction", "--set=ON_ERROR_STOP=1",
                f"--file={before}", f"--file={made}", url=url)  # fmt: skip
    log.info("database restored from s3://%s/%s", env["DUCTWORK_ARTIFACT_BUCKET"], key)


def main() -> int:
    """The command line: `restore KEY`, with the settings and secrets of the environment around it."""
    envfile.log_to_stderr()
    if len(sys.argv) != 3 or sys.argv[1] != "restore":
        sys.stderr.write("usage: python -m ductwork_airflow.release.dump restore KEY\n")
        return 2
    try:
        restore(os.environ, os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"], sys.argv[2])
    except DumpError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
