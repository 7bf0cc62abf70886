-- SPDX-License-Identifier: MIT
-- The history file: what the migrations must arrive at (a test compares the two) and what the
-- columns mean. Readings are stored as measured; calibration is applied on the way out.
--
-- Every time is the wall clock in milliseconds since 1970, UTC. Raw units per kind of source are
-- those of drivers/reading.h: registers of a BL0942, milli-units of OpenBeken.

PRAGMA application_id = 1112289337; -- 'BL09'
PRAGMA user_version = 10;            -- number of the last migration

-- Facts about the file: stopped_clean = '1' while no service has the file open for writing, '0'
-- from the first commit of a run until its orderly end. '0' at opening means: check the file.
-- clock_awaited = '1' while readings wait in the service's memory for the clock to be set. uncredited: counts
-- that are in `total` and not yet in a reading, "channel imported exported;" each; the next reading gets them.
-- commit: a random word, a new one with each commit, by which totals that were written beside this file since know
-- what they come on top of (bridge/history/safety/interim.h); missing where commits come often enough without.
-- time_zone: the zone that the rows of rollup_day follow.
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A measured circuit. The number stands for it in every key and is never given to another. One that
-- is later read by another kind of source (kind: 1 BL0942, 2 OpenBeken, 3 other meters) becomes a second row,
-- because its raw units change; questions about the channel put the rows together.
CREATE TABLE channel (
    number INTEGER PRIMARY KEY CHECK (number BETWEEN 1 AND 32767),
    device TEXT NOT NULL,
    channel TEXT NOT NULL,
    kind INTEGER NOT NULL,
    UNIQUE (device, channel, kind)
) STRICT;

-- The factors a channel was run with, each valid until the next. The highest id is what was
-- recorded last. Readings before the first one use the first one. invert = 1: the clamp sits the
-- other way round, the sign of power is turned (imported and exported are already right). origin:
-- 1 configured (bridge.yaml), 2 measured (`bl2mqtt calibrate`). Whichever of the two changed last holds:
-- a measured one until the configured factors are others than those of the last row of origin 1.
CREATE TABLE calibration (
    id INTEGER PRIMARY KEY,
    channel INTEGER NOT NULL REFERENCES channel (number),
    valid_from_ms INTEGER NOT NULL,
    voltage REAL NOT NULL CHECK (voltage > 0),
    current REAL NOT NULL CHECK (current > 0),
    power REAL NOT NULL CHECK (power > 0),
    invert INTEGER NOT NULL CHECK (invert IN (0, 1)),
    origin INTEGER NOT NULL DEFAULT 1 CHECK (origin IN (1, 2)),
    UNIQUE (channel, valid_from_ms)
) STRICT;

-- Energy since the channel was first seen, as of its last reading, written in the same transaction
-- as that reading. Total = base + imported counts converted with `calibration`, the factors under
-- which they were counted: so a change of factors can never be applied to counts made before it.
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
    base_exported_uwh INTEGER NOT NULL CHECK (base_exported_uwh >= 0),
    held_imported_uwh INTEGER NOT NULL DEFAULT 0 CHECK (held_imported_uwh >= 0),
    held_exported_uwh INTEGER NOT NULL DEFAULT 0 CHECK (held_exported_uwh >= 0)
) STRICT;

-- The readings: key = (milliseconds << 15) | channel number. The view `reading`, below, is what to ask;
-- these tables are how a reading lies in the file, in 29 bytes.
--
-- Why one packed integer: it is the row's own number, so there is no second index, and rows arrive
-- in its order, so they are appended at the right edge of one tree. SQLite fills pages completely
-- there and a commit touches one leaf whatever the number of channels; an index-organised table on
-- (channel, time) grows in as many places as there are channels and splits pages in the middle,
-- which was measured at 15 % more bytes and twice the write volume. Bounds of time are bounds of
-- the key: time t begins at key t << 15. 15 bits leave room for 32767 channels, 48 for the time.
--
-- When the key is taken (the clock was set back), the next free millisecond is used: no reading is
-- lost and none replaces another. NULL: not measured. 0 and 1 take no bytes, -128 to 127 one.
--
-- frequency: less 20000, whatever the source (a BL0942's at 50 Hz).
-- counted: the counts of energy that this reading added to the total, positive if imported, negative
-- if exported, times 32; plus the flags (drivers/reading.h).
CREATE TABLE sample (
    key INTEGER PRIMARY KEY,
    voltage INTEGER,
    current INTEGER,
    power INTEGER,
    frequency INTEGER,
    counted INTEGER NOT NULL
) STRICT;

-- The source's own counter of energy, as read. A BL0942's is not kept of every reading, as while it runs
-- on it says no more than the counts: of each minute the first one, each with the flag of a restarted
-- chip, and each that the maximum load does not explain (a wrap, a restart, a misread one), together
-- with the one before it. Of other sources it is kept of every reading that has one.
CREATE TABLE sample_counter (
    key INTEGER PRIMARY KEY REFERENCES sample (key) ON DELETE CASCADE,
    energy INTEGER NOT NULL
) STRICT;

-- Exported counts of readings that have imported ones as well; they have taken over those of readings
-- that memory had no room for. Hardly ever a row.
CREATE TABLE sample_exported (
    key INTEGER PRIMARY KEY REFERENCES sample (key) ON DELETE CASCADE,
    exported INTEGER NOT NULL
) STRICT;

-- The readings as they were measured. energy is NULL where it was not kept. imported and exported are
-- the counts of energy that this reading added to the total. What is not asked for costs nothing.
CREATE VIEW reading (key, voltage, current, power, energy, frequency, flags, imported, exported) AS
SELECT
    key, voltage, current, power,
    (SELECT energy FROM sample_counter WHERE sample_counter.key = sample.key),
    frequency + 20000,
    counted & 31,
    max(counted >> 5, 0),
    CASE
        WHEN counted < 0 THEN -(counted >> 5)
        WHEN counted < 32 THEN 0
        ELSE coalesce((SELECT exported FROM sample_exported WHERE sample_exported.key = sample.key), 0)
    END
FROM sample;

-- Counts of a reading (key) that were counted since start_ms, while nobody read the counter: the service was
-- stopped, the source did not answer, memory was full. `reading` and the rollups have them at the reading's
-- time; answers spread them evenly from start_ms to that time and mark them as estimated. A row stays when
-- its reading is deleted.
CREATE TABLE estimate (
    key INTEGER PRIMARY KEY,
    start_ms INTEGER NOT NULL,
    imported INTEGER NOT NULL CHECK (imported >= 0),
    exported INTEGER NOT NULL CHECK (exported >= 0)
) STRICT;

-- What happened, for people. Key as in reading; number 0: about the bridge. kind: a stable word.
CREATE TABLE event (
    key INTEGER PRIMARY KEY,
    kind TEXT NOT NULL,
    message TEXT NOT NULL
) STRICT;

-- Readings aggregated: minutes, quarters of an hour (the longest time that divides every local day)
-- and local days of the zone in meta.time_zone. Raw units as in reading, so calibration is applied on
-- the way out here, too. bridge/history/rollup.h is the manual.
--
-- Key as in reading, of the first moment that the row stands for: that of its bucket, or the moment
-- within it from which other factors hold. So every row belongs to exactly one calibration, and a
-- bucket may have several rows; times without readings have none. A bucket is written once, when
-- readings of the next one come; until then, and for what comes late, see rollup.h.
--
-- imported, exported: sums of reading's. covered_ms: for how long readings stood (cadence.h).
-- power_ms: power times milliseconds, summed over the time for which power was known: power_covered_ms,
-- NULL if that is covered_ms. power_min, power_max: within that time. samples: readings.
-- X_count: readings with X, NULL if that is samples; X_sum, X_min, X_max: over these, NULL without any.
-- device_min, device_max: power of this channel when the sum over its device's channels was minimal, and
-- maximal, in this bucket (bridge/history/store/peaks.h). NULL for devices with one channel, where the sum was
-- never known, and in rows of before format 9.
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
    frequency_max INTEGER,
    device_min INTEGER,
    device_max INTEGER
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
    frequency_max INTEGER,
    device_min INTEGER,
    device_max INTEGER
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
    frequency_max INTEGER,
    device_min INTEGER,
    device_max INTEGER
) STRICT;

-- Corrections of past calibrations: from since_ms to before until_ms the factors that are not NULL
-- replace those of `calibration`; of several that hold at a time the one with the highest id. One that
-- was undone (undone_ms) is ignored. Nothing else is changed by a correction but `total`, so undoing
-- it brings back what was. before and after: the energy from since_ms to until_ms, when it was made.
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

-- Energy that others counted, imported from their files. It is added to answers and marked there; totals
-- do not know of it. A series is a channel, whether or not it is measured here.
CREATE TABLE foreign_series (
    id INTEGER PRIMARY KEY,
    device TEXT NOT NULL,
    channel TEXT NOT NULL,
    UNIQUE (device, channel)
) STRICT;

CREATE TABLE foreign_file (
    id INTEGER PRIMARY KEY,
    series INTEGER NOT NULL REFERENCES foreign_series (id),
    made_ms INTEGER NOT NULL,
    file TEXT NOT NULL,
    format TEXT NOT NULL
) STRICT;

-- quarter: begin in quarters of an hour since 1970. file: the import that its values came from.
CREATE TABLE foreign_quarter (
    series INTEGER NOT NULL REFERENCES foreign_series (id),
    quarter INTEGER NOT NULL,
    imported_uwh INTEGER NOT NULL CHECK (imported_uwh >= 0),
    exported_uwh INTEGER NOT NULL CHECK (exported_uwh >= 0),
    file INTEGER NOT NULL REFERENCES foreign_file (id),
    PRIMARY KEY (series, quarter)
) STRICT, WITHOUT ROWID;

-- How far each time-series engine has got (sinks of bridge.yaml, by id), for each level that it gets: 0
-- readings, 1 minutes, 2 quarters, 3 days. cursor is the key of the last reading it took, or of the last
-- point that a bucket's rows make: its begin, and the lowest number of the device and channel. What is
-- behind the cursor is the outbox. Whatever changes what is before it (the clock was set back, the past
-- was recalibrated, days follow another zone) moves it back in the same transaction; what was sent
-- already is then sent again: same series, same time. refused: what it would not take.
CREATE TABLE sink (
    id TEXT NOT NULL,
    level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
    cursor INTEGER NOT NULL CHECK (cursor >= 0),
    refused INTEGER NOT NULL CHECK (refused >= 0),
    PRIMARY KEY (id, level)
) STRICT, WITHOUT ROWID;

-- What others say about times, such as the prices of a day-ahead market. quarter: begin in quarters of an hour
-- since 1970. kind: 1 price of a kilowatt hour, as it came; factor and surcharge of a tariff are applied on the
-- way out. A correction replaces what was there.
CREATE TABLE interval (
    kind INTEGER NOT NULL,
    quarter INTEGER NOT NULL,
    value_micro INTEGER NOT NULL,
    PRIMARY KEY (kind, quarter)
) STRICT, WITHOUT ROWID;
