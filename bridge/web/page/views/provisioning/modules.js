// Modules with OpenBeken firmware on the broker: find them, take control of them.
import {request} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {route} from "../../parts/route.js";
import {busy, el, fill, notice, View} from "../../parts/ui.js";

const SEARCH_S = 75;

/** Seconds to listen for: those of the address, if it has any. */
const secondsOf = (asked) => Math.min(600, Math.max(1, Number(asked) || SEARCH_S));

class Modules extends View {
  #list = el("ul", {class: "device-list"});

  render() {
    const place = el("div");
    const find = el("button", {type: "button", class: "primary"}, t("modules.find"));
    const seconds = secondsOf(route.get().parameters?.search);
    find.onclick = () => busy(find, place, async () => {
      fill(place, notice("", t("modules.searching", {seconds})), el("progress", {max: seconds, value: 0, "aria-label": t("modules.find")}));
      const begun = Date.now();
      const timer = setInterval(() => {
        const bar = place.querySelector("progress");
        if (bar) bar.value = (Date.now() - begun) / 1000;
      }, 500);
      try {
        const answer = await request("permit_join", {time: seconds});
        this.#show(answer.modules ?? []);
        fill(place);
      } finally {
        clearInterval(timer);
      }
    });
    fill(this, el("h1", null, t("nav.modules")),
      el("section", {class: "card"}, el("h2", null, t("modules.onNetwork")), el("p", null, t("modules.intro")), el("p", null, find), place, this.#list),
      el("section", {class: "card"}, el("h2", null, t("network.title")), el("p", null, t("network.intro")),
        el("p", null, el("a", {class: "button", href: "#/network"}, t("network.title")))),
      el("section", {class: "card"}, el("h2", null, t("modules.newTitle")), el("p", null, t("modules.newText")),
        el("p", null, el("a", {class: "button", href: "#/flash"}, t("flash.title")))));
    if (route.get().parameters?.search) find.click(); // the overview's banner leads here
  }

  #show(modules) {
    fill(this.#list, modules.map((module) => {
      const place = el("div");
      const {topic} = module;
      const adopt = el("button", {type: "button", class: "primary"}, t("modules.adopt"));
      adopt.onclick = () => busy(adopt, place, async () => {
        // Another meter than an OpenBeken module comes with its lines for bridge.yaml.
        const answer = module.device ? await request("device/add", module.device) : await request("device/adopt", {topic});
        fill(place, notice("good", t("setup.added"), " ", el("a", {href: `#/device/${encodeURIComponent(answer.id)}`}, t("setup.open"))));
        adopt.hidden = true;
      });
      return el("li", {class: "card"}, el("div", {class: "row between"},
        el("span", null, el("strong", null, topic), el("span", {class: "hint"}, [module.name, module.build ?? module.driver, module.chipset].filter(Boolean).join(" · "))),
        module.configured ? el("span", {class: "badge good"}, t("modules.known")) : adopt), (module.notes ?? []).map((note) => el("p", {class: "hint"}, note)), place);
    }), modules.length === 0 && el("li", null, t("modules.none")));
  }
}

customElements.define("bl-modules", Modules);
