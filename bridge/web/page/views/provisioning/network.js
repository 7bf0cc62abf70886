// A module with OpenBeken that is on the network already: script and flags of its meter, names, broker, first readings.
import {job, request} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {busy, el, field, fill, notice, View} from "../../parts/ui.js";
import "./job.js";
import {adoptField, brokerFields, forget, input, labelled, loadProfiles, nameFields, prefillBroker, secret, typed} from "./module_fields.js";

class Network extends View {
  render() {
    const place = el("div");
    const profile = el("select");
    const module = {host: input({required: true, maxlength: 255, placeholder: "192.168.1.20"}), web_password: secret()};
    const names = nameFields();
    const broker = brokerFields();
    const adopt = adoptField();
    const begin = el("button", {class: "primary"}, t("network.begin"));
    const submit = (event) => {
      event.preventDefault();
      const texts = {...module, ...names, ...broker};
      busy(begin, place, async () => {
        await request("openbeken/provision", {...typed(texts), ...(profile.value && {profile: profile.value}), adopt: adopt.box.checked});
        forget(texts);
        scrollTo({top: 0});
      });
    };
    fill(this, el("p", {class: "crumb"}, el("a", {href: "#/modules"}, `‹ ${t("nav.modules")}`)), el("h1", null, t("network.title")),
      document.createElement("bl-job"),
      el("section", {class: "card stack"}, el("p", null, t("network.text")),
        el("form", {class: "stack", onsubmit: submit},
          el("h2", null, t("network.module")), el("div", {class: "form"}, labelled(module), field(t("flash.profile"), profile, t("network.profileHint"))),
          el("h2", null, t("flash.names")), el("div", {class: "form"}, labelled(names)),
          el("h2", null, t("setup.broker")), el("div", {class: "form"}, labelled(broker)),
          adopt.node, notice("", t("network.note")), el("div", null, begin), place)));
    prefillBroker(broker);
    loadProfiles(profile, t("network.asItIs"), () => {}).catch((error) => fill(place, notice("bad", error.message)));
    this.watch(job, (document) => {
      begin.disabled = document?.state === "running";
    });
  }
}

customElements.define("bl-network", Network);
