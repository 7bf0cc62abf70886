// A module as it was bought, on a serial adapter: probe, line test, backup, and the whole way to its readings.
import {job, request, upload} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {busy, el, field, fill, notice, select, View} from "../../parts/ui.js";
import "./job.js";
import {adoptField, brokerFields, forget, input, labelled, loadProfiles, nameFields, prefillBroker, secret, typed} from "./module_fields.js";

class Flash extends View {
  #port = el("select", {required: true});
  #reset = select(["none", "rts", "dtr", "rts-dtr"].map((line) => [line, t(`flash.reset.${line}`)]), "none");
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
    const names = nameFields();
    const wifi = {wifi_ssid: input({required: true, maxlength: 32}), wifi_password: secret()};
    const broker = brokerFields();
    const later = {module_host: input({})};
    const adopt = adoptField();
    const begin = el("button", {class: "primary"}, t("flash.begin"));
    this.#starts.push(begin);
    prefillBroker(broker);
    loadProfiles(this.#profile, null, (profile) => fill(wiring, profile ? `${profile.wiring}\n${t("flash.wanted", {image: profile.image?.text ?? ""})}` : ""))
      .catch((error) => fill(place, notice("bad", error.message)));
    const submit = (event) => {
      event.preventDefault();
      const texts = {...names, ...wifi, ...broker, ...later};
      busy(begin, place, async () => {
        if (!file.files[0] && !path.value.trim()) throw new Error(t("flash.noFirmware"));
        if (file.files[0]) await upload("firmware", file.files[0], () => {});
        await this.#start({job: "provision", profile: this.#profile.value, firmware: file.files[0] ? "upload" : path.value.trim(), adopt: adopt.box.checked, ...typed(texts)});
        forget(texts);
      });
    };
    return el("section", {class: "card stack"}, el("h2", null, t("flash.job.provision")), el("p", null, t("flash.setupText")),
      el("form", {class: "stack", onsubmit: submit}, field(t("flash.profile"), this.#profile), wiring,
        el("div", {class: "form"}, field(t("flash.firmware"), file, t("flash.firmwareHint")), field(t("flash.path"), path, t("flash.pathHint"))),
        el("h3", null, t("flash.names")), el("div", {class: "form"}, labelled(names)),
        el("h3", null, t("flash.wifi")), el("div", {class: "form"}, labelled(wifi), labelled(later)),
        el("h3", null, t("setup.broker")), el("div", {class: "form"}, labelled(broker)),
        adopt.node, notice("warning", t("flash.warning")), el("div", null, begin), place));
  }
}

customElements.define("bl-flash", Flash);
