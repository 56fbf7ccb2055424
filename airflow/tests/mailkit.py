"""A mail server of this machine: takes one user and password, and keeps what it is given."""

from __future__ import annotations

import asyncio
import base64
import threading
from dataclasses import dataclass, field


@dataclass
class Mail:
    """One message as it came."""

    sender: str
    recipients: list[str] = field(default_factory=list)
    text: str = ""
    user: str | None = None


class Server:
    """SMTP with AUTH PLAIN and LOGIN, without TLS."""

    def __init__(self, user: str, password: str) -> None:
        self.login = (user, password)
        self.mails: list[Mail] = []
        self.port = 0
        ready = threading.Event()
        self._loop = asyncio.new_event_loop()

        async def serve() -> None:
            server = await asyncio.start_server(self._talk, "127.0.0.1", 0)
            self.port = server.sockets[0].getsockname()[1]
            ready.set()

        self._loop.create_task(serve())
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        assert ready.wait(120)

    def close(self) -> None:
        """No more mail."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        user, mail = None, Mail("")

        def say(text: str) -> None:
            writer.write(f"{text}\r\n".encode())

        say("220 test")
        while line := (await reader.readline()).decode():
            verb, _, rest = line.strip().partition(" ")
            match verb.upper():
                case "EHLO" | "HELO":
                    say("250-test")
                    say("250 AUTH PLAIN LOGIN")
                case "AUTH":
                    user = await self._authenticate(rest, reader, say)
                    say("235 yes" if user else "535 no")
                case "MAIL":
                    mail = Mail(rest, user=user)
                    say("250 ok" if user else "530 who are you")
                case "RCPT":
                    mail.recipients.append(rest)
                    say("250 ok")
                case "DATA":
                    say("354 go on")
                    mail.text = (await reader.readuntil(b"\r\n.\r\n")).decode()
                    self.mails.append(mail)
                    say("250 ok")
                case "QUIT":
                    say("221 bye")
                    break
                case _:
                    say("250 ok")
        writer.close()

    async def _authenticate(self, rest: str, reader: asyncio.StreamReader, say) -> str | None:
        kind, _, first = rest.partition(" ")
        if kind.upper() == "PLAIN":
            _, user, password = base64.b64decode(first).decode().split("\0")
        else:
            if not first:
                say("334 VXNlcm5hbWU6")
                first = (await reader.readline()).decode()
            say("334 UGFzc3dvcmQ6")
            user, password = (
                base64.b64decode(word).decode() for word in (first, (await reader.readline()).decode())
            )
        return user if (user, password) == self.login else None
