-- SPDX-License-Identifier: MIT
-- What others say about times, such as the prices of a day-ahead market, so that costs of the past stay right.

CREATE TABLE interval (
    kind INTEGER NOT NULL,
    quarter INTEGER NOT NULL,
    value_micro INTEGER NOT NULL,
    PRIMARY KEY (kind, quarter)
) STRICT, WITHOUT ROWID;
