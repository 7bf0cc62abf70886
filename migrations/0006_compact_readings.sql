-- SPDX-License-Identifier: MIT
-- A reading in fewer bytes: the table reading becomes sample, sample_counter and sample_exported, and a
-- view of the same name and columns that puts them together again.

CREATE TABLE sample (
    key INTEGER PRIMARY KEY,
    voltage INTEGER,
    current INTEGER,
    power INTEGER,
    frequency INTEGER,
    counted INTEGER NOT NULL
) STRICT;

CREATE TABLE sample_counter (
    key INTEGER PRIMARY KEY REFERENCES sample (key) ON DELETE CASCADE,
    energy INTEGER NOT NULL
) STRICT;

CREATE TABLE sample_exported (
    key INTEGER PRIMARY KEY REFERENCES sample (key) ON DELETE CASCADE,
    exported INTEGER NOT NULL
) STRICT;

INSERT INTO sample (key, voltage, current, power, frequency, counted)
SELECT key, voltage, current, power, frequency - 20000,
    CASE WHEN imported > 0 THEN imported ELSE -exported END * 32 + (flags & 31)
FROM reading ORDER BY key;

INSERT INTO sample_exported (key, exported)
SELECT key, exported FROM reading WHERE imported > 0 AND exported > 0 ORDER BY key;

-- Of a BL0942's counters the first of each minute, and those that did not run on from the one before,
-- together with that one: its greatest load makes 20 counts a second.
INSERT INTO sample_counter (key, energy)
SELECT key, energy FROM reading AS r WHERE energy IS NOT NULL AND (
    flags & 16
    OR key & 32767 NOT IN (SELECT number FROM channel WHERE kind = 1)
    OR NOT EXISTS (SELECT 1 FROM reading AS b WHERE b.key < r.key AND b.key >= (r.key >> 15) / 60000 * 60000 << 15
        AND b.key & 32767 = r.key & 32767 AND b.energy IS NOT NULL)
    OR coalesce((SELECT r.energy - b.energy NOT BETWEEN 0 AND 20 + ((r.key >> 15) - (b.key >> 15)) / 50
        FROM reading AS b WHERE b.key < r.key AND b.key & 32767 = r.key & 32767 AND b.energy IS NOT NULL
        ORDER BY b.key DESC LIMIT 1), 0))
ORDER BY key;

INSERT OR IGNORE INTO sample_counter (key, energy)
SELECT b.key, b.energy FROM (
    SELECT key, energy FROM sample_counter WHERE key & 32767 IN (SELECT number FROM channel WHERE kind = 1)
) AS r JOIN reading AS b ON b.key = (
    SELECT key FROM reading AS c WHERE c.key < r.key AND c.key & 32767 = r.key & 32767
    AND c.energy IS NOT NULL ORDER BY c.key DESC LIMIT 1)
WHERE r.energy - b.energy NOT BETWEEN 0 AND 20 + ((r.key >> 15) - (b.key >> 15)) / 50;

DROP TABLE reading;

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
