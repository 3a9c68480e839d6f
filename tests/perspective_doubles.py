"""A stand-in for a Perspective service on 127.0.0.1 that misbehaves as it is told."""

import json
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from doubles import hash_value

KEY = "a-key-for-the-tests"


@dataclass
class Service:
    """What the server was asked, and what it does: ``behave(handler, number, request)``.

    ``arrived`` holds the times of all requests, ``asked`` how often each text came and
    ``answered`` how often it was given its score or the error that is its own.
    """

    behave: Callable[[Any, int, dict], bool]
    arrived: list[float] = field(default_factory=list)
    asked: Counter = field(default_factory=Counter)
    answered: Counter = field(default_factory=Counter)
    requests: list[dict] = field(default_factory=list)
    headers: list[dict] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    lock: Any = field(default_factory=threading.Lock)
    url: str = ""

    def busiest(self, seconds: float) -> int:
        """Return the most requests that arrived within ``seconds``."""
        times, start, most = sorted(self.arrived), 0, 0
        for end, last in enumerate(times):
            while last - times[start] >= seconds:
                start += 1
            most = max(most, end - start + 1)
        return most


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    service: Service

    def do_POST(self) -> None:
        arrived = time.monotonic()
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with self.service.lock:
            number = len(self.service.arrived)
            self.service.arrived.append(arrived)
            self.service.asked[request["comment"]["text"]] += 1
            self.service.requests.append(request)
            self.service.headers.append(dict(self.headers))
            self.service.paths.append(self.path)
        with suppress(BrokenPipeError, ConnectionResetError):
            if not self.service.behave(self, number, request):
                self.scores(request)

    def scores(self, request: dict) -> None:
        """Answer with the scores by hash of the text."""
        text = request["comment"]["text"]
        body = {
            "attributeScores": {
                name: {
                    "summaryScore": {"value": hash_value(f"{name} {text}"), "type": "PROBABILITY"}
                }
                for name in request["requestedAttributes"]
            },
            "languages": request["languages"],
        }
        self.answer(200, body)
        with self.service.lock:
            self.service.answered[text] += 1

    def error(self, request: dict, code: int, message: str, **detail: str) -> None:
        """Answer with an error as Google's APIs write them."""
        body = {"error": {"code": code, "message": message, "details": [detail]}}
        self.answer(code, body)
        if "errorType" in detail:
            with self.service.lock:
                self.service.answered[request["comment"]["text"]] += 1

    def answer(self, status: int, body: Any, **headers: str) -> None:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def drop(self) -> None:
        """Close the connection without a word."""
        self.close_connection = True
        self.connection.close()

    def log_message(self, *_: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        pass


@contextmanager
def served(behave: Callable[[Any, int, dict], bool] = lambda *_: False) -> Iterator[Service]:
    """Run a service; ``behave`` returns True where it has answered, or dropped, a request."""
    service = Service(behave)
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"service": service}))
    service.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
