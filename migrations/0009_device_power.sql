-- SPDX-License-Identifier: MIT
-- The least and greatest power of a device's sum, for answers about a device.

ALTER TABLE rollup_minute ADD COLUMN device_min INTEGER;
ALTER TABLE rollup_minute ADD COLUMN device_max INTEGER;
ALTER TABLE rollup_quarter ADD COLUMN device_min INTEGER;
ALTER TABLE rollup_quarter ADD COLUMN device_max INTEGER;
ALTER TABLE rollup_day ADD COLUMN device_min INTEGER;
ALTER TABLE rollup_day ADD COLUMN device_max INTEGER;
