// The spans of time that the history shows, by the browser's clock. Pure.

export const RANGES = ["day", "week", "month", "year", "custom"];
const DAY_MS = 86400000;

function startOfDay(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate());
}

/** "2026-11-30" of the local clock. */
export function dateText(date) {
  const two = (number) => String(number).padStart(2, "0");
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}

export function parseDate(text, otherwise) {
  const match = /^(\d{4})-(\d\d)-(\d\d)$/.exec(text ?? "");
  return match ? new Date(Number(match[1]), Number(match[2]) - 1, Number(match[3])) : startOfDay(otherwise);
}

/** The span of that range which holds the day `at`: [from, to), as dates. Weeks begin on Monday. */
export function spanAt(range, at) {
  const [year, month, day] = [at.getFullYear(), at.getMonth(), at.getDate()];
  if (range === "week") {
    const monday = day - ((at.getDay() + 6) % 7);
    return [new Date(year, month, monday), new Date(year, month, monday + 7)];
  }
  if (range === "month") return [new Date(year, month, 1), new Date(year, month + 1, 1)];
  if (range === "year") return [new Date(year, 0, 1), new Date(year + 1, 0, 1)];
  return [new Date(year, month, day), new Date(year, month, day + 1)];
}

/** The span that the parameters of the address mean. */
export function spanOf({range, at, from, to}, now = new Date()) {
  if (range === "custom") {
    const begin = new Date(from ?? now.getTime() - DAY_MS);
    const end = new Date(to ?? now);
    if (begin < end) return [begin, end];
  }
  return spanAt(range, parseDate(at, now));
}

/** The parameters for the span before (-1) or after (1). */
export function stepped({range, at, from, to}, direction, now = new Date()) {
  if (range === "custom") {
    const [begin, end] = spanOf({range, from, to}, now);
    const shift = direction * (end - begin);
    return {range, from: new Date(+begin + shift).toISOString(), to: new Date(+end + shift).toISOString()};
  }
  const [begin, end] = spanOf({range, at}, now);
  return {range, at: dateText(direction > 0 ? end : new Date(begin.getFullYear(), begin.getMonth(), begin.getDate() - 1))};
}

/** The span to compare with: "previous", the one before of the same kind, or "year", the same a year earlier. */
export function comparedSpan(mode, parameters, now = new Date()) {
  const [from, to] = spanOf(parameters, now);
  if (mode === "previous") return spanOf(stepped(parameters, -1, now), now);
  if (mode !== "year") return null;
  const back = (date) => new Date(date.getFullYear() - 1, date.getMonth(), date.getDate(), date.getHours(), date.getMinutes(), date.getSeconds());
  return [back(from), back(to)];
}

/** Which buckets of energy suit a span. */
export function usualBucket([from, to]) {
  const days = (to - from) / DAY_MS;
  if (days <= 1.1) return "hour";
  if (days <= 95) return "day";
  return days < 4000 ? "month" : "year";
}

/** Buckets of energy and cost that make neither too many bars nor one. */
export function bucketsFor([from, to], show) {
  const days = (to - from) / DAY_MS;
  const all = show === "cost" ? [["day", 1], ["month", 30], ["year", 365]]
    : [["15m", 1 / 96], ["hour", 1 / 24], ["day", 1], ["month", 30], ["year", 365]];
  const fitting = all.filter(([, length]) => days / length <= 9000 && days / length >= 1).map(([name]) => name);
  return fitting.length ? fitting : [all[0][0]];
}

/** Resolutions of power that a span can be had in: "" leaves it to the width of the picture. */
export function resolutionsFor([from, to]) {
  const seconds = (to - from) / 1000;
  const all = [["1s", 1], ["1m", 60], ["15m", 900], ["1h", 3600], ["1d", 86400]];
  return ["", ...all.filter(([, length]) => seconds / length <= 90000 && seconds / length >= 4).map(([name]) => name)];
}
