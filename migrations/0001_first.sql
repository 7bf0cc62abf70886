-- SPDX-License-Identifier: MIT
-- The history file as it began. Applied in one transaction; user_version counts the migrations.

PRAGMA application_id = 1112289337; -- 'BL09'

CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE channel (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 32767),
    device TEXT NOT NULL,
    channel TEXT NOT NULL,
    kind INTEGER NOT NULL,
    UNIQUE (device, channel, kind)
) STRICT;

CREATE TABLE calibration (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL REFERENCES channel (number),
    valid_from_ms INTEGER NOT NULL,
    voltage REAL NOT NULL CHECK (voltage > 0),
    current REAL NOT NULL CHECK (current > 0),
    power REAL NOT NULL CHECK (power > 0),
    invert INTEGER NOT NULL CHECK (invert IN (0, 1)),
    UNIQUE (channel, valid_from_ms)
) STRICT;

CREATE TABLE total (
    channel INTEGER PRIMARY KEY REFERENCES channel (number),
    calibration INTEGER REFERENCES calibration (id),
    known INTEGER NOT NULL CHECK (known IN (0, 1)),
    counter INTEGER NOT NULL,
    counter_wall_ms INTEGER NOT NULL,
    counter_boot_ms INTEGER NOT NULL,
    boot_id TEXT NOT NULL,
    imported INTEGER NOT NULL CHECK (imported >= 0),
    exported INTEGER NOT NULL CHECK (exported >= 0),
    base_imported_uwh INTEGER NOT NULL CHECK (base_imported_uwh >= 0),
    base_exported_uwh INTEGER NOT NULL CHECK (base_exported_uwh >= 0)
) STRICT;

CREATE TABLE reading (
    key INTEGER PRIMARY KEY,
    voltage INTEGER,
    current INTEGER,
    power INTEGER,
    energy INTEGER,
    frequency INTEGER,
    flags INTEGER NOT NULL,
    imported INTEGER NOT NULL,
    exported INTEGER NOT NULL
) STRICT;

CREATE TABLE event (
    key INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;
