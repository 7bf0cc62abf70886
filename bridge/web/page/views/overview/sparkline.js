// A line of the last hour without axes: the band from minimum to maximum, and the mean.
import {svg} from "../../parts/ui.js";

const WIDTH = 300;
const HEIGHT = 56;
const HOUR_MS = 3600000;

/** The paths of a band and a line for points [time, mean, min, max], oldest first; gaps are left open. */
export function pathsOf(points, now, width = WIDTH, height = HEIGHT) {
  const known = points.filter(([, mean]) => Number.isFinite(mean));
  if (known.length === 0) return {line: "", band: ""};
  const low = Math.min(0, ...known.map(([, mean, min]) => min ?? mean));
  const high = Math.max(1, ...known.map(([, mean, , max]) => max ?? mean));
  const x = (time) => (((time - now + HOUR_MS) / HOUR_MS) * width).toFixed(1);
  const y = (watts) => (height - 3 - ((watts - low) / (high - low)) * (height - 6)).toFixed(1);
  let line = "";
  let pen = "M";
  let last = null;
  for (const [time, mean] of points) {
    const gap = !Number.isFinite(mean) || (last !== null && time - last > HOUR_MS / 12);
    if (gap) pen = "M";
    if (!Number.isFinite(mean)) continue;
    line += `${pen}${x(time)} ${y(mean)}`;
    pen = "L";
    last = time;
  }
  const upper = known.map(([time, mean, , max]) => `${x(time)} ${y(max ?? mean)}`);
  const lower = known.map(([time, mean, min]) => `${x(time)} ${y(min ?? mean)}`).reverse();
  return {line, band: `M${[...upper, ...lower].join("L")}Z`, zero: y(0)};
}

/** {node, set(points), add(time, watts)}. */
export function sparkline() {
  const band = svg("path", {class: "spark-band"});
  const line = svg("path", {class: "spark-line"});
  const node = svg("svg", {viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", class: "sparkline", "aria-hidden": "true"}, band, line);
  let points = [];
  let drawn = 0;
  const draw = () => {
    const paths = pathsOf(points, Date.now());
    band.setAttribute("d", paths.band);
    line.setAttribute("d", paths.line);
    drawn = Date.now();
  };
  return {
    node,
    set(list) {
      points = list;
      draw();
    },
    add(time, watts) {
      const last = points.at(-1);
      if (last && time - last[0] < 10000) return;
      points = [...points.filter(([at]) => time - at < HOUR_MS), [time, watts, watts, watts]];
      if (time - drawn > 2000) draw();
    },
  };
}
