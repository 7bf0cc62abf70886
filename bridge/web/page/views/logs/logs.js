// The log as it is written, filtered by level and words.
import {log} from "../../parts/api.js";
import {clock} from "../../parts/format.js";
import {t} from "../../parts/language.js";
import {el, field, fill, select, View} from "../../parts/ui.js";

const LEVELS = ["error", "warning", "info"];
const KINDS = {error: "bad", warning: "warning", info: ""};

/** The lines of at least that level that contain the words, the newest first. */
export function filtered(lines, level, words) {
  const wanted = LEVELS.slice(0, LEVELS.indexOf(level) + 1);
  const needle = words.trim().toLowerCase();
  return lines.filter((line) => wanted.includes(line.level) && line.message.toLowerCase().includes(needle)).reverse();
}

class Logs extends View {
  #list = el("ul", {class: "log"});
  #level = select(LEVELS.map((level) => [level, t(`level.${level}`)]), "info", {onchange: () => this.#show()});
  #words = el("input", {type: "search", oninput: () => this.#show()});

  render() {
    fill(this, el("h1", null, t("nav.logs")), el("section", {class: "card"},
      el("div", {class: "form"}, field(t("logs.level"), this.#level), field(t("logs.words"), this.#words)),
      this.#list));
    this.watch(log, () => this.#show());
  }

  #show() {
    const lines = filtered(log.get(), this.#level.value, this.#words.value).slice(0, 300);
    fill(this.#list, lines.map((line) => el("li", null, el("time", null, clock(line.time ?? line.received)),
      el("span", {class: `badge ${KINDS[line.level] ?? ""}`}, t(`level.${line.level}`)), el("span", {class: "message"}, line.message))),
    lines.length === 0 && el("li", null, t("logs.none")));
  }
}

customElements.define("bl-logs", Logs);
