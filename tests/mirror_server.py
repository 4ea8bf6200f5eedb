"""A local server that does all that servers do to a download, and what an interrupted download leaves."""

import hashlib
import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from progress import PATIENCE
from segrepro.config.data import Patience
from segrepro.data.partials import Partial

CONTENT = bytes(i * i % 251 for i in range(40_000))
OTHER = CONTENT[::-1]
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()
QUICK = Patience(attempts=3)
PAGE = b"\n<!DOCTYPE html><html><body>Please log in</body></html>" + b" " * 50_000


class MirrorServer(ThreadingHTTPServer):
    """Serves `content` at any path; the list `faults` says what goes wrong with the requests to come.

    A fault is a dict: status (answer that and nothing else), cut (close after so many bytes of the body),
    silence or drip (then stop sending, or send a byte now and then), headers (added or, if None, left out).
    """

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.content = CONTENT
        self.etag = '"one"'
        self.last_modified = None
        self.ranges = True
        self.honours_if_range = True
        self.faults = []
        self.requests = []
        self.released = threading.Event()

    def url(self, path="archive.tar"):
        return f"http://127.0.0.1:{self.server_address[1]}/{path}"

    @property
    def asked_ranges(self):
        return [request["Range"] for request in self.requests]


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *args):
        pass

    def do_GET(self):
        server = self.server
        server.requests.append(self.headers)
        if self.path == "/moved.tar":
            self.send_response(302)
            self.send_header("Location", "/archive.tar")
            self.end_headers()
            return
        fault = server.faults.pop(0) if server.faults else {}
        if "status" in fault:
            self.send_response(fault["status"])
            for name, value in fault.get("headers", {}).items():
                self.send_header(name, value)
            self.end_headers()
            return
        self._send(fault, *self._choose())

    def _choose(self):
        """Return status, first byte, body."""
        server, content = self.server, self.server.content
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        condition = self.headers.get("If-Range")
        unchanged = condition in (None, server.etag, server.last_modified) or not server.honours_if_range
        if not (server.ranges and asked and unchanged):
            return 200, 0, content
        first = int(asked[1])
        return (416, 0, b"") if first >= len(content) else (206, first, content[first:])

    def _send(self, fault, status, first, body):
        total = len(self.server.content)
        headers = {"ETag": self.server.etag, "Last-Modified": self.server.last_modified}
        headers |= {"Content-Type": "application/x-tar", "Content-Length": str(len(body))}
        if status == 206:
            headers["Content-Range"] = f"bytes {first}-{total - 1}/{total}"
        if status == 416:
            headers["Content-Range"] = f"bytes */{total}"
        headers |= fault.get("headers", {})
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name, value)
        self.end_headers()
        try:
            self.wfile.write(body[: fault.get("cut", len(body))])
            if fault.get("silence"):
                self.server.released.wait(PATIENCE)
            while fault.get("drip") and not self.server.released.wait(0.02):
                self.wfile.write(b"x")
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True


def leave_partial(out, content, **origin):
    """Leave what an interrupted run leaves."""
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = Partial(out)
    partial.path.write_bytes(content)
    partial._note.write_text(json.dumps({"urls": [], "etag": None, "last_modified": None, "total": None} | origin))


def files_beside(out):
    return sorted(path.name for path in out.parent.iterdir())
