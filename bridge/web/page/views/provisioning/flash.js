// A module as it was bought, on a serial adapter: probe, line test, backup, and the whole way to its readings.
import {get, job, request, upload} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {HIDDEN} from "../../parts/schema_form.js";
import {busy, el, field, fill, notice, select, View} from "../../parts/ui.js";
import "./job.js";
import {brokerFor} from "./progress.js";

const input = (attributes) => el("input", {type: "text", autocomplete: "off", ...attributes});

class Flash extends View {
  #port = el("select", {required: true});
  #reset = select(["none", "rts", "dtr", "rts-dtr"].map((line) => [line, t(`flash.reset.${line}`)]), "none");
  #profiles = [];
  #profile = el("select", {required: true});
  #starts = [];

  render() {
    fill(this, el("p", {class: "crumb"}, el("a", {href: "#/modules"}, `‹ ${t("nav.modules")}`)), el("h1", null, t("flash.title")),
      document.createElement("bl-job"), this.#lineCard(), this.#setupCard());
    this.watch(job, (document) => {
      for (const button of this.#starts) button.disabled = document?.state === "running";
    });
  }

  #start(body) {
    return request("flash/start", {port: this.#port.value, reset: this.#reset.value, ...body}).then(() => scrollTo({top: 0}));
  }

  // ---- adapter and wires ----

  #lineCard() {
    const place = el("div");
    const refresh = el("button", {type: "button"}, t("setup.refresh"));
    const load = () => busy(refresh, place, async () => {
      const {ports} = await request("ports");
      const nameOf = (one) => one.by_id ?? one.path;
      fill(this.#port, ports.map((one) => el("option", {value: nameOf(one)}, [nameOf(one), one.description].filter(Boolean).join(" – "))));
      if (ports.length === 0) fill(place, notice("warning", t("setup.noPorts")));
    });
    refresh.onclick = load;
    load();
    const buttons = ["probe", "link-test", "backup"].map((kind) => {
      const button = el("button", {type: "button"}, t(`flash.job.${kind}`));
      button.onclick = () => busy(button, place, () => this.#start({job: kind}));
      return button;
    });
    this.#starts.push(...buttons);
    return el("section", {class: "card stack"}, el("h2", null, t("flash.line")), el("p", {class: "hint"}, t("flash.lineHint")),
      el("div", {class: "form"}, field(t("setup.port"), this.#port), field(t("flash.reset"), this.#reset, t("flash.resetHint"))),
      el("div", {class: "actions"}, refresh, ...buttons), place);
  }

  // ---- the whole way ----

  #setupCard() {
    const place = el("div");
    const wiring = el("p", {class: "hint prewrap"});
    const file = el("input", {type: "file"});
    const path = input({placeholder: "firmware/OpenBK7231N_QIO.bin"});
    const texts = {client_id: input({required: true, maxlength: 63, placeholder: "cellar/meter"}), name: input({maxlength: 63}),
      wifi_ssid: input({required: true, maxlength: 32}), wifi_password: input({type: "password", autocomplete: "new-password", maxlength: 63}),
      mqtt_host: input({required: true}), mqtt_port: input({type: "number", min: 1, max: 65535, value: "1883"}),
      mqtt_user: input({}), mqtt_password: input({type: "password", autocomplete: "new-password"}), module_host: input({})};
    const adopt = el("input", {type: "checkbox", checked: true});
    const adopted = field(t("flash.adopt"), adopt);
    adopted.classList.add("check");
    adopted.prepend(adopt);
    const begin = el("button", {class: "primary"}, t("flash.begin"));
    this.#starts.push(begin);
    request("flash/profiles").then(({profiles}) => {
      this.#profiles = profiles.filter((profile) => profile.openbeken);
      fill(this.#profile, this.#profiles.map((profile) => el("option", {value: profile.name}, profile.title)));
      this.#profile.onchange();
    }).catch((error) => fill(place, notice("bad", error.message)));
    this.#profile.onchange = () => {
      const profile = this.#profiles.find((one) => one.name === this.#profile.value);
      fill(wiring, profile ? `${profile.wiring}\n${t("flash.wanted", {image: profile.image?.text ?? ""})}` : "");
    };
    get("info").then(({config}) => {
      const broker = brokerFor(config?.mqtt?.server);
      texts.mqtt_host.value = broker.host;
      texts.mqtt_port.value = broker.port;
      if (config?.mqtt?.user && config.mqtt.user !== HIDDEN) texts.mqtt_user.value = config.mqtt.user;
    }).catch(() => {});
    const submit = (event) => {
      event.preventDefault();
      busy(begin, place, async () => {
        if (!file.files[0] && !path.value.trim()) throw new Error(t("flash.noFirmware"));
        if (file.files[0]) await upload("firmware", file.files[0], () => {});
        const given = Object.entries(texts).map(([key, node]) => [key, node.type === "number" ? Number(node.value) : node.value]).filter(([, value]) => value);
        await this.#start({job: "provision", profile: this.#profile.value, firmware: file.files[0] ? "upload" : path.value.trim(), adopt: adopt.checked, ...Object.fromEntries(given)});
        texts.wifi_password.value = "";
        texts.mqtt_password.value = "";
      });
    };
    const hints = {client_id: "flash.clientIdHint", wifi_password: "flash.wifiPasswordHint", mqtt_host: "flash.mqttHostHint", module_host: "flash.moduleHostHint"};
    return el("section", {class: "card stack"}, el("h2", null, t("flash.job.provision")), el("p", null, t("flash.setupText")),
      el("form", {class: "stack", onsubmit: submit}, field(t("flash.profile"), this.#profile), wiring,
        el("div", {class: "form"}, field(t("flash.firmware"), file, t("flash.firmwareHint")), field(t("flash.path"), path, t("flash.pathHint")),
          Object.entries(texts).map(([key, node]) => field(t(`flash.${key}`), node, hints[key] && t(hints[key])))),
        adopted, notice("warning", t("flash.warning")), el("div", null, begin), place));
  }
}

customElements.define("bl-flash", Flash);
