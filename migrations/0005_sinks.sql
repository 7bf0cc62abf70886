-- SPDX-License-Identifier: MIT
-- How far each time-series engine (sinks of bridge.yaml) has got the readings.

CREATE TABLE sink (
    id TEXT PRIMARY KEY,
    cursor INTEGER NOT NULL CHECK (cursor >= 0),
    refused INTEGER NOT NULL CHECK (refused >= 0)
) STRICT, WITHOUT ROWID;
