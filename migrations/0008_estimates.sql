-- SPDX-License-Identifier: MIT
-- Energy that was counted while nobody read the counter is spread over that time in answers.

CREATE TABLE estimate (
    key INTEGER PRIMARY KEY,
    start_ms INTEGER NOT NULL,
    imported INTEGER NOT NULL CHECK (imported >= 0),
    exported INTEGER NOT NULL CHECK (exported >= 0)
) STRICT;
