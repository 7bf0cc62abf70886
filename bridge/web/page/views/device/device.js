// One device: what it measures, how well, what happened, and its settings.
import {devices, get, health, lastEvent, online, request, states} from "../../parts/api.js";
import {ago, moment, number, property} from "../../parts/format.js";
import {loadSettingsTexts, t, tOr} from "../../parts/language.js";
import {formatRoute, route} from "../../parts/route.js";
import {schemaForm} from "../../parts/schema_form.js";
import {busy, confirmed, el, field, fill, icon, notice, scrollable, View, write} from "../../parts/ui.js";
import {statusBadge} from "./devices.js";
import {matrixOf} from "./matrix.js";
import "./raw.js";

/** Set elsewhere on this page, or never. */
export const NOT_SETTINGS = ["id", "name", "channels", "driver", "alarms"];
const EVENT_DAYS = 7;
/** In other words among the diagnostics, or above them. */
const SHOWN_OTHERWISE = ["last_seen", "frame_errors", "data_problem", "problem_text"];

class Device extends View {
  #id = route.get().rest[0];
  #head = el("div");
  #problem = el("div");
  #values = el("table", {class: "values"});
  #cells = new Map();
  #diagnostics = el("dl", {class: "facts"});
  #events = el("ul", {class: "log"});
  #settings = el("details", {class: "card"});
  #facts = [];
  #factsShown = "";
  #shown = "";

  get #device() {
    return devices.get().find((device) => device.id === this.#id);
  }

  render() {
    fill(this, el("p", {class: "crumb"}, el("a", {href: "#/devices"}, `‹ ${t("nav.devices")}`)), this.#head, this.#problem,
      el("section", {class: "card"}, el("h2", null, t("device.values")), scrollable(t("device.values"), this.#values)),
      el("section", {class: "card"}, el("h2", null, t("device.diagnostics")), this.#diagnostics),
      this.#raw(), this.#settings,
      el("section", {class: "card"}, el("h2", null, t("device.events", {days: EVENT_DAYS})), this.#events));
    this.watch(devices, () => this.#showDevice());
    this.watch(states, () => this.#showValues());
    this.watch(online, () => this.#showHead());
    this.watch(health, () => this.#showDiagnostics());
    this.watch(states, () => this.#showDiagnostics());
    this.watch(lastEvent, (event) => (event === null || event.device === this.#id) && this.#loadEvents());
  }

  #raw() {
    const raw = document.createElement("bl-raw");
    raw.device = this.#id;
    return raw;
  }

  #showDevice() {
    const device = this.#device;
    const key = JSON.stringify(device ?? null);
    if (key === this.#shown) return;
    this.#shown = key;
    if (!device) {
      fill(this.#head, notice("warning", t("device.none", {id: this.#id})));
      return;
    }
    this.#showHead();
    this.#cells.clear();
    const {columns, rows, facts} = matrixOf(device);
    this.#facts = facts.filter(({name}) => !SHOWN_OTHERWISE.includes(name));
    fill(this.#values,
      columns.length > 1 && el("thead", null, el("tr", null, el("td"), columns.map((column) =>
        el("th", {scope: "col", class: "number"}, column ? column.toUpperCase() : t("total"))))),
      el("tbody", null, rows.map(({name, unit, cells}) => el("tr", null,
        el("th", {scope: "row"}, tOr(`property.${name}`, cells.find(Boolean).label ?? name), unit && el("span", {class: "unit"}, ` ${unit}`)),
        columns.map((column, index) => this.#cell(cells[index]))))));
    this.#showValues();
    this.#loadSettings();
  }

  #cell(expose) {
    const cell = el("td", {class: "number"});
    if (expose) this.#cells.set(expose.property ?? expose.name, {cell, expose});
    return cell;
  }

  #showHead() {
    const device = this.#device;
    if (!device) return;
    const calibration = device.channels?.length ? el("a", {class: "button", href: formatRoute({name: "calibration", rest: [this.#id]})}, t("nav.calibration")) : null;
    fill(this.#head, el("div", {class: "row between"},
      el("h1", null, device.friendly_name, " ", statusBadge(device)),
      el("div", {class: "actions"}, calibration,
        el("a", {class: "button", href: formatRoute({name: "history", parameters: {series: `${device.id}/${device.channels?.[0]?.name ?? device.channels?.[0]}`}})}, icon("history"), t("nav.history")))));
  }

  #showValues() {
    const state = states.get()[this.#id];
    for (const [name, {cell, expose}] of this.#cells) write(cell, property(expose, state?.[name], false));
    const problem = state?.data_problem ? state.problem_text ?? t("overview.dataProblem") : "";
    if (problem !== this.#problem.textContent) fill(this.#problem, problem && notice("warning", problem));
  }

  #showDiagnostics() {
    const own = health.get()?.devices;
    const device = Array.isArray(own) ? own.find((one) => one.id === this.#id) : own?.[this.#id];
    if (!device) return;
    const readings = device.readings ?? 0;
    const errors = device.frame_errors ?? 0;
    const rate = readings + errors > 0 ? (100 * errors) / (readings + errors) : 0;
    const facts = [[t("device.readings"), number(readings)],
      [t("device.errors"), `${number(errors)} (${number(rate, 2)} %)`],
      [t("device.lastSeen"), device.last_seen ? ago(device.last_seen) : "–"],
      [t("device.problems"), [device.problems ?? []].flat().map((word) => tOr(`problem.${word}`, word)).join(", ") || t("none")],
      ...this.#facts.map((expose) => [tOr(`property.${expose.name}`, expose.label ?? expose.name), property(expose, states.get()[this.#id]?.[expose.name])])];
    const key = JSON.stringify(facts);
    if (key === this.#factsShown) return;
    this.#factsShown = key;
    fill(this.#diagnostics, facts.map(([name, text]) => [el("dt", null, name), el("dd", null, text)]));
  }

  async #loadEvents() {
    const from = new Date(Date.now() - EVENT_DAYS * 86400000).toISOString();
    const events = await get("history/events", {device: this.#id, from}).catch(() => []);
    fill(this.#events, events.slice(-30).reverse().map((event) => el("li", null, el("time", null, moment(event.time)),
      el("span", {class: "badge"}, event.channel ?? "·"), el("span", {class: "message"}, tOr(`event.${event.kind}`, "") && el("strong", null, `${t(`event.${event.kind}`)}: `), event.message))),
    events.length === 0 && el("li", null, t("device.noEvents")));
  }

  // ---- settings ----

  async #loadSettings() {
    const [info] = await Promise.all([get("info"), loadSettingsTexts()]).catch(() => [null]);
    const schema = info?.config_schema?.properties?.devices?.items;
    const device = this.#device;
    const own = info?.config?.devices?.find?.((one) => one.id === this.#id) ?? {};
    const name = el("input", {type: "text", value: device.friendly_name, maxlength: 64, required: true});
    const form = schema ? schemaForm(schema, own, NOT_SETTINGS, "devices.") : {nodes: [], read: () => undefined};
    const place = el("div");
    const save = el("button", {class: "primary"}, t("save"));
    const submit = async (event) => {
      event.preventDefault();
      await busy(save, place, () => this.#save(name.value.trim(), form.read(), place));
    };
    fill(this.#settings, el("summary", null, t("device.settings")),
      el("form", {onsubmit: submit, class: "form"}, field(t("device.name"), name, t("device.nameHint")), form.nodes,
        el("div", {class: "row"}, save), el("div", {class: "wide"}, place)),
      el("h3", null, t("device.actions")), this.#actions(device));
  }

  async #save(name, options, place) {
    const done = [];
    if (name !== this.#device.friendly_name) {
      await request("device/rename", {from: this.#id, to: name});
      done.push(t("device.renamed"));
    }
    if (options) {
      const answer = await request("device/options", {id: this.#id, options});
      done.push(answer.restart_required ? t("settings.restartRequired") : t("settings.saved"));
    }
    fill(place, notice("good", done.join(" ") || t("settings.unchanged")));
  }

  #actions(device) {
    const place = el("div");
    const toggle = el("button", {type: "button", onclick: () => busy(toggle, place, () =>
      request(device.disabled ? "device/enable" : "device/disable", {id: this.#id}))}, t(device.disabled ? "device.enable" : "device.disable"));
    const remove = el("button", {type: "button", class: "danger", onclick: async () => {
      if (!await confirmed(t("device.removeTitle", {name: device.friendly_name}), t("device.removeText"), t("device.remove"), t("cancel"))) return;
      await busy(remove, place, async () => {
        await request("device/remove", {id: this.#id});
        location.hash = "#/devices";
      });
    }}, t("device.remove"));
    return el("div", {class: "actions"}, toggle, remove, place);
  }
}

customElements.define("bl-device", Device);
