"""URLs of the metadata database and of the broker: pure functions of names and passwords, right for any character."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote, urlencode, urlsplit

# What Airflow's providers use; SQLAlchemy 2.1 would take another driver for a scheme without one.
_DRIVERS = {"postgres": "postgresql+psycopg2", "postgresql": "postgresql+psycopg2", "mysql": "mysql+mysqldb"}
_ASYNC_DRIVERS = {"postgresql": "postgresql+asyncpg", "mysql": "mysql+aiomysql"}
# RDS and Aurora refuse connections in the clear; a database of this machine has no certificate.
_TLS = {"postgresql": {"sslmode": "require"}, "mysql": {"ssl_mode": "REQUIRED"}}


def kind(engine: str, url: str = "") -> str:
    """`postgresql` or `mysql`, of the output DatabaseEngine or, where the database is an existing one, of its URL."""
    name = urlsplit(url.strip()).scheme.partition("+")[0] if engine == "existing" else engine
    if name in ("postgres", "postgresql", "aurora-postgresql"):
        return "postgresql"
    if name == "mysql":
        return "mysql"
    raise ValueError(f"a database of kind `{name}` cannot keep Airflow's metadata: use Postgres or MySQL")


def database_uri(driver: str, user: str, password: str, host: str, port: str, name: str) -> str:
    """A SQLAlchemy URI that is right for any user, password and database name."""
    at = f"[{host}]" if ":" in host else host
    login = f"{quote(user, safe='')}:{quote(password, safe='')}"
    return f"{driver}://{login}@{at}:{port}/{quote(name, safe='')}"


def own_database(dialect: str, parts: tuple[str, str, str, str, str], *, tls: bool) -> str:
    """The URL of a database of the stack; `parts` are user, password, host, port and name."""
    query = dict(_TLS[dialect]) if tls else {}
    if dialect == "mysql":
        query["charset"] = "utf8mb4"
    text = urlencode(query)
    return database_uri(_DRIVERS[dialect], *parts) + (f"?{text}" if text else "")


def existing_database(url: str) -> str:
    """The URL of a secret as it is, but for the driver where it names none."""
    scheme, _, rest = url.strip().partition(":")
    return f"{_DRIVERS.get(scheme, scheme)}:{rest}"


def result_backend(url: str) -> str:
    """What Celery calls the same database."""
    return f"db+{url}"


def async_database(url: str) -> str:
    """The same database for Airflow's asynchronous engine, whose drivers know none of libpq's and MySQL's parameters.

    Airflow would only exchange the driver; asyncpg then dies of `sslmode`, on AWS only.
    """
    parts = urlsplit(url)
    dialect = parts.scheme.partition("+")[0]
    given = dict(parse_qsl(parts.query))
    query = {}
    if dialect == "postgresql" and "sslmode" in given:
        query["ssl"] = given["sslmode"]
    if dialect == "mysql" and "charset" in given:
        query["charset"] = given["charset"]
    bare = url.partition("?")[0].partition(":")[2]
    text = urlencode(query)
    return f"{_ASYNC_DRIVERS.get(dialect, parts.scheme)}:{bare}" + (f"?{text}" if text else "")


def cache_url(password: str, host: str, port: str, *, tls: bool) -> str:
    """The Valkey broker. Never cluster mode: Celery cannot use it, so there is a database number."""
    login = f":{quote(password, safe='')}@{host}:{port}/0"
    return f"rediss://{login}?ssl_cert_reqs=required" if tls else f"redis://{login}"
