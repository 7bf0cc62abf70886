// What the history view asks the bridge for, and the sums below the chart.
import {get} from "../../parts/api.js";

export function parameters(series, [from, to], more) {
  return {device: series.device.id, channel: series.channel, from: from.toISOString(), to: to.toISOString(), ...more};
}

const SECONDS = {"1s": 1, "1m": 60, "15m": 900, "1h": 3600, "1d": 86400};
/** More pieces than this for each column of the picture change nothing that can be seen: extremes survive. */
const PIECES_A_COLUMN = 4;

/** How to ask for power: in the resolution, unless the picture is far too narrow for it. Pure. */
export function powerQuery([from, to], resolution, columns) {
  if (!resolution) return {points: columns};
  const most = columns * PIECES_A_COLUMN;
  return (to - from) / 1000 / SECONDS[resolution] > most ? {points: most} : {bucket: resolution};
}

/** Points [time, min, mean, max] of a channel's power; shift: added to their times, to lay one span over another. */
export async function loadPower(series, span, resolution, points, shift, signal) {
  const rows = await get("history/power", parameters(series, span, powerQuery(span, resolution, points)), signal);
  return rows.map((row) => [Date.parse(row.start) + shift, row.power_min_w, row.power_mean_w, row.power_max_w]);
}

/** Bars of a channel's energy: what was drawn upwards, what was fed back downwards. */
export async function loadEnergy(series, span, bucket, signal) {
  return get("history/energy", parameters(series, span, {bucket}), signal);
}

export async function loadCost(series, span, bucket, signal) {
  return get("history/cost", parameters(series, span, {bucket}), signal);
}

/** Whether a bucket's energy is not wholly measured here: imported from a file, or covered in part only. */
export function isEstimated(row, now = Date.now()) {
  if (row.energy_from_files_kwh || row.energy_produced_from_files_kwh || row.from_files_kwh) return true;
  return Date.parse(row.end) <= now && row.coverage > 0 && row.coverage < 0.95;
}

export function barsOf(rows, key, sign, shift) {
  return rows.map((row) => ({start: Date.parse(row.start) + shift, end: Date.parse(row.end) + shift,
    value: row[key] === null ? null : sign * row[key], estimated: isEstimated(row)}));
}

export function totalOf(rows, key) {
  return rows.reduce((sum, row) => sum + (row[key] ?? 0), 0);
}

/** Mean, minimum and maximum over points [time, min, mean, max]. */
export function rangeOf(points) {
  const known = points.filter(([, , mean]) => Number.isFinite(mean));
  if (known.length === 0) return null;
  return {mean: known.reduce((sum, [, , mean]) => sum + mean, 0) / known.length,
    min: known.reduce((least, [, min]) => Math.min(least, min), Infinity),
    max: known.reduce((most, [, , , max]) => Math.max(most, max), -Infinity)};
}
