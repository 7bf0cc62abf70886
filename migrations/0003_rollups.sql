-- SPDX-License-Identifier: MIT
-- Minutes, quarters of an hour and days, made from the readings; corrections of past calibrations;
-- what of a total is held because a published total does not go down.

CREATE TABLE rollup_minute (
    key INTEGER PRIMARY KEY,
    imported INTEGER NOT NULL,
    exported INTEGER NOT NULL,
    covered_ms INTEGER NOT NULL,
    power_covered_ms INTEGER,
    power_ms INTEGER,
    power_min INTEGER,
    power_max INTEGER,
    samples INTEGER NOT NULL,
    voltage_count INTEGER,
    voltage_sum INTEGER,
    voltage_min INTEGER,
    voltage_max INTEGER,
    current_count INTEGER,
    current_sum INTEGER,
    current_min INTEGER,
    current_max INTEGER,
    frequency_count INTEGER,
    frequency_sum INTEGER,
    frequency_min INTEGER,
    frequency_max INTEGER
) STRICT;

CREATE TABLE rollup_quarter (
    key INTEGER PRIMARY KEY,
    imported INTEGER NOT NULL,
    exported INTEGER NOT NULL,
    covered_ms INTEGER NOT NULL,
    power_covered_ms INTEGER,
    power_ms INTEGER,
    power_min INTEGER,
    power_max INTEGER,
    samples INTEGER NOT NULL,
    voltage_count INTEGER,
    voltage_sum INTEGER,
    voltage_min INTEGER,
    voltage_max INTEGER,
    current_count INTEGER,
    current_sum INTEGER,
    current_min INTEGER,
    current_max INTEGER,
    frequency_count INTEGER,
    frequency_sum INTEGER,
    frequency_min INTEGER,
    frequency_max INTEGER
) STRICT;

CREATE TABLE rollup_day (
    key INTEGER PRIMARY KEY,
    imported INTEGER NOT NULL,
    exported INTEGER NOT NULL,
    covered_ms INTEGER NOT NULL,
    power_covered_ms INTEGER,
    power_ms INTEGER,
    power_min INTEGER,
    power_max INTEGER,
    samples INTEGER NOT NULL,
    voltage_count INTEGER,
    voltage_sum INTEGER,
    voltage_min INTEGER,
    voltage_max INTEGER,
    current_count INTEGER,
    current_sum INTEGER,
    current_min INTEGER,
    current_max INTEGER,
    frequency_count INTEGER,
    frequency_sum INTEGER,
    frequency_min INTEGER,
    frequency_max INTEGER
) STRICT;

CREATE TABLE recalibration (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL REFERENCES channel (number),
    since_ms INTEGER NOT NULL,
    until_ms INTEGER NOT NULL CHECK (until_ms > since_ms),
    voltage REAL CHECK (voltage > 0),
    current REAL CHECK (current > 0),
    power REAL CHECK (power > 0),
    made_ms INTEGER NOT NULL,
    undone_ms INTEGER,
    imported_before_uwh INTEGER NOT NULL,
    imported_after_uwh INTEGER NOT NULL,
    exported_before_uwh INTEGER NOT NULL,
    exported_after_uwh INTEGER NOT NULL
) STRICT;

ALTER TABLE total ADD COLUMN held_imported_uwh INTEGER NOT NULL DEFAULT 0
    CHECK (held_imported_uwh >= 0);
ALTER TABLE total ADD COLUMN held_exported_uwh INTEGER NOT NULL DEFAULT 0
    CHECK (held_exported_uwh >= 0);
