-- SPDX-License-Identifier: MIT
-- Calibrations are told apart: configured ones (1), which all were so far, and measured ones (2).

ALTER TABLE calibration ADD COLUMN origin INTEGER NOT NULL DEFAULT 1 CHECK (origin IN (1, 2));
