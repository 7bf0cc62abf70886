// Meters on the broker that are not read yet: a banner that appears by itself.
import {devices, health, request} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {el, fill, notice, View} from "../../parts/ui.js";

/** What is retained on the broker comes at once. */
const LISTEN_S = 4;
const AGAIN_MS = 600000;
const SHOWN = 5;

/** The meters of permit_join's answer that no device reads yet. ids: of the devices. Pure. */
export function newOnes(modules, ids) {
  return (modules ?? []).filter((module) => !module.configured && !ids.includes(module.id ?? module.device?.id));
}

let found = [];
let asked = -AGAIN_MS;

class Found extends View {
  render() {
    this.watch(devices, () => this.#show());
    this.watch(health, (document) => document?.mqtt?.connected && this.#ask());
  }

  async #ask() {
    if (performance.now() - asked < AGAIN_MS) return;
    asked = performance.now();
    try {
      found = (await request("permit_join", {time: LISTEN_S})).modules;
    } catch {
      return; // somebody else is searching
    }
    this.#show();
  }

  #show() {
    const names = newOnes(found, devices.get().map((device) => device.id)).map((module) => module.topic);
    fill(this, names.length > 0 && notice("good",
      t(names.length === 1 ? "found.one" : "found.many", {count: names.length, names: names.slice(0, SHOWN).join(", ")}), " ",
      el("a", {href: "#/modules?search=75"}, t("modules.adopt"))));
  }
}

customElements.define("bl-found", Found);
