// Backups: made, downloaded, and put back from a file.
import {address, connection, get, request, saveFile, upload} from "../../parts/api.js";
import {bytes, moment} from "../../parts/format.js";
import {t} from "../../parts/language.js";
import {busy, confirmed, el, field, fill, notice, View} from "../../parts/ui.js";

/** What a checked backup holds, as lines of text, and what of it can be restored. Pure. */
export function contentsOf({history, config}, words) {
  const lines = [];
  if (history) {
    const known = history.channels.filter((channel) => channel.first);
    const first = known.map((channel) => channel.first).sort()[0];
    const last = known.map((channel) => channel.last).sort().at(-1);
    lines.push(history.problem ?? (first ? words.history(history.channels.length, first, last) : words.emptyHistory));
  }
  if (config) lines.push(config.problem ?? words.config(config.devices));
  return {lines, history: Boolean(history && !history.problem), config: Boolean(config && !config.problem)};
}

const WORDS = {
  history: (count, first, last) => t("restore.history", {count, first: moment(first), last: moment(last)}),
  get emptyHistory() {
    return t("restore.historyEmpty");
  },
  config: (names) => t("restore.config", {names: names.join(", ") || t("none")}),
};

class Backup extends View {
  #list = el("ul", {class: "plain"});
  #last = el("div");

  render() {
    fill(this, el("section", {class: "card stack"}, el("h2", null, t("about.backup")), el("p", null, t("about.backupText")), this.#maker(),
      el("details", null, el("summary", null, t("backup.kept")), this.#list)),
    el("section", {class: "card stack"}, el("h2", null, t("restore.title")), el("p", null, t("restore.text")), this.#last, this.#restorer()));
    this.#showList();
    this.watch(connection, (state) => state === "open" && this.#showLast());
  }

  async #showList() {
    const list = await get("backups").catch(() => []);
    fill(this.#list, list.map((backup) => el("li", null,
      el("a", {href: address(`backups/${encodeURIComponent(backup.name)}`), download: ""}, moment(backup.made)),
      ` · ${bytes(backup.bytes)} · ${t(backup.config ? "backup.withConfig" : "backup.historyOnly")}`)), list.length === 0 && el("li", null, t("none")));
  }

  #maker() {
    const place = el("div");
    const button = el("button", {type: "button", class: "primary"}, t("backup.make"));
    button.onclick = () => busy(button, place, async () => {
      const answer = await request("backup", {include_config: true});
      fill(place, notice("good", t("about.backupDone", {path: answer.path ?? "", size: bytes(answer.bytes)})));
      saveFile(`backups/${encodeURIComponent(answer.path.split("/").at(-1))}`);
      this.#showList();
    });
    return el("div", null, el("p", null, button), place);
  }

  // ---- putting one back ----

  async #showLast() {
    const {last} = await request("restore/state").catch(() => ({}));
    fill(this.#last, last && notice(last.ok ? "good" : "bad", `${moment(last.time)}: ${last.sentence}`));
  }

  #restorer() {
    const place = el("div");
    const checked = el("div");
    const file = el("input", {type: "file", accept: ".tar,.db,application/x-tar", required: true});
    const button = el("button", {class: "primary"}, t("restore.check"));
    const submit = (event) => {
      event.preventDefault();
      fill(checked);
      busy(button, place, async () => {
        const bar = el("progress", {max: 1, value: 0, "aria-label": t("restore.sending")});
        fill(place, notice("", t("restore.sending"), " ", bar));
        await upload("backup", file.files[0], (sent, total) => {
          bar.value = sent / total;
          if (sent === total) fill(place, notice("", t("restore.checking")));
        });
        const answer = await request("restore/check");
        fill(place);
        this.#showContents(checked, contentsOf(answer, WORDS));
      });
    };
    return el("form", {class: "stack", onsubmit: submit}, field(t("restore.file"), file, t("restore.fileHint")), el("div", null, button), place, checked);
  }

  #showContents(place, contents) {
    const message = el("div");
    const history = el("input", {type: "checkbox", checked: contents.history, disabled: !contents.history});
    const config = el("input", {type: "checkbox", checked: contents.config, disabled: !contents.config});
    const check = (input, label) => {
      const row = field(label, input);
      row.classList.add("check");
      row.append(input, row.querySelector("label"));
      return row;
    };
    const button = el("button", {type: "button", class: "danger", disabled: !contents.history && !contents.config}, t("restore.do"));
    button.onclick = async () => {
      if (!await confirmed(t("restore.do"), t("restore.confirm"), t("restore.do"), t("cancel"))) return;
      await busy(button, message, async () => {
        await request("restore", {history: history.checked, config: config.checked});
        fill(place, notice("", t("restore.under")));
      });
    };
    fill(place, el("ul", null, contents.lines.map((line) => el("li", null, line))),
      check(history, t("restore.withHistory")), check(config, t("restore.withConfig")), el("p", {class: "hint"}, t("restore.what")), el("div", null, button), message);
  }
}

customElements.define("bl-backup", Backup);
