# SPDX-License-Identifier: MIT
"""Home Assistant's WebSocket API as far as the import of statistics needs it, after what is known of the real one: the
login, the entity registry, recorder/statistics_during_period and recorder/import_statistics with their checks."""

import asyncio
import datetime
import json
import re
import ssl
import threading

import websockets

HOUR = 3600
METADATA = {"has_sum", "mean_type", "unit_class", "unit_of_measurement", "name", "source", "statistic_id"}


def at(text):
    time = datetime.datetime.fromisoformat(text)
    assert time.tzinfo is not None
    return time.timestamp()


class HomeAssistant:
    """entities: {unique_id: entity_id}; rows: {entity_id: {start in s: (state, sum)}}, which a test may fill and read."""

    def __init__(self, entities, token="secret-12345", version="2026.11.0", tls=None, admin=True):
        self.entities, self.token, self.version, self.admin = entities, token, version, admin
        self.rows = {entity: {} for entity in entities.values()}
        self.asked, self.logins, self.refuse, self.silent, self.greeting = [], 0, None, False, None
        self.tls = None
        if tls:
            self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            self.tls.load_cert_chain(*tls)
        self.loop = asyncio.new_event_loop()
        ready = threading.Event()
        self.thread = threading.Thread(target=self.serve, args=(ready,), daemon=True)
        self.thread.start()
        assert ready.wait(20)

    def serve(self, ready):
        asyncio.set_event_loop(self.loop)

        async def begin():
            self.server = await websockets.serve(self.talk, "127.0.0.1", 0, ssl=self.tls, max_size=None)
            self.port = self.server.sockets[0].getsockname()[1]
            ready.set()

        self.loop.run_until_complete(begin())
        self.loop.run_forever()

    def close(self):
        async def end():
            self.server.close()
            await self.server.wait_closed()
        if self.thread.is_alive():
            asyncio.run_coroutine_threadsafe(end(), self.loop).result(20)
            self.loop.call_soon_threadsafe(self.loop.stop)
            self.thread.join(20)

    @property
    def url(self):
        return f"{'https' if self.tls else 'http'}://localhost:{self.port}"

    async def talk(self, socket, _path=None):
        try:
            await socket.send(self.greeting or json.dumps({"type": "auth_required", "ha_version": self.version}))
            login = json.loads(await socket.recv())
            self.logins += 1
            if login != {"type": "auth", "access_token": self.token}:
                await socket.send(json.dumps({"type": "auth_invalid", "message": "Invalid access token or password"}))
                return
            await socket.send(json.dumps({"type": "auth_ok", "ha_version": self.version}))
            last = 0
            async for text in socket:
                if self.silent:
                    continue
                message = json.loads(text)
                assert message["id"] > last
                last = message["id"]
                self.asked.append(message)
                await socket.send(json.dumps({"id": 9999, "type": "event", "event": {}}))  # as others may come in between
                await socket.send(json.dumps({"id": last, "type": "result", **self.answer(message)}))
        except websockets.exceptions.ConnectionClosed:
            pass

    def answer(self, message):
        kind = message["type"]
        if self.refuse == kind:
            return {"success": False, "error": {"code": "home_assistant_error", "message": "The database is busy"}}
        if kind == "config/entity_registry/list":
            other = {"entity_id": "light.kitchen", "unique_id": "x", "platform": "hue"}
            return {"success": True, "result": [other] + [
                {"entity_id": entity, "unique_id": unique, "platform": "mqtt"} for unique, entity in self.entities.items()]}
        if kind == "recorder/statistics_during_period":
            assert message["period"] == "hour" and message["units"] == {"energy": "kWh"}
            begin, end = at(message["start_time"]), at(message["end_time"])
            return {"success": True, "result": {entity: [
                {"start": start * 1000, "end": (start + HOUR) * 1000, "state": state, "sum": total}
                for start, (state, total) in sorted(self.rows[entity].items()) if begin <= start < end]
                for entity in message["statistic_ids"] if self.rows.get(entity)}}
        if kind == "recorder/import_statistics":
            return self.take(message)
        return {"success": False, "error": {"code": "unknown_command", "message": "Unknown command."}}

    def take(self, message):
        meta = message["metadata"]
        if not self.admin:
            return {"success": False, "error": {"code": "unauthorized", "message": "Unauthorized"}}
        old = tuple(map(int, self.version.split(".")[:2])) < (2025, 11)
        assert set(meta) == (METADATA - {"mean_type", "unit_class"} | {"has_mean"} if old else METADATA), meta
        assert meta["source"] == "recorder" and re.fullmatch(r"[a-z_]+\.[a-z0-9_]+", meta["statistic_id"])
        assert meta["unit_of_measurement"] == "kWh" and message["stats"]
        for row in message["stats"]:
            start = at(row["start"])
            assert start % HOUR == 0 and set(row) == {"start", "state", "sum"}
            self.rows[meta["statistic_id"]][int(start)] = (row["state"], row["sum"])
        return {"success": True, "result": None}
