#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Figures of the page and the API: bytes of the first view, the first live value, how long charts take to be drawn,
memory with viewers, requests per second, and whether the chips are read on time meanwhile. Prints; never passes or
fails.

    bench_page.py BINARY BUILD      BUILD: a folder with tests/bench/bench_page_history
"""

import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY, BUILD = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
os.environ["TEST_BINARY"] = str(BINARY)
sys.path.insert(0, str(ROOT / "tests/integration"))

import house  # noqa: E402
import web  # noqa: E402
from harness import Broker, Process, wait_for  # noqa: E402
from page import Browser  # noqa: E402

DEVICE = {"id": "house", "name": "House meter", "driver": "simulator", "interval": "1s",
          "channels": {"a": {"load": "household"}, "b": {"load": "solar"}}}


def resident_kb(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(next(line for line in text.splitlines() if line.startswith("VmRSS")).split()[1])


def first_view(client):
    with Browser() as browser:
        browser.driver.execute_cdp_cmd("Network.enable", {})
        browser.open(f"http://127.0.0.1:{client.port}/")
        browser.wait(lambda: browser.all("bl-channel .value")[0].text not in ("", "–"), "a value")
        entries = browser.script("return performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation'))"
                                 ".filter((e) => !e.name.includes('/api/')).map((e) => e.transferSize)")
        print(f"first view: {sum(entries) / 1000:.1f} kB in {len(entries)} files (compressed, with headers)")
    figures = []
    for _ in range(5):
        with Browser() as browser:
            browser.driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": """
              const timer = setInterval(() => {
                const value = document.querySelector('bl-channel .value')?.textContent;
                if (value && value !== '–') { window.firstValue = performance.now(); clearInterval(timer); }
              }, 5);"""})
            browser.open(f"http://127.0.0.1:{client.port}/")
            figures.append(browser.wait(lambda: browser.script("return window.firstValue"), "the value"))
    print(f"first live value: {sorted(figures)[2]:.0f} ms (median of {[round(f) for f in figures]})")


DRAW = """
const done = arguments[arguments.length - 1];
const [address, kind] = arguments;
const begun = performance.now();
fetch(address).then((r) => r.json()).then(async (rows) => {
  const loaded = performance.now();
  const {loadLibrary} = await import(new URL('parts/chart.js', document.baseURI));
  await loadLibrary();
  const chart = document.createElement('bl-chart');
  document.querySelector('main').replaceChildren(chart);
  const ready = performance.now();
  const times = rows.map((row) => [Date.parse(row.start), Date.parse(row.end)]);
  const range = {from: times[0][0], to: times.at(-1)[1], gaps: [], format: String};
  if (kind === 'bars') await chart.draw({...range, bars: [{name: 'a', color: 'series-1', column: 0, columns: 1,
    points: rows.map((row, i) => ({start: times[i][0], end: times[i][1], value: row.energy_kwh}))}]});
  else await chart.draw({...range, series: [{name: 'a', color: 'series-1', band: true,
    points: rows.map((row, i) => [times[i][0], row.power_min_w, row.power_mean_w, row.power_max_w])}]});
  requestAnimationFrame(() => requestAnimationFrame(() =>
    done([rows.length, loaded - begun, performance.now() - ready])));
}).catch((error) => done([String(error), 0, 0]));
"""


def charts(client):
    with Browser() as browser:
        browser.open(f"http://127.0.0.1:{client.port}/#/history")
        browser.find(".chart-canvas canvas")
        browser.driver.set_script_timeout(60)
        for what, kind, address in (
                ("a year by hour, bars", "bars", "api/v1/history/energy?device=house&channel=a&bucket=hour&from=2026-01-01&to=2027-01-01"),
                ("a year by hour, band", "band", "api/v1/history/power?device=house&channel=a&bucket=1h&from=2026-01-01&to=2027-01-01"),
                ("a day by second, band", "band", "api/v1/history/power?device=house&channel=a&bucket=1s&from=yesterday&to=today")):
            figures = [browser.driver.execute_async_script(DRAW, address, kind) for _ in range(3)]
            rows, loaded, drawn = sorted(figures, key=lambda figure: figure[2])[1]
            print(f"{what}: {rows} rows, query and transfer {loaded:.0f} ms, drawn in {drawn:.0f} ms")


def memory(client, process):
    time.sleep(3)
    idle = resident_kb(process.pid)
    raws = []
    for _ in range(50):
        raw = socket.create_connection(("127.0.0.1", client.port))
        raw.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{client.port}\r\n\r\n".encode())
        raws.append(raw)
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline:
        for raw in raws:
            raw.recv(65536)
    print(f"RSS: {idle} kB idle, {resident_kb(process.pid)} kB with 50 viewers")
    for raw in raws:
        raw.close()


PACED = 3000  # requests per second
YEAR = "/api/v1/history/power?device=house&channel=a&bucket=1h&from=2026-01-01&to=2027-01-01"


def lateness(folder, since_ms):
    """"99 of 100, the latest": by how many ms the chips were read later than each second."""
    stamps = [[row[0] for row in house.Stored(folder).rows(channel) if row[0] >= since_ms] for channel in "ab"]
    late = sorted(after - before - 1000 for list_ in stamps for before, after in zip(list_, list_[1:]))
    return f"{late[len(late) * 99 // 100]} ms (99 of 100), {late[-1]} ms at most, of {len(late)}" if late else "none"


def polls(client, folder, seconds=25):
    """How late the chips are read with nobody about, beside paced requests, and beside these and queries of a year."""
    program = ("import http.client,sys,time\n"
               "c=http.client.HTTPConnection('127.0.0.1',int(sys.argv[1]))\n"
               "n=0; begin=time.monotonic(); rate=float(sys.argv[3])\n"
               "while (now:=time.monotonic())-begin<float(sys.argv[2]):\n"
               "  if n>(now-begin)*rate: time.sleep(0.001); continue\n"
               "  c.request('GET',sys.argv[4]); c.getresponse().read(); n+=1\n"
               "print(n)")

    def run(rates):
        since = time.time() * 1000
        workers = [subprocess.Popen([sys.executable, "-c", program, str(client.port), str(seconds), str(rate), path], stdout=subprocess.PIPE)
                   for rate, path in rates]
        counts = [int(worker.communicate()[0]) for worker in workers]
        time.sleep(0 if counts else seconds)
        wait_for(lambda: house.Stored(folder).newest_ms() > since + (seconds - 3) * 1000, 20, "the commit")
        return counts, lateness(folder, since)

    states = [(PACED / 2, "/api/v1/state")] * 2
    print(f"polls late, idle: {run([])[1]}")
    counts, late = run(states)
    print(f"polls late beside {sum(counts) / seconds:.0f} requests per second on /api/v1/state: {late}")
    _, late = run([*states, (1, YEAR)])
    print(f"polls late beside these and a query of a year each second: {late}")


def load(client, seconds=8, connections=2):
    """Requests per second over kept connections, from processes of their own."""
    program = ("import http.client,sys,time\n"
               "c=http.client.HTTPConnection('127.0.0.1',int(sys.argv[1]))\n"
               "n=0; end=time.monotonic()+float(sys.argv[2])\n"
               "while time.monotonic()<end:\n"
               "  c.request('GET','/api/v1/state'); c.getresponse().read(); n+=1\n"
               "print(n)")
    workers = [subprocess.Popen([sys.executable, "-c", program, str(client.port), str(seconds)], stdout=subprocess.PIPE)
               for _ in range(connections)]
    return sum(int(worker.communicate()[0]) for worker in workers) / seconds


def main():
    with tempfile.TemporaryDirectory(prefix="bl2mqtt-bench-") as name:
        folder = pathlib.Path(name)
        (folder / "data").mkdir()
        subprocess.run([BUILD / "tests/bench/bench_page_history", folder / "data"], check=True)
        broker = Broker(folder)
        started = []

        def spawn(*args):
            started.append(Process([BINARY, *args]))
            return started[-1]

        try:
            client, process = web.start(folder, spawn, broker.url, [DEVICE])
            wait_for(lambda: client.json("/api/v1/state/house")["power_a"], 20, "a reading")
            first_view(client)
            charts(client)
            memory(client, process)
            polls(client, folder)
            rate = load(client)
            print(f"requests per second on /api/v1/state: {rate:.0f} (2 Python clients on the same machine)")
        finally:
            for process in started:
                process.stop()
            broker.stop()


main()
