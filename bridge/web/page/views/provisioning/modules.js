// Modules with OpenBeken firmware on the broker: find them, take control of them.
import {request} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {busy, el, fill, notice, View} from "../../parts/ui.js";

const SEARCH_S = 75;

class Modules extends View {
  #list = el("ul", {class: "device-list"});

  render() {
    const place = el("div");
    const find = el("button", {type: "button", class: "primary"}, t("modules.find"));
    find.onclick = () => busy(find, place, async () => {
      fill(place, notice("", t("modules.searching", {seconds: SEARCH_S})), el("progress", {max: SEARCH_S, value: 0, "aria-label": t("modules.find")}));
      const begun = Date.now();
      const timer = setInterval(() => {
        const bar = place.querySelector("progress");
        if (bar) bar.value = (Date.now() - begun) / 1000;
      }, 500);
      try {
        const answer = await request("permit_join", {time: SEARCH_S});
        this.#show(answer.modules ?? []);
        fill(place);
      } finally {
        clearInterval(timer);
      }
    });
    fill(this, el("h1", null, t("nav.modules")),
      el("section", {class: "card"}, el("h2", null, t("modules.onNetwork")), el("p", null, t("modules.intro")), el("p", null, find), place, this.#list),
      el("section", {class: "card"}, el("h2", null, t("modules.newTitle")), el("p", null, t("modules.newText")),
        el("p", null, el("code", null, "bl2mqtt flash provision --port /dev/serial/by-id/… --firmware OpenBK7231N_….rbl --wifi-ssid … --wifi-password-file … --mqtt-host …"))));
  }

  #show(modules) {
    fill(this.#list, modules.map((module) => {
      const place = el("div");
      const topic = module.topic ?? module.client_id;
      const adopt = el("button", {type: "button", class: "primary"}, t("modules.adopt"));
      adopt.onclick = () => busy(adopt, place, async () => {
        const answer = await request("device/adopt", {topic});
        fill(place, notice("good", t("setup.added"), " ", el("a", {href: `#/device/${encodeURIComponent(answer.id)}`}, t("setup.open"))));
        adopt.hidden = true;
      });
      const known = module.device ?? module.id;
      return el("li", {class: "card"}, el("div", {class: "row between"},
        el("span", null, el("strong", null, topic), el("span", {class: "hint"}, [module.version ?? module.firmware, module.chip, module.ip, (module.channels ?? []).join(", ")].filter(Boolean).join(" · "))),
        known ? el("span", {class: "badge good"}, t("modules.known")) : adopt), place);
    }), modules.length === 0 && el("li", null, t("modules.none")));
  }
}

customElements.define("bl-modules", Modules);
