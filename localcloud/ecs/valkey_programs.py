"""What a container of Valkey finds as its programs: `valkey_programs.py valkey-server PROGRAM …` and `… valkey-cli …`.

Standard library only, as each health check starts one.
"""

import json
import os
import socket
import sys
import urllib.request

PORT = 6379


def address() -> str:
    """Of the task, as its agent tells it."""
    with urllib.request.urlopen(os.environ["ECS_CONTAINER_METADATA_URI_V4"], timeout=5) as answer:  # noqa: S310
        return str(json.load(answer)["Networks"][0]["IPv4Addresses"][0])


def server(program: str, arguments: list[str]) -> None:
    """Becomes the server. A configuration that comes by standard input goes on that way, into no file."""
    if arguments[:1] != ["-"]:
        os.execv(program, ["valkey-server", *arguments, "--bind", address()])  # noqa: S606
    text = f"{sys.stdin.read()}\nbind {address()}\n"
    reading, writing = os.pipe()
    os.write(writing, text.encode())
    os.close(writing)
    os.dup2(reading, 0)
    os.execv(program, ["valkey-server", "-"])  # noqa: S606


def ask(connection: socket.socket, words: list[str]) -> str:
    """The first line of the answer to a command."""
    parts = [f"*{len(words)}", *(part for word in words for part in (f"${len(word.encode())}", word))]
    connection.sendall(("\r\n".join(parts) + "\r\n").encode())
    with connection.makefile("rb", buffering=0) as answer:
        return answer.readline().decode().strip()


def client(arguments: list[str]) -> int:
    """A command, with the password of the variable that valkey-cli reads; with `-e`, an error is a failure."""
    words = [word for word in arguments if word != "-e"]
    with socket.create_connection((address(), PORT), timeout=5) as connection:
        if os.environ.get("REDISCLI_AUTH"):
            told = ask(connection, ["AUTH", os.environ["REDISCLI_AUTH"]])
            if told.startswith("-"):
                sys.stderr.write(f"AUTH failed: {told[1:]}\n")
        told = ask(connection, words)
    sys.stdout.write(f"{told[1:]}\n")
    return 1 if told.startswith("-") and "-e" in arguments else 0


def main() -> int:
    """By the name of the program."""
    name, *arguments = sys.argv[1:]
    if name == "valkey-server":
        server(arguments[0], arguments[1:])
    try:
        return client(arguments)
    except OSError as error:
        sys.stderr.write(f"Could not connect to Valkey: {error}\n")
        return 1


if __name__ == "__main__":
    raise SystemExit(main())
