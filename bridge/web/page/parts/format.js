// Numbers, units, times and spans for people, by the locale of the browser.
import {currentLocale, t, tOr} from "./language.js";

const UNKNOWN = "–";
const NARROW_SPACE = "\u202f";
const formats = new Map();

function cached(kind, options) {
  const key = `${kind}${currentLocale()}${JSON.stringify(options)}`;
  if (!formats.has(key)) formats.set(key, new Intl[kind](currentLocale(), options));
  return formats.get(key);
}

export function number(value, decimals = 0) {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return cached("NumberFormat", {minimumFractionDigits: decimals, maximumFractionDigits: decimals})
    .format(Object.is(value, -0) ? 0 : value);
}

/** {text, unit}: watts up to ten kilowatts, as meters show them. */
export function powerParts(watts) {
  if (watts === null || watts === undefined) return {text: UNKNOWN, unit: "W"};
  return Math.abs(watts) < 10000 ? {text: number(watts, Math.abs(watts) < 100 && Math.abs(watts) >= 0.05 ? 1 : 0), unit: "W"}
    : {text: number(watts / 1000, 2), unit: "kW"};
}

export function power(watts) {
  const {text, unit} = powerParts(watts);
  return `${text}${NARROW_SPACE}${unit}`;
}

export function energy(kwh) {
  if (kwh === null || kwh === undefined) return `${UNKNOWN}${NARROW_SPACE}kWh`;
  const size = Math.abs(kwh);
  return `${number(kwh, size < 10 ? 3 : size < 1000 ? 2 : 0)}${NARROW_SPACE}kWh`;
}

/** For an axis: as many decimals as its steps need. */
export function axisEnergy(kwh) {
  return `${cached("NumberFormat", {maximumFractionDigits: 3}).format(Object.is(kwh, -0) ? 0 : kwh)}${NARROW_SPACE}kWh`;
}

export function axisPower(watts) {
  return Math.abs(watts) < 10000 ? `${cached("NumberFormat", {maximumFractionDigits: 2}).format(Object.is(watts, -0) ? 0 : watts)}${NARROW_SPACE}W`
    : `${cached("NumberFormat", {maximumFractionDigits: 2}).format(watts / 1000)}${NARROW_SPACE}kW`;
}

export function money(amount, currency) {
  if (amount === null || amount === undefined) return UNKNOWN;
  return cached("NumberFormat", {style: "currency", currency: currency || "EUR"}).format(amount);
}

/** Kilograms. */
export function mass(kg) {
  return kg === null || kg === undefined ? UNKNOWN : `${number(kg, Math.abs(kg) < 100 ? 2 : 0)}${NARROW_SPACE}kg`;
}

export function bytes(count) {
  if (count === null || count === undefined) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let step = 0;
  while (count >= 1024 && step < units.length - 1) {
    count /= 1024;
    step += 1;
  }
  return `${number(count, step === 0 ? 0 : 1)}${NARROW_SPACE}${units[step]}`;
}

/** Whether a unit is a currency's code. */
export function isMoney(unit) {
  return /^[A-Z]{3}$/.test(unit ?? "");
}

/** A property of a device: its value in words; the unit stands beside it unless it stands elsewhere. */
export function property(expose, value, withUnit = true) {
  if (value === null || value === undefined) return UNKNOWN;
  if (typeof value === "boolean") return value ? t("yes") : t("no");
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return /^\d{4}-\d\d-\d\dT/.test(value) ? moment(value) : tOr(`value.${value}`, value);
  if (isMoney(expose.unit)) return money(value, expose.unit);
  const decimals = Math.min(4, (String(value).split(".")[1] ?? "").length);
  return expose.unit && withUnit ? `${number(value, decimals)}${NARROW_SPACE}${expose.unit}` : number(value, decimals);
}

export function moment(time) {
  return cached("DateTimeFormat", {dateStyle: "medium", timeStyle: "medium"}).format(new Date(time));
}

export function clock(time) {
  return cached("DateTimeFormat", {timeStyle: "medium"}).format(new Date(time));
}

export function day(time) {
  return cached("DateTimeFormat", {weekday: "short", day: "numeric", month: "short", year: "numeric"}).format(new Date(time));
}

export function month(time) {
  return cached("DateTimeFormat", {month: "long", year: "numeric"}).format(new Date(time));
}

/** "3 min": a span in its largest unit. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  const steps = [[86400, "day"], [3600, "hour"], [60, "minute"], [1, "second"]];
  const [size, unit] = steps.find(([step]) => seconds >= step) ?? steps[3];
  return cached("NumberFormat", {style: "unit", unit, unitDisplay: "short"}).format(Math.floor(seconds / size));
}

/** "3 minutes ago". */
export function ago(time, now = Date.now()) {
  return t("ago", {span: span(now - new Date(time).getTime())});
}
