// Adding a meter, and the first start: port, chips, names, broker.
import {devices, get, health, request} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {HIDDEN} from "../../parts/schema_form.js";
import {busy, el, field, fill, notice, select, View} from "../../parts/ui.js";
import {deviceFor, idFrom} from "./device_for.js";

const ROUTES = ["serial", "tcp", "esphome", "openbeken"];

class Setup extends View {
  #way = "serial";
  #step = el("div");

  render() {
    fill(this, el("h1", null, t("nav.setup")), el("ol", {class: "steps"},
      el("li", null, el("section", {class: "card"}, el("h2", null, t("setup.way")),
        el("p", {class: "hint"}, t("setup.wayHint")),
        field(t("setup.connected"), select(ROUTES.map((way) => [way, t(`setup.${way}`)]), this.#way, {onchange: (event) => {
          this.#way = event.target.value;
          this.#showWay();
        }})))),
      el("li", null, this.#step), el("li", null, this.#brokerCard())));
    this.#showWay();
  }

  #showWay() {
    if (this.#way === "openbeken") {
      fill(this.#step, el("section", {class: "card"}, el("h2", null, t("setup.find")), el("p", null, t("setup.modules")),
        el("a", {class: "button primary", href: "#/modules"}, t("nav.modules"))));
    } else if (this.#way === "serial") {
      this.#showSerial();
    } else {
      const input = el("input", {type: "text", required: true, placeholder: this.#way === "tcp" ? "192.168.1.31:8891" : "em-attic"});
      const way = this.#way;
      this.#showForm([field(t(`setup.${way}Address`), input, t(`setup.${way}Hint`))], () => ({way, address: input.value.trim()}));
    }
  }

  // ---- chips on a serial port ----

  #showSerial() {
    const place = el("div");
    const found = el("div");
    const port = el("select", {required: true});
    const scan = el("button", {type: "button", class: "primary"}, t("setup.scan"));
    const refresh = el("button", {type: "button"}, t("setup.refresh"));
    const load = () => busy(refresh, place, async () => {
      const answer = await request("ports");
      const {ports} = answer;
      fill(port, ports.map((one) => el("option", {value: one.by_id ?? one.path},
        [one.by_id ?? one.path, one.description, one.holder && t("setup.held", {holder: one.holder.name ?? one.holder})].filter(Boolean).join(" – "))));
      scan.disabled = ports.length === 0;
      if (ports.length === 0) fill(place, notice("warning", t("setup.noPorts")));
    });
    refresh.onclick = load;
    scan.onclick = () => busy(scan, place, async () => {
      fill(place, notice("", t("setup.scanning")));
      const answer = await request("scan", {port: port.value});
      const chips = Array.isArray(answer) ? answer : answer.chips ?? answer.found ?? [];
      fill(place, chips.length === 0 ? notice("warning", t("setup.noChips")) : notice("good", t("setup.chips", {count: chips.length})));
      if (chips.length > 0) this.#showForm([], () => ({way: "serial", port: port.value, chips}), found);
    });
    fill(this.#step, el("section", {class: "card"}, el("h2", null, t("setup.find")), el("p", {class: "hint"}, t("setup.scanHint")),
      field(t("setup.port"), port), el("p", {class: "row"}, scan, refresh), place, found));
    load();
  }

  // ---- the device ----

  #showForm(before, read, place = this.#step) {
    const name = el("input", {type: "text", required: true, maxlength: 64, placeholder: t("setup.nameExample")});
    const add = el("button", {class: "primary"}, t("setup.add"));
    const message = el("div");
    const submit = async (event) => {
      event.preventDefault();
      await busy(add, message, async () => {
        const device = deviceFor({...read(), name: name.value.trim(), id: idFrom(name.value, devices.get().map((one) => one.id))});
        const answer = await request("device/add", device);
        fill(message, notice("good", t("setup.added"), " ", el("a", {href: `#/device/${encodeURIComponent(answer.id ?? device.id)}`}, t("setup.open"))));
      });
    };
    const form = el("form", {class: "stack", onsubmit: submit}, before, field(t("device.name"), name, t("setup.nameHint")), el("div", null, add), message);
    fill(place, place === this.#step ? el("section", {class: "card"}, el("h2", null, t("setup.find")), form) : form);
  }

  // ---- the broker ----

  #brokerCard() {
    const server = el("input", {type: "text", placeholder: "mqtt://192.168.1.2:1883"});
    const user = el("input", {type: "text", autocomplete: "off"});
    const password = el("input", {type: "password", autocomplete: "new-password"});
    const save = el("button", {class: "primary"}, t("save"));
    const test = el("button", {type: "button"}, t("setup.test"));
    const place = el("div");
    const status = el("div");
    const entered = () => ({server: server.value.trim(), ...(user.value && {user: user.value}), ...(password.value && {password: password.value})});
    test.onclick = () => busy(test, place, async () => {
      const {connected, reason} = await request("mqtt/test", {mqtt: entered()});
      fill(place, connected ? notice("good", t("setup.brokerWorks")) : notice("bad", reason));
    });
    get("info").then((info) => {
      server.value = info.config?.mqtt?.server ?? "";
      const known = info.config?.mqtt?.user ?? "";
      if (known === HIDDEN) user.placeholder = t("form.unchanged");
      else user.value = known;
    }).catch(() => {});
    this.watch(health, (document) => document && fill(status, document.mqtt?.connected
      ? notice("good", t("setup.brokerGood")) : notice("warning", t("overview.noBroker"))));
    const submit = async (event) => {
      event.preventDefault();
      await busy(save, place, async () => {
        const answer = await request("options", {options: {mqtt: entered()}});
        fill(place, notice("good", t(answer.restart_required ? "settings.restartRequired" : "settings.saved")));
        if (answer.restart_required) await request("restart");
      });
    };
    return el("section", {class: "card"}, el("h2", null, t("setup.broker")), el("p", {class: "hint"}, t("setup.brokerHint")), status,
      el("form", {class: "form", onsubmit: submit}, field(t("setup.server"), server), field(t("setup.user"), user), field(t("login.password"), password),
        el("div", {class: "row"}, save, test)), place);
  }
}

customElements.define("bl-setup", Setup);
