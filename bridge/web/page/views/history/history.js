// The history: power with its band, energy and cost as bars, over any span, compared with another one.
import {devices, get, saveCsv} from "../../parts/api.js";
import {channelsOf} from "../../parts/channels.js";
import {SERIES_COLORS} from "../../parts/chart.js";
import {axisEnergy, axisPower, day, energy, mass, moment, money, month, power, span as spanText} from "../../parts/format.js";
import {t, tOr} from "../../parts/language.js";
import {route, setParameters} from "../../parts/route.js";
import {el, field, fill, icon, notice, scrollable, select, View} from "../../parts/ui.js";
import {barsOf, loadCost, loadEnergy, loadPower, parameters, rangeOf, totalOf} from "./load.js";
import {bucketsFor, comparedSpan, dateText, RANGES, resolutionsFor, spanOf, stepped, usualBucket} from "./spans.js";

const SHOWN = ["power", "energy", "cost", "co2"];
const SERIES_MAX = 6;

/** What the address says, with what holds if it says nothing. */
export function settingsOf(given) {
  const range = RANGES.includes(given.range) ? given.range : "day";
  const show = SHOWN.includes(given.show) ? given.show : "power";
  return {series: (given.series ?? "").split(",").filter(Boolean), show, range, at: given.at, from: given.from,
    to: given.to, bucket: given.bucket ?? "", compare: ["previous", "year"].includes(given.compare) ? given.compare : "none"};
}

class History extends View {
  #controls = el("section", {class: "card controls", "aria-label": t("history.controls")});
  #message = el("div");
  #chart = document.createElement("bl-chart");
  #title = el("h2");
  #legend = el("div", {class: "legend"});
  #table = el("details", {class: "card data-table", hidden: true});
  #gaps = el("section", {class: "card gaps"});
  #channels = [];
  #shown = SHOWN.filter((show) => show !== "co2"); // where intensities are configured, it is offered
  #aborter = null;

  render() {
    fill(this, el("h1", null, t("nav.history")), this.#controls,
      el("section", {class: "card chart-card"}, this.#title, this.#message, this.#chart, this.#legend,
        el("p", {class: "hint chart-hint"}, t("history.zoomHint"))),
      this.#gaps, this.#table);
    this.watch(devices, (list) => {
      this.#channels = channelsOf(list);
      this.#refresh();
    });
    this.watch(route, (to) => to.name === "history" && this.#refresh());
    get("info").then(({config}) => {
      if (!config?.co2?.topic && !config?.co2?.file) return;
      this.#shown = SHOWN;
      this.#refresh();
    }).catch(() => {});
    this.atEnd(() => this.#aborter?.abort());
  }

  #change(changes) {
    const settings = {...settingsOf(route.get().parameters), ...changes};
    setParameters({...settings, series: settings.series.join(","), compare: settings.compare === "none" ? "" : settings.compare});
  }

  #chosen(settings) {
    const found = this.#channels.filter((channel) => settings.series.includes(`${channel.device.id}/${channel.channel}`));
    return (found.length ? found : this.#channels.slice(0, 1)).slice(0, SERIES_MAX);
  }

  async #refresh() {
    if (this.#channels.length === 0) return;
    const settings = settingsOf(route.get().parameters);
    const span = spanOf(settings);
    this.#aborter?.abort();
    this.#aborter = new AbortController();
    this.#showControls(settings, span);
    this.#title.textContent = `${t(`show.${settings.show}`)} · ${this.#spanName(settings, span)}`;
    try {
      this.setAttribute("aria-busy", "true");
      const draw = {power: this.#drawPower, energy: this.#drawEnergy, cost: this.#drawCost, co2: this.#drawCo2}[settings.show];
      await draw.call(this, settings, span, this.#chosen(settings), this.#aborter.signal);
      fill(this.#message);
    } catch (error) {
      if (error.name === "AbortError") return;
      // What the page asks for is well-formed: the bridge refuses costs only where nothing has a price.
      const unpriced = error.status === 400 && (settings.show === "cost" || settings.show === "co2");
      fill(this.#message, notice("warning", unpriced ? t("history.noTariff") : error.message));
      this.#table.hidden = true;
    } finally {
      this.removeAttribute("aria-busy");
    }
  }

  #spanName({range}, [from, to]) {
    if (range === "day") return day(from);
    if (range === "month") return month(from);
    if (range === "year") return String(from.getFullYear());
    return range === "week" ? `${day(from)} – ${day(new Date(to - 1))}` : `${moment(from)} – ${moment(to)}`;
  }

  // ---- controls ----

  #showControls(settings, span) {
    const tabs = (name, values, current, change) => el("div", {class: "tabs", role: "group", "aria-label": t(`history.${name}`)},
      values.map((value) => el("button", {type: "button", "aria-pressed": String(value === current), "data-value": value,
        onclick: () => change(value)}, t(`${name}.${value}`))));
    const focused = document.activeElement?.dataset?.value;
    const resolution = settings.show === "power" ? resolutionsFor(span) : ["", ...bucketsFor(span, settings.show === "co2" ? "cost" : settings.show)];
    fill(this.#controls,
      el("div", {class: "row"},
        tabs("show", this.#shown, settings.show, (show) => this.#change({show, bucket: ""})),
        tabs("range", RANGES, settings.range, (range) => this.#change(this.#rangeChange(range, settings, span)))),
      el("div", {class: "row"}, this.#stepper(settings, span),
        field(t("history.resolution"), select(resolution.map((value) => [value, value ? t(`bucket.${value}`) : t("automatic")]),
          settings.bucket, {onchange: (event) => this.#change({bucket: event.target.value})})),
        field(t("history.compare"), select(["none", "previous", "year"].map((value) => [value, t(`compare.${value}`)]),
          settings.compare, {onchange: (event) => this.#change({compare: event.target.value})})),
        el("button", {type: "button", onclick: () => this.#save(settings, span)}, icon("download"), "CSV")),
      this.#channels.length > 1 && this.#seriesChoice(settings));
    if (focused) this.#controls.querySelector(`[data-value="${CSS.escape(focused)}"]`)?.focus();
  }

  /** A range is entered where one is; a span of one's own begins as what is shown. */
  #rangeChange(range, settings, [from, to]) {
    if (range === "custom") return {range, from: from.toISOString(), to: to.toISOString(), at: ""};
    const now = new Date();
    return {range, at: dateText(from <= now && now < to ? now : from), from: "", to: "", bucket: ""};
  }

  #stepper(settings, [from, to]) {
    const step = (direction, symbol) => el("button", {type: "button", class: "square", "aria-label": t(direction < 0 ? "history.back" : "history.forward"),
      "data-value": `step${direction}`, onclick: () => this.#change(stepped(settings, direction))}, icon(symbol));
    const local = (date) => `${dateText(date)}T${date.toTimeString().slice(0, 5)}`;
    const when = settings.range === "custom"
      ? [["from", from], ["to", to]].map(([name, date]) => field(t(`history.${name}`), el("input", {type: "datetime-local", value: local(date),
        onchange: (event) => event.target.value && this.#change({[name]: new Date(event.target.value).toISOString()})})))
      : [field(t("history.date"), el("input", {type: "date", value: dateText(from),
        onchange: (event) => event.target.value && this.#change({at: event.target.value})}))];
    return el("div", {class: "stepper"}, step(-1, "left"), when, step(1, "right"));
  }

  #seriesChoice(settings) {
    const chosen = this.#chosen(settings).map((channel) => `${channel.device.id}/${channel.channel}`);
    return el("fieldset", {class: "series"}, el("legend", null, t("history.channels")), this.#channels.map((channel) => {
      const id = `${channel.device.id}/${channel.channel}`;
      const index = chosen.indexOf(id);
      const toggle = (event) => this.#change({series: event.target.checked ? [...chosen, id] : chosen.filter((one) => one !== id)});
      return el("label", {class: `chip ${index >= 0 ? SERIES_COLORS[index] : ""}`},
        el("input", {type: "checkbox", checked: index >= 0, onchange: toggle, "data-value": id}), channel.name);
    }));
  }

  async #save(settings, span) {
    const kind = settings.show === "co2" ? "cost" : settings.show;
    for (const channel of this.#chosen(settings)) {
      const bucket = settings.bucket || (kind === "power" ? undefined : usualBucket(span));
      await saveCsv(kind, parameters(channel, span, kind === "power" ? {bucket, points: bucket ? undefined : 1000} : {bucket}),
        `${channel.device.id}-${channel.channel}-${kind}-${dateText(span[0])}.csv`);
    }
  }

  // ---- power ----

  async #drawPower(settings, span, channels, signal) {
    const points = Math.max(200, Math.min(1500, Math.round(this.#chart.clientWidth || 800)));
    const resolution = resolutionsFor(span).includes(settings.bucket) ? settings.bucket : "";
    const compared = comparedSpan(settings.compare, settings);
    const loads = channels.map((channel) => loadPower(channel, span, resolution, points, 0, signal));
    const others = compared ? channels.map((channel) => loadPower(channel, compared, resolution, points, span[0] - compared[0], signal)) : [];
    const [own, other, gaps] = await Promise.all([Promise.all(loads), Promise.all(others), this.#loadGaps(span, channels, signal)]);
    const series = channels.map((channel, index) => ({name: channel.name, color: SERIES_COLORS[index], points: own[index], band: true}));
    other.forEach((list, index) => series.push({name: `${channels[index].name} (${t(`compare.${settings.compare}`)})`,
      color: channels.length === 1 ? "muted" : SERIES_COLORS[index], points: list.map(([time, , mean]) => [time, mean]), dashed: true}));
    this.#showGaps(gaps);
    const legend = (time, selected) => this.#showLegend(series.map((one, index) => {
      if (time === null) {
        const range = rangeOf(one.points.map((point) => (point.length === 2 ? [point[0], point[1], point[1], point[1]] : point)));
        return [one, range ? t("history.powerRange", {mean: power(range.mean), min: power(range.min), max: power(range.max)}) : "–"];
      }
      const point = selected[index];
      if (!point || point[2] === null) return [one, "–"];
      return [one, point[1] === point[3] ? power(point[2]) : t("history.powerRange", {mean: power(point[2]), min: power(point[1]), max: power(point[3])})];
    }), time);
    await this.#chart.draw({series, gaps, from: +span[0], to: +span[1], format: axisPower, onselect: legend, onzoom: (from, to) => this.#zoom(from, to)});
    legend(null);
    this.#showTable([t("table.from"), ...channels.map((channel) => channel.name)],
      own[0].map((point, index) => [moment(point[0]), ...own.map((list) => power(list[index]?.[2]))]));
  }

  #zoom(from, to) {
    if (to - from < 10000) return;
    this.#change({range: "custom", from: new Date(from).toISOString(), to: new Date(to).toISOString(), at: "", bucket: ""});
  }

  async #loadGaps([from, to], channels, signal) {
    const loads = channels.map((channel) => get("history/gaps", parameters(channel, [from, to < new Date() ? to : new Date()], {min: "60s"}), signal).catch(() => []));
    const known = Math.min(+to, Date.now());
    return (await Promise.all(loads)).flat().map((gap) => ({...gap, start: Date.parse(gap.start), end: Math.min(known, Date.parse(gap.end))}));
  }

  // ---- energy and cost ----

  async #drawEnergy(settings, span, channels, signal) {
    const bucket = bucketsFor(span, "energy").includes(settings.bucket) ? settings.bucket : usualBucket(span);
    await this.#drawBars(settings, span, channels, signal, bucket, {
      load: loadEnergy, rows: (document) => document, format: energy, axis: axisEnergy,
      kinds: [["energy_kwh", 1, ""], ["energy_produced_kwh", -1, t("history.produced")]]});
  }

  async #drawCost(settings, span, channels, signal) {
    const bucket = bucketsFor(span, "cost").includes(settings.bucket) ? settings.bucket : usualBucket(span) === "hour" ? "day" : usualBucket(span);
    let currency = "EUR";
    await this.#drawBars(settings, span, channels, signal, bucket, {
      load: loadCost, format: (value) => money(value, currency), kinds: [["cost", 1, ""]],
      rows: (document) => {
        if (!document.currency) throw new Error(t("history.noTariff"));
        currency = document.currency;
        return document.rows;
      }});
  }

  /** Of what was drawn; known without any tariff. */
  async #drawCo2(settings, span, channels, signal) {
    const bucket = bucketsFor(span, "cost").includes(settings.bucket) ? settings.bucket : usualBucket(span) === "hour" ? "day" : usualBucket(span);
    await this.#drawBars(settings, span, channels, signal, bucket, {
      load: loadCost, rows: (document) => document.rows, format: mass, kinds: [["co2_kg", 1, ""]]});
  }

  async #drawBars(settings, span, channels, signal, bucket, kind) {
    const compared = comparedSpan(settings.compare, settings);
    const load = (of) => Promise.all(channels.map((channel) => kind.load(channel, of, bucket, signal)));
    const [own, other, gaps] = await Promise.all([load(span), compared ? load(compared) : [], this.#loadGaps(span, channels, signal)]);
    const bars = [];
    const columns = channels.length * (compared ? 2 : 1);
    const add = (documents, shift, faint) => documents.forEach((document, index) => {
      for (const [key, sign, mark] of kind.kinds) {
        const rows = kind.rows(document);
        const other = kind.kinds.find(([another]) => another !== key);
        const nothing = Math.abs(totalOf(rows, key)) < 0.0005;
        // Who only feeds back has no bars upwards, and the other way round.
        if (nothing && (sign < 0 || (other && totalOf(rows, other[0]) > 0.0005))) continue;
        bars.push({name: [channels[index].name, mark, faint && `(${t(`compare.${settings.compare}`)})`].filter(Boolean).join(" "),
          color: sign < 0 ? "produced" : SERIES_COLORS[index], faint, columns, column: index + (faint ? channels.length : 0),
          points: barsOf(rows, key, sign, shift), total: rows.every((row) => row[key] === null) ? null : totalOf(rows, key)});
      }
    });
    add(own, 0, false);
    if (compared) add(other, span[0] - compared[0], true);
    this.#showGaps(gaps);
    const legend = (time) => this.#showLegend(bars.map((one) => {
      if (time === null) return [one, kind.format(one.total)];
      const bar = one.points.find(({start, end}) => start <= time && time < end);
      return [one, bar?.value == null ? "–" : kind.format(Math.abs(bar.value)) + (bar.estimated ? ` (${t("history.estimated")})` : "")];
    }), time);
    await this.#chart.draw({bars, gaps: [], from: +span[0], to: +span[1], format: kind.axis ?? kind.format, onselect: legend, onzoom: (from, to) => this.#zoom(from, to)});
    legend(null);
    const first = bars[0]?.points ?? [];
    this.#showTable([t("table.from"), ...bars.map((one) => one.name)],
      first.map((bar, index) => [moment(bar.start), ...bars.map((one) => (one.points[index]?.value == null ? "–" : kind.format(Math.abs(one.points[index].value))))]));
  }

  // ---- what stands below the chart ----

  #showLegend(entries, time) {
    fill(this.#legend, el("p", {class: "legend-time"}, time === null ? t("history.whole") : moment(time)),
      entries.map(([one, text]) => el("p", {class: `legend-entry ${one.color} ${one.faint || one.dashed ? "faint" : ""}`},
        el("span", {class: "legend-name"}, one.name), el("span", {class: "legend-value"}, text))));
  }

  #showGaps(gaps) {
    this.#gaps.hidden = gaps.length === 0;
    const shown = gaps.slice(-20).reverse();
    fill(this.#gaps, el("h2", null, t("history.gaps")), el("ul", null, shown.map((gap) => el("li", null,
      `${moment(gap.start)} – ${moment(gap.end)} (${spanText(gap.end - gap.start)}): `,
      tOr(`reason.${gap.reason}`, gap.reason), this.#channels.length > 1 && ` · ${this.#channels.find((one) => one.device.id === gap.device && one.channel === gap.channel)?.name ?? `${gap.device} ${gap.channel}`}`))),
    gaps.length > shown.length && el("p", {class: "hint"}, t("history.moreGaps", {count: gaps.length - shown.length})));
  }

  /** The same as a table, for those who cannot see a chart; made when it is opened. */
  #showTable(heading, rows) {
    this.#table.hidden = false;
    const body = scrollable(t("history.table"));
    this.#table.ontoggle = () => {
      if (!this.#table.open) return;
      fill(body, el("table", null,
        el("thead", null, el("tr", null, heading.map((text) => el("th", {scope: "col"}, text)))),
        el("tbody", null, rows.slice(0, 1000).map((cells) => el("tr", null, cells.map((text, index) =>
          (index === 0 ? el("th", {scope: "row"}, text) : el("td", null, text))))))));
    };
    fill(this.#table, el("summary", null, t("history.table")), body);
    if (this.#table.open) this.#table.ontoggle();
  }
}

customElements.define("bl-history", History);
