#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Gives Home Assistant the hours of energy that it missed. Needs Debian's python3-websocket.

    HA_URL=ws://homeassistant.local:8123 HA_TOKEN=... homeassistant-backfill.py [--write] \\
        DEVICE CHANNEL [bl2mqtt history export options...]

HA_TOKEN is a long-lived token of an administrator (your profile, Security). Without --write it only prints
what would be imported. What Home Assistant has stays, and doing it again changes nothing."""

import json
import os
import subprocess
import sys
import tempfile

import websocket


class HomeAssistant:
    def __init__(self, url, token):
        self.socket = websocket.create_connection(url.rstrip("/") + "/api/websocket", timeout=60)
        self.number = 0
        self.socket.recv()
        self.socket.send(json.dumps({"type": "auth", "access_token": token}))
        if json.loads(self.socket.recv())["type"] != "auth_ok":
            sys.exit("Home Assistant does not accept the token in HA_TOKEN.")

    def ask(self, kind, **arguments):
        self.number += 1
        self.socket.send(json.dumps({"id": self.number, "type": kind, **arguments}))
        while True:
            answer = json.loads(self.socket.recv())
            if answer.get("id") == self.number and answer["type"] == "result":
                if not answer["success"]:
                    sys.exit(f"{kind}: {answer['error']['message']}")
                return answer["result"]


def export(device, channel, options):
    command = ["bl2mqtt", "history", "export", "--format", "ha", "--device", device, "--channel", channel, *options]
    return json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)


def main():
    words = sys.argv[1:]
    write = "--write" in words
    words = [word for word in words if word != "--write"]
    if len(words) < 2 or "HA_URL" not in os.environ or "HA_TOKEN" not in os.environ:
        sys.exit(__doc__)
    device, channel, *options = words
    home = HomeAssistant(os.environ["HA_URL"], os.environ["HA_TOKEN"])
    wanted = [statistic["metadata"]["statistic_id"] for statistic in export(device, channel, options)]
    present = home.ask("recorder/statistics_during_period", start_time="1970-01-01T00:00:00+00:00", period="hour",
                       statistic_ids=wanted, types=["state", "sum"])
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(present, file)
        file.flush()
        missed = export(device, channel, [*options, "--present", file.name])
    for statistic in missed:
        rows = statistic["stats"]
        name = statistic["metadata"]["statistic_id"]
        print(f"{name}: {len(rows)} hours" + (f", {rows[0]['start']} to {rows[-1]['start']}" if rows else ""))
        if write and rows:
            home.ask("recorder/import_statistics", **statistic)


main()
