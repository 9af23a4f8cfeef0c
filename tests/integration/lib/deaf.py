"""HTTP/2 by hand, for clients that no client library would be: idle by the thousand, or asking without ever reading."""

import contextlib
import socket
import struct

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, SETTINGS, WINDOW_UPDATE = 0, 1, 4, 8
END_STREAM, END_HEADERS = 1, 4
INITIAL_WINDOW = 4


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def header(name, value):
    """A literal of HPACK that is never indexed; names and values here are short."""
    assert len(name) < 127 and len(value) < 127
    return b"\x10" + bytes((len(name),)) + name + bytes((len(value),)) + value


def headers(method):
    fields = (
        (b":method", b"POST"),
        (b":scheme", b"http"),
        (b":path", method.encode()),
        (b":authority", b"test"),
        (b"content-type", b"application/grpc"),
        (b"te", b"trailers"),
    )
    return b"".join(header(*field) for field in fields)


def connect(port):
    connection = socket.create_connection(("127.0.0.1", port), timeout=10)
    return connection


class Idle:
    """Connections that are made and then say nothing."""

    def __init__(self, port, count):
        self.sockets, self.failed = [], 0
        for _ in range(count):
            try:
                connection = connect(port)
                connection.sendall(PREFACE + frame(SETTINGS, 0, 0))
                self.sockets.append(connection)
            except OSError:
                self.failed += 1

    def closed(self):
        """How many of them the service has closed."""
        count = 0
        for connection in self.sockets:
            connection.setblocking(False)
            try:
                while chunk := connection.recv(65536):
                    del chunk
                count += 1
            except BlockingIOError:
                pass
            except OSError:
                count += 1
        return count

    def close(self):
        for connection in self.sockets:
            with contextlib.suppress(OSError):
                connection.close()


class Deaf:
    """A connection whose calls give the service no window to answer into."""

    def __init__(self, port):
        self.socket = connect(port)
        self.stream = 1
        self.socket.sendall(PREFACE + frame(SETTINGS, 0, 0, struct.pack(">HI", INITIAL_WINDOW, 0)))

    def call(self, method, request, end=True):
        body = b"\0" + struct.pack(">I", len(request)) + request
        self.socket.sendall(
            frame(HEADERS, END_HEADERS, self.stream, headers(method))
            + frame(DATA, END_STREAM if end else 0, self.stream, body)
        )
        self.stream += 2
        return self.stream - 2

    def listen(self, stream, seconds):
        """Opens the window after all, and gives what comes within so long."""
        self.socket.sendall(frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", 1 << 24)))
        self.socket.settimeout(seconds)
        got = b""
        with contextlib.suppress(OSError):
            while chunk := self.socket.recv(65536):
                got += chunk
        return got

    def close(self):
        with contextlib.suppress(OSError):
            self.socket.close()
