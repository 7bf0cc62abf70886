-- SPDX-License-Identifier: MIT
-- Time-series engines may get minutes, quarters of an hour and days beside the readings: a cursor for each.

ALTER TABLE sink RENAME TO sink_of_readings;

CREATE TABLE sink (
    id TEXT NOT NULL,
    level INTEGER NOT NULL CHECK (level BETWEEN 0 AND 3),
    cursor INTEGER NOT NULL CHECK (cursor >= 0),
    refused INTEGER NOT NULL CHECK (refused >= 0),
    PRIMARY KEY (id, level)
) STRICT, WITHOUT ROWID;

INSERT INTO sink (id, level, cursor, refused) SELECT id, 0, cursor, refused FROM sink_of_readings;

DROP TABLE sink_of_readings;
