-- SPDX-License-Identifier: MIT
-- Energy that others counted, imported from their files.

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

CREATE TABLE foreign_quarter (
    series INTEGER NOT NULL REFERENCES foreign_series (id),
    quarter INTEGER NOT NULL,
    imported_uwh INTEGER NOT NULL CHECK (imported_uwh >= 0),
    exported_uwh INTEGER NOT NULL CHECK (exported_uwh >= 0),
    file INTEGER NOT NULL REFERENCES foreign_file (id),
    PRIMARY KEY (series, quarter)
) STRICT, WITHOUT ROWID;
