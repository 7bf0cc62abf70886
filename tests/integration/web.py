# SPDX-License-Identifier: MIT
"""The HTTP API as a client sees it, and a service that has it."""

import contextlib
import http.client
import json
import socket
import urllib.parse

import house
from harness import free_port, wait_for, write_config


class Client:
    """get, post and so on against one service; each answer is (status, headers, body as bytes)."""

    def __init__(self, port, host="127.0.0.1", base=""):
        self.port = port
        self.host = host
        self.base = base

    def ask(self, method, path, body=None, headers=None, timeout=20):
        connection = http.client.HTTPConnection(self.host, self.port, timeout=timeout)
        try:
            connection.request(method, self.base + path, body, headers or {})
            response = connection.getresponse()
            return response.status, {k.lower(): v for k, v in response.getheaders()}, response.read()
        finally:
            connection.close()

    def get(self, path, headers=None, **parameters):
        query = f"?{urllib.parse.urlencode(parameters)}" if parameters else ""
        return self.ask("GET", path + query, headers=headers)

    def json(self, path, headers=None, **parameters):
        status, _, body = self.get(path, headers, **parameters)
        assert status == 200, (path, status, body[:500])
        return json.loads(body)

    def post(self, path, body=None, headers=None):
        payload = body if isinstance(body, (bytes, str, type(None))) else json.dumps(body)
        return self.ask("POST", path, payload, headers)

    def request(self, name, body=None):
        status, _, answer = self.post(f"/api/v1/request/{name}", body if body is not None else {})
        return status, json.loads(answer)

    def answers(self):
        try:
            return self.get("/api/v1/session")[0] == 200
        except OSError:
            return False

    @contextlib.contextmanager
    def stream(self, query="", headers=None):
        """Yields next(timeout): the next (event, data) of the stream."""
        raw = socket.create_connection((self.host, self.port), timeout=10)
        lines = f"GET {self.base}/api/v1/stream{query} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
        raw.sendall((lines + "".join(f"{k}: {v}\r\n" for k, v in (headers or {}).items()) + "\r\n").encode())
        response = http.client.HTTPResponse(raw)
        response.begin()
        assert response.status == 200, response.read()

        def following(timeout=10):
            raw.settimeout(timeout)
            event, data = None, None
            while True:
                line = response.fp.readline() if not response.chunked else response.readline()
                if not line:
                    raise EOFError
                line = line.decode().rstrip("\n")
                if line.startswith("event: "):
                    event = line[7:]
                elif line.startswith("data: "):
                    data = line[6:]
                elif not line and event is not None:
                    return event, json.loads(data)

        try:
            yield following
        finally:
            raw.close()


def start(folder, spawn, broker_url, devices=None, web=None, **sections):
    """A running service with the page; returns (client, process)."""
    port = free_port()
    settings = {"listen": f"127.0.0.1:{port}", **(web or {})}
    devices = [house.house(folder)] if devices is None else devices
    path = write_config(folder, broker_url, devices, web=settings, **sections)
    process = spawn("--config", path, "run")
    client = Client(port, base=settings.get("base_path", ""))
    wait_for(client.answers, 20, "the web server to answer")
    return client, process
