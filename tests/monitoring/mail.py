"""A mail server on loopback: takes letters over TLS from whoever signs in, and keeps them."""

import base64
import email
import email.policy
import socketserver
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import EmailMessage
from typing import Any, cast

from typing_extensions import override

from tests.monitoring.far_end import FarEnd, Received

USER, PASSWORD, SENDER = "metachat", "post-secret-of-the-test", "chat@example.com"

_SIGN_IN = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()


@contextmanager
def mail_server(tls: ssl.SSLContext) -> Iterator[FarEnd]:
    """Run one; what it received has the recipient for its path, and the subject and the text for its body."""
    end = FarEnd(scheme="smtp")

    class Conversation(_Conversation):
        context, kept = tls, end

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Conversation) as server:
        server.daemon_threads = True
        end.port = server.server_address[1]
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield end
        server.shutdown()
        thread.join(5)


class _Conversation(socketserver.StreamRequestHandler):
    """As much SMTP as Alertmanager speaks: nothing is taken in the clear, or from a stranger."""

    context: ssl.SSLContext
    kept: FarEnd
    secure = known = False
    to = ""

    @override
    def handle(self) -> None:
        self._say("220 here")
        while line := self.rfile.readline():
            word, _, rest = line.decode().strip().partition(" ")
            if word.upper() == "QUIT":
                self._say("221 bye")
                return
            self._say(self._answer(word.upper(), rest))
            if word.upper() == "STARTTLS":
                self._secure()

    def _answer(self, word: str, rest: str) -> str:
        if word in ("EHLO", "HELO"):
            return "250-here\r\n250 " + ("AUTH PLAIN" if self.secure else "STARTTLS")
        if word == "STARTTLS":
            return "220 go on"
        if word == "AUTH":
            self.known = self.secure and rest == f"PLAIN {_SIGN_IN}"
            return "235 welcome" if self.known else "535 no"
        if not self.known:
            return "530 sign in first"
        if word == "RCPT":
            self.to = rest.partition("<")[2].partition(">")[0]
        if word == "DATA":
            self._say("354 go on")
            self._keep()
        return "250 fine"

    def _secure(self) -> None:
        self.connection = self.context.wrap_socket(self.connection, server_side=True)
        self.rfile = cast(Any, self.connection.makefile("rb"))
        self.secure = True

    def _keep(self) -> None:
        lines: list[bytes] = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        letter = email.message_from_bytes(b"".join(lines), EmailMessage, policy=email.policy.default)
        part = letter.get_body(("plain",))
        body = {"subject": str(letter["Subject"]), "text": part.get_content() if part else ""}
        with self.kept.news:
            self.kept.received.append(Received(time.time(), self.to, body))
            self.kept.news.notify_all()

    def _say(self, said: str) -> None:
        self.connection.sendall(f"{said}\r\n".encode())
