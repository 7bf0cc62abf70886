// What the source of each channel delivered last, before any calibration: for people who look for a fault.
import {request} from "../../parts/api.js";
import {ago, number} from "../../parts/format.js";
import {t, tOr} from "../../parts/language.js";
import {el, fill, notice, scrollable, View} from "../../parts/ui.js";

const PACE_MS = 2000;

/** The answer of device/raw as rows of cells, one column for each channel. Pure. */
export function rawRows(answer, format) {
  const channels = Object.values(answer.channels);
  const names = [...new Set(channels.flatMap((channel) => channel.registers.map((register) => register.name)))];
  const cell = (channel, name) => {
    const found = channel.registers.find((register) => register.name === name);
    return found ? `${format(found.value)}${found.unit ? ` ${found.unit}` : ""}` : "–";
  };
  return names.map((name) => ({name, cells: channels.map((channel) => cell(channel, name))}));
}

const COUNTERS = ["readings", "frame_errors", "timeouts", "junk_bytes", "chip_resets", "reconnects"];

class Raw extends View {
  device = "";
  #body = el("div", {class: "stack"});

  render() {
    const details = el("details", {class: "card"}, el("summary", null, t("raw.title")), el("p", {class: "hint"}, t("raw.hint")), this.#body);
    fill(this, details);
    details.addEventListener("toggle", () => this.#load());
    this.every(PACE_MS, () => details.open && this.#load());
  }

  async #load() {
    try {
      this.#show(await request("device/raw", {id: this.device}));
    } catch (error) {
      fill(this.#body, notice("bad", error.message));
    }
  }

  #show(answer) {
    const names = Object.keys(answer.channels);
    const channels = Object.values(answer.channels);
    const row = (name, cells) => el("tr", null, el("th", {scope: "row"}, name), cells.map((cell) => el("td", {class: "number"}, cell)));
    fill(this.#body, scrollable(t("raw.title"), el("table", {class: "values"},
      el("thead", null, el("tr", null, el("td"), names.map((name) => el("th", {scope: "col", class: "number"}, name.toUpperCase())))),
      el("tbody", null,
        rawRows(answer, (value) => number(value)).map(({name, cells}) => row(answer.chip ? name : tOr(`property.${name}`, name), cells)),
        row(t("raw.flags"), channels.map((channel) => channel.flags.join(", ") || "–")),
        row(t("raw.time"), channels.map((channel) => (channel.time ? ago(channel.time) : "–"))),
        COUNTERS.map((name) => row(t(`raw.${name}`), channels.map((channel) => (channel.counters ? number(channel.counters[name]) : "–"))))))));
  }
}

customElements.define("bl-raw", Raw);
