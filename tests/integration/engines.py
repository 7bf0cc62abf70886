# SPDX-License-Identifier: MIT
"""Time-series engines for the tests of sinks: real ones from Debian's packages, on free loopback ports, and
one that answers what a test wants."""

import gzip
import http.server
import json
import shutil
import signal
import threading
import urllib.error
import urllib.parse
import urllib.request

from harness import Process, free_port, wait_for


def ask(url, **query):
    with urllib.request.urlopen(f"{url}?{urllib.parse.urlencode(query)}", timeout=30) as answer:
        return answer.read()


class Engine:
    """A server that can be stopped, killed and started again with its data."""

    def __init__(self, folder):
        self.folder, self.port, self.process = folder / self.NAME, free_port(), None
        self.folder.mkdir()
        self.url = f"http://127.0.0.1:{self.port}"
        self.start()

    @classmethod
    def there(cls):
        return shutil.which(cls.PROGRAM) is not None

    def start(self):
        self.process = Process([self.PROGRAM, *self.arguments()])
        wait_for(self.answers, 20, f"{self.NAME} to listen")

    def answers(self):
        try:
            ask(f"{self.url}{self.PING}")
            return True
        except (OSError, urllib.error.URLError):
            return False

    def stop(self, number=signal.SIGTERM):
        if self.process is not None:
            self.process.stop(number)
            self.process = None


class Influx(Engine):
    NAME, PROGRAM, PING = "influx", "influxd", "/ping"
    config = {"url": "", "database": "my meters"}

    def __init__(self, folder):
        super().__init__(folder)
        self.query('CREATE DATABASE "my meters"')

    def arguments(self):
        path = self.folder / "influxdb.conf"
        path.write_text(f"""reporting-disabled = true
bind-address = "127.0.0.1:0"
[meta]
dir = "{self.folder}/meta"
[data]
dir = "{self.folder}/data"
wal-dir = "{self.folder}/wal"
[http]
bind-address = "127.0.0.1:{self.port}"
log-enabled = false
""")
        return ["run", "-config", path]

    def query(self, text):
        request = urllib.request.Request(f"{self.url}/query", data=urllib.parse.urlencode(
            {"q": text, "db": "my meters", "epoch": "ms"}).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["results"][0].get("series", [])

    def points(self, measurement="bl2mqtt"):
        """{channel: {stamp: {field: value}}}"""
        result = {}
        for series in self.query(f"SELECT * FROM {measurement} GROUP BY channel"):
            rows = result.setdefault(series["tags"]["channel"], {})
            for row in series["values"]:
                values = dict(zip(series["columns"], row))
                rows[values.pop("time")] = values
        return result

    def count(self):
        series = self.query("SELECT count(energy) FROM bl2mqtt")
        return series[0]["values"][0][1] if series else 0


class VictoriaMetrics(Engine):
    NAME, PROGRAM, PING = "victoria", "victoria-metrics", "/health"

    def arguments(self):
        return [f"-storageDataPath={self.folder}/data", f"-httpListenAddr=127.0.0.1:{self.port}",
                "-retentionPeriod=100y", "-dedup.minScrapeInterval=1ms", "-loggerLevel=ERROR"]

    def points(self, measurement="bl2mqtt"):
        ask(f"{self.url}/internal/force_flush")
        result = {}
        own = "(voltage|current|power|frequency|energy|energy_produced|coverage)(_min|_mean|_max)?"
        match = f'{{__name__=~"{measurement}_{own}"}}'
        for line in ask(f"{self.url}/api/v1/export", **{"match[]": match}).splitlines():
            series = json.loads(line)
            field = series["metric"]["__name__"].removeprefix(f"{measurement}_")
            rows = result.setdefault(series["metric"]["channel"], {})
            assert len(set(series["timestamps"])) == len(series["timestamps"]), "a reading came twice"
            for stamp, value in zip(series["timestamps"], series["values"]):
                rows.setdefault(stamp, {})[field] = value
        return result

    def count(self):
        return sum(len(rows) for rows in self.points().values())

    def forget(self, measurement):
        """All of its series; what comes later makes new ones."""
        ask(f"{self.url}/api/v1/admin/tsdb/delete_series", **{"match[]": f'{{__name__=~"{measurement}_.*"}}'})


class Pretender:
    """Answers every write with what `judge(lines)` returns: (status, body) or (status, body, headers)."""

    def __init__(self):
        self.judge = lambda lines: (204, b"")
        self.requests = []  # (path, headers, lines)
        pretender = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                assert body.endswith(b"\n")
                lines = body.decode().splitlines()
                pretender.requests.append((self.path, dict(self.headers), lines))
                status, text, *headers = pretender.judge(lines)
                self.send_response(status)
                for name, value in (headers[0] if headers else {}).items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def log_message(self, *_):
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self):
        self.server.shutdown()
        self.server.server_close()
