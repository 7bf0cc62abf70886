// Charts over time, drawn by dygraphs: lines with a band from minimum to maximum, and bars. The only module that
// knows the library, which is loaded when the first chart is drawn.
import {currentLocale} from "./language.js";
import {color} from "./theme.js";
import {el, fill, View} from "./ui.js";

let library = null;

export function loadLibrary() {
  library ??= new Promise((resolve, reject) => {
    const script = el("script", {src: "library/dygraph.js"});
    script.onload = () => {
      const {Dygraph} = globalThis;
      // Its legend writes styles into attributes, which the security policy forbids; ours stands below the chart.
      Dygraph.PLUGINS = Dygraph.PLUGINS.filter((plugin) => plugin !== Dygraph.Plugins.Legend);
      resolve(Dygraph);
    };
    script.onerror = () => reject(new Error("The chart library could not be loaded."));
    document.head.append(el("link", {rel: "stylesheet", href: "library/dygraph.css"}), script);
  });
  return library;
}

export const SERIES_COLORS = ["series-1", "series-2", "series-3", "series-4", "series-5", "series-6"];

/**
 * Rows for dygraphs from several series of points [time, ...values]: one row for each time that any has, null where
 * one has none. width: values of a point; 1 gives plain numbers.
 */
export function mergeSeries(series) {
  if (series.length === 1) {
    return series[0].points.map(([time, ...values]) => [new Date(time), values.length === 1 ? values[0] : values]);
  }
  const rows = new Map();
  series.forEach(({points}, index) => {
    for (const [time, ...values] of points) {
      if (!rows.has(time)) rows.set(time, [new Date(time), ...series.map(() => null)]);
      rows.get(time)[index + 1] = values.length === 1 ? values[0] : values;
    }
  });
  return [...rows.values()].sort((a, b) => a[0] - b[0]);
}

/**
 * At most `columns` points of [time, min, mean, max], one for each column of the picture: minima and maxima survive,
 * means are the mean of the means. A column without any value is a gap.
 */
export function thin(points, columns) {
  if (points.length <= columns) return points;
  const begin = points[0][0];
  const length = (points.at(-1)[0] - begin) / columns || 1;
  const made = [];
  let column = -1;
  let sum = 0;
  let count = 0;
  for (const [time, min, mean, max] of points) {
    const at = Math.min(columns - 1, Math.floor((time - begin) / length));
    if (at !== column) {
      made.push([time, null, null, null]);
      column = at;
      sum = 0;
      count = 0;
    }
    if (!Number.isFinite(mean)) continue;
    const last = made.at(-1);
    sum += mean;
    count += 1;
    last[1] = count === 1 ? min : Math.min(last[1], min);
    last[2] = sum / count;
    last[3] = count === 1 ? max : Math.max(last[3], max);
  }
  return made;
}

/** Bars from the axis, side by side; all of them with the first series, whose plotter is called first. */
function plotBars({seriesIndex, drawingContext: context, dygraph}, bars) {
  if (seriesIndex !== 0) return;
  const zero = dygraph.toDomYCoord(0);
  for (const series of bars) {
    for (const bar of series.points) {
      if (!Number.isFinite(bar.value) || bar.value === 0) continue;
      const left = dygraph.toDomXCoord(bar.start);
      const right = dygraph.toDomXCoord(bar.end);
      const gap = Math.min(3, (right - left) * 0.15);
      const width = Math.max(1, (right - left - gap) / series.columns);
      const x = left + gap / 2 + width * series.column;
      const y = dygraph.toDomYCoord(bar.value);
      context.fillStyle = series.color;
      context.globalAlpha = series.faint ? 0.4 : 1;
      context.fillRect(x, Math.min(y, zero), width, Math.abs(zero - y));
      if (bar.estimated) hatch(context, x, Math.min(y, zero), width, Math.abs(zero - y));
    }
  }
  context.globalAlpha = 1;
}

/** What was not measured here, or only in part. */
function hatch(context, x, y, width, height) {
  context.save();
  context.globalAlpha = 0.75;
  context.beginPath();
  context.rect(x, y, width, height);
  context.clip();
  context.strokeStyle = color("surface");
  context.lineWidth = 2;
  context.beginPath();
  for (let at = -height; at < width; at += 6) {
    context.moveTo(x + at, y + height);
    context.lineTo(x + at + height, y);
  }
  context.stroke();
  context.restore();
}

/** Gaps as grey stripes behind the lines. */
function drawGaps(context, area, dygraph, gaps) {
  context.fillStyle = color("gap");
  const drawn = new Set(); // several channels have the same gap
  for (const gap of gaps) {
    if (drawn.has(`${gap.start} ${gap.end}`)) continue;
    drawn.add(`${gap.start} ${gap.end}`);
    const left = Math.max(area.x, dygraph.toDomXCoord(gap.start));
    const right = Math.min(area.x + area.w, dygraph.toDomXCoord(gap.end));
    if (right > left) context.fillRect(left, area.y, Math.max(1, right - left), area.h);
  }
}

function tickLabel(date, granularity, options, dygraph) {
  const [from, to] = dygraph.xAxisRange();
  const days = (to - from) / 86400000;
  const midnight = date.getHours() === 0 && date.getMinutes() === 0 && date.getSeconds() === 0;
  let format = {hour: "2-digit", minute: "2-digit"};
  if (days > 300) format = {month: "short", year: date.getMonth() === 0 ? "2-digit" : undefined};
  else if (midnight || days > 8) format = {day: "numeric", month: "short"};
  else if (days < 0.01) format = {hour: "2-digit", minute: "2-digit", second: "2-digit"};
  return date.toLocaleString(currentLocale(), format);
}

/**
 * <bl-chart>. draw({series, bars, gaps, from, to, format, onselect, onzoom}):
 * series: [{name, color, points: [[time, value] or [time, min, mean, max]], band, dashed}], colors by token;
 * bars: [{name, color, column, columns, points: [{start, end, value, estimated}]}] instead of series;
 * format(value): for the axis; onselect(time or null, the point [time, min, mean, max] of each series); onzoom(from, to): somebody chose another span.
 */
export class Chart extends View {
  #dygraph = null;
  #canvas = el("div", {class: "chart-canvas"});
  #drawn = null;
  #settled = null;
  #points = []; // of each series, by time: what is drawn

  render() {
    fill(this, this.#canvas);
    const redraw = () => this.#drawn && this.draw(this.#drawn);
    const media = matchMedia("(prefers-color-scheme: dark)");
    media.addEventListener("change", redraw);
    addEventListener("themechange", redraw);
    this.atEnd(() => {
      media.removeEventListener("change", redraw);
      removeEventListener("themechange", redraw);
      clearTimeout(this.#settled);
      this.#dygraph?.destroy();
      this.#dygraph = null;
    });
  }

  async draw(options) {
    const Dygraph = await loadLibrary();
    if (!this.isConnected) return;
    this.#drawn = options;
    this.#dygraph?.destroy();
    clearTimeout(this.#settled);
    const {data, own} = options.bars ? this.#bars(options) : this.#lines(options);
    const range = [options.from, options.to];
    this.#dygraph = new Dygraph(this.#canvas, data, {
      ...own,
      dateWindow: range, legend: "never", labelsKMB: false, animatedZooms: false,
      axisLabelFontSize: 12, axisLineColor: color("line"), gridLineColor: color("line"), gridLineWidth: 1,
      highlightCircleSize: own.plotter ? 0 : 3, strokeWidth: 1.6, fillAlpha: 0.18, connectSeparatedPoints: false,
      rightGap: 8, xRangePad: 0, includeZero: true,
      axes: {
        x: {drawGrid: false, axisLabelFormatter: tickLabel, pixelsPerLabel: 56},
        y: {axisLabelFormatter: (value) => options.format(value), axisLabelWidth: 66, pixelsPerLabel: 36},
      },
      underlayCallback: (context, area, dygraph) => drawGaps(context, area, dygraph, options.gaps ?? []),
      highlightCallback: (event, time) => options.onselect?.(time, this.#points.map((known) => known.get(time))),
      unhighlightCallback: () => options.onselect?.(null),
      drawCallback: (dygraph, first) => first || this.#moved(dygraph, range, options),
    });
    this.dispatchEvent(new Event("drawn"));
  }

  #lines({series}) {
    const width = series.some((one) => one.band) ? 3 : 1;
    const columns = this.#canvas.clientWidth || 1000;
    const thinned = series.map(({points}) => ({points: thin(points.map(([time, ...values]) =>
      (values.length === 3 ? [time, ...values] : [time, values[0], values[0], values[0]])), columns)}));
    this.#points = thinned.map(({points}) => new Map(points.map((point) => [point[0], point])));
    const data = mergeSeries(width === 3 ? thinned : thinned.map(({points}) => ({points: points.map(([time, , mean]) => [time, mean])})));
    const labels = ["time", ...series.map((one, index) => `${index}`)];
    const styles = Object.fromEntries(series.map((one, index) => [`${index}`, {
      color: color(one.color), strokePattern: one.dashed ? [5, 4] : null}]));
    return {data: data.length ? data : [[new Date(this.#drawn.from), ...series.map(() => (width === 3 ? [null, null, null] : null))]],
      own: {labels, series: styles, customBars: width === 3}};
  }

  #bars({bars, from}) {
    const resolved = bars.map((one) => ({...one, color: color(one.color)}));
    const times = [...new Set(resolved.flatMap((one) => one.points.map((bar) => (bar.start + bar.end) / 2)))].sort((a, b) => a - b);
    const at = resolved.map((one) => new Map(one.points.map((bar) => [(bar.start + bar.end) / 2, bar.value])));
    const data = times.map((time) => [new Date(time), ...at.map((values) => values.get(time) ?? null)]);
    return {data: data.length ? data : [[new Date(from), ...bars.map(() => null)]],
      own: {labels: ["time", ...bars.map((one, index) => `${index}`)], colors: resolved.map((one) => one.color),
        plotter: (event) => plotBars(event, resolved)}};
  }

  /** Zoomed or panned by mouse or touch: reported when it came to rest. */
  #moved(dygraph, range, options) {
    const [from, to] = dygraph.xAxisRange();
    if (Math.abs(from - range[0]) < 1 && Math.abs(to - range[1]) < 1) return;
    clearTimeout(this.#settled);
    this.#settled = setTimeout(() => options.onzoom?.(from, to), 350);
  }
}

customElements.define("bl-chart", Chart);
