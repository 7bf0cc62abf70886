// The list of devices.
import {devices, online} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {formatRoute} from "../../parts/route.js";
import {el, fill, icon, View} from "../../parts/ui.js";

export function statusBadge(device) {
  if (device.disabled) return el("span", {class: "badge"}, t("device.disabled"));
  const up = online.get()[device.id];
  if (up === undefined) return el("span", {class: "badge"}, t("device.unknown"));
  return el("span", {class: `badge ${up ? "good" : "bad"}`}, t(up ? "device.online" : "device.offline"));
}

class Devices extends View {
  #list = el("ul", {class: "device-list"});

  render() {
    fill(this, el("div", {class: "row between"}, el("h1", null, t("nav.devices")),
      el("div", {class: "actions"}, el("a", {class: "button", href: "#/modules"}, icon("module"), t("nav.modules")),
        el("a", {class: "button primary", href: "#/setup"}, icon("add"), t("nav.setup")))), this.#list);
    let known = "";
    const show = () => {
      const key = JSON.stringify([devices.get().map((device) => [device.id, device.friendly_name, device.disabled]), online.get()]);
      if (key === known) return;
      known = key;
      fill(this.#list, devices.get().map((device) => el("li", null,
        el("a", {class: "card", href: formatRoute({name: "device", rest: [device.id]})},
          el("span", null, el("strong", null, device.friendly_name),
            el("span", {class: "hint"}, [device.id, device.driver, device.model].filter(Boolean).join(" · "))), statusBadge(device)))));
      if (devices.get().length === 0) fill(this.#list, el("li", {class: "card"}, t("overview.emptyText")));
    };
    this.watch(devices, show);
    this.watch(online, show);
  }
}

customElements.define("bl-devices", Devices);
