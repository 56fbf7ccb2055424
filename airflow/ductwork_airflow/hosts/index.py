"""The package index of the project, which the stack's parameter PackageIndex names, and the login there.

Needed before the environment of requirements.lock exists, so the AWS CLI asks for both. The login reaches installers in
their environment only, and no file. Standard library only.
"""

from __future__ import annotations

import base64
import json
import os
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass, field

from ductwork_airflow.hosts import envfile
from ductwork_airflow.hosts.programs import command

PARAMETER = "PackageIndex"
ONLY = "--index-url"
ANSWER_SECONDS = 20
WORDS = 300  # CodeDeploy shows nothing of a hook whose last line is too long


def stack_parameters(host: dict[str, str]) -> dict[str, str]:
    """What CloudFormation says; stacks of earlier releases lack some."""
    answer = command(
        "aws", "cloudformation", "describe-stacks", "--stack-name", host["DUCTWORK_STACK"],
        "--region", host["AWS_REGION"], "--query", "Stacks[0].Parameters", "--output", "json",
    )  # fmt: skip
    return {entry["ParameterKey"]: entry["ParameterValue"] for entry in json.loads(answer) or []}


@dataclass(frozen=True)
class Index:
    """An index beside PyPI or, if `only`, in its place; without URL it is PyPI alone."""

    url: str = ""
    only: bool = False
    username: str = ""
    password: str = field(default="", repr=False)
    secret: str = ""  # where the login is, or would be
    unread: str = ""  # why it could not be read

    def for_uv(self) -> dict[str, str]:
        """The environment of uv. The index has a name there, by which uv finds the login."""
        if not self.url:
            return {}
        named = {"UV_DEFAULT_INDEX" if self.only else "UV_INDEX": f"ductwork={self.url}"}
        login = {"UV_INDEX_DUCTWORK_USERNAME": self.username, "UV_INDEX_DUCTWORK_PASSWORD": self.password}
        return named | (login if self.username else {})

    def for_pip(self) -> dict[str, str]:
        """The environment of pip, which installs nothing but uv and knows a login in the URL only."""
        if not self.only:
            return {}
        scheme, _, rest = self.url.partition("://")
        login = ":".join(urllib.parse.quote(text, safe="") for text in (self.username, self.password))
        return {
            "PIP_NO_INPUT": "1",
            "PIP_INDEX_URL": f"{scheme}://{login}@{rest}" if self.username else self.url,
        }

    def reason(self) -> str:
        """Why an installer has failed, as the index itself tells; empty if it is not known."""
        if not self.url:
            return ""
        # The login is not taken along to where an answer leads, not even from `/simple` to `/simple/`.
        request = urllib.request.Request(self.url.rstrip("/") + "/")  # noqa: S310
        if self.username:
            login = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
            request.add_unredirected_header("Authorization", f"Basic {login}")
        try:
            with urllib.request.urlopen(request, timeout=ANSWER_SECONDS):  # noqa: S310
                return f"the package index {self.url} answers; is the package on it?"
        except urllib.error.HTTPError as error:
            error.close()
            return self._refused(error.code)
        except OSError as error:
            return f"the package index {self.url} does not answer: {getattr(error, 'reason', error)}"

    def _refused(self, status: int) -> str:
        if status not in (401, 403):
            return f"the package index {self.url} answers with status {status}"
        who = f"refuses the login of `{self.username}`" if self.username else "wants a login"
        why = f"; {self.unread}" if self.unread else ""
        return (
            f"the package index {self.url} {who}{why}; store the right one as `{self.secret}`: "
            "cargo xtask secret set packages/index"
        )


def login(host: dict[str, str], secret: str) -> tuple[str, str]:
    """User and password of the secret. Its value is in no error."""
    answer = command(
        "aws", "secretsmanager", "get-secret-value", "--secret-id", secret,
        "--region", host["AWS_REGION"], "--query", "SecretString", "--output", "text",
    )  # fmt: skip
    try:
        value = json.loads(answer)
        return str(value["username"]), str(value["password"])
    except (ValueError, KeyError, TypeError):
        raise RuntimeError(f'`{secret}` is not of the form {{"username": "…", "password": "…"}}') from None


def of_host() -> Index:
    """The index that this host's stack names. A local cloud's hosts share the environments that the tool makes.

    A login that cannot be read is no error before the index asks for one.
    """
    if os.environ.get("DUCTWORK_INIT", "systemd") != "systemd":
        return Index()
    host = envfile.read_host()
    option, _, url = stack_parameters(host).get(PARAMETER, "").partition(" ")
    if not url:
        return Index()
    secret = f"ductwork/{host['DUCTWORK_ENVIRONMENT']}/packages/index"
    try:
        username, password = login(host, secret)
    except RuntimeError as error:
        return Index(url, option == ONLY, secret=secret, unread=" ".join(str(error).split())[:WORDS])
    return Index(url, option == ONLY, username, password, secret)
