// Versions, health, backups, and where to find more.
import {address, get, health, logOut, session} from "../../parts/api.js";
import {bytes, moment, number, span} from "../../parts/format.js";
import {t} from "../../parts/language.js";
import {el, fill, icon, View} from "../../parts/ui.js";
import "./backup.js";

class About extends View {
  #facts = el("dl", {class: "facts"});
  #info = null;

  render() {
    fill(this, el("h1", null, t("nav.about")),
      el("section", {class: "card"}, el("h2", null, "bl2mqtt"), this.#facts),
      document.createElement("bl-backup"),
      el("section", {class: "card"}, el("h2", null, t("about.more")), el("ul", {class: "links"},
        [["logs", "logs"], ["modules", "module"], ["setup", "add"]].map(([name, symbol]) =>
          el("li", null, el("a", {class: "button", href: `#/${name}`}, icon(symbol), t(`nav.${name}`)))),
        el("li", null, el("a", {class: "button", href: address("openapi.json")}, t("about.api"))), this.#logOutButton())),
      el("section", {class: "card"}, el("h2", null, t("about.licences")), el("p", null, t("about.licenceText")),
        el("p", null, el("a", {href: "library/dygraph.txt"}, t("about.dygraphs")))));
    get("info").then((info) => {
      this.#info = info;
      this.#show();
    }).catch(() => {});
    this.watch(health, () => this.#show());
  }

  #show() {
    const info = this.#info ?? {};
    const document = health.get() ?? {};
    const facts = [[t("about.version"), info.version], [t("about.bridge"), info.bridge_id ?? info.id],
      [t("about.uptime"), document.process && span(document.process.uptime_s * 1000)],
      [t("about.memory"), document.process && bytes(document.process.memory_kb * 1024)],
      [t("about.broker"), document.mqtt && t(document.mqtt.connected ? "about.connected" : "about.disconnected")],
      [t("about.published"), document.mqtt?.published !== undefined && number(document.mqtt.published)],
      [t("about.database"), document.history?.bytes && bytes(document.history.bytes)],
      [t("about.backup"), document.backup?.last && `${moment(document.backup.last)}${document.backup.bytes ? `, ${bytes(document.backup.bytes)}` : ""}`],
      [t("device.problems"), (document.problems ?? []).join(" ") || t("none")]];
    fill(this.#facts, facts.filter(([, value]) => value).map(([name, value]) => [el("dt", null, name), el("dd", null, String(value))]));
  }

  #logOutButton() {
    const item = el("li", {hidden: true}, el("button", {type: "button", onclick: async () => {
      await logOut();
      location.reload();
    }}, t("login.out")));
    session().then(({login}) => {
      item.hidden = !login;
    }).catch(() => {});
    return item;
  }
}

customElements.define("bl-about", About);
