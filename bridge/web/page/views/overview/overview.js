// What happens now: the flow of power, each channel, and what is wrong in words.
import {devices, health, online, states} from "../../parts/api.js";
import {channelsOf} from "../../parts/channels.js";
import {t} from "../../parts/language.js";
import {el, fill, icon, notice, View} from "../../parts/ui.js";
import "./channel.js";
import "./flow.js";

class Overview extends View {
  #cards = el("div", {class: "cards"});
  #problems = el("div", {class: "problems"});
  #flow = el("div");
  #ids = null;

  render() {
    const found = document.createElement("bl-found"); // nothing of the first picture waits for it
    fill(this, el("h1", null, t("nav.overview")), this.#problems, found, this.#flow, this.#cards);
    import("./found.js");
    this.watch(devices, (list) => this.#showDevices(list));
    this.watch(health, () => this.#showProblems());
    this.watch(online, () => this.#showProblems());
    let shown = 0;
    this.watch(states, () => { // what is wrong changes seldom
      if (Date.now() - shown < 2000) return;
      shown = Date.now();
      this.#showProblems();
    });
  }

  #showDevices(list) {
    const channels = channelsOf(list);
    const ids = channels.map((channel) => `${channel.device.id}/${channel.channel}/${channel.name}`).join();
    if (ids === this.#ids) return;
    this.#ids = ids;
    const flow = document.createElement("bl-flow");
    flow.channels = channels;
    fill(this.#flow, channels.length > 0 && flow);
    if (channels.length === 0) {
      fill(this.#cards, el("section", {class: "card empty"}, el("h2", null, t("overview.empty")),
        el("p", null, t("overview.emptyText")),
        el("p", null, el("a", {class: "button primary", href: "#/setup"}, icon("add"), t("nav.setup")))));
      return;
    }
    fill(this.#cards, channels.map((channel) => {
      const card = document.createElement("bl-channel");
      card.channel = channel;
      return card;
    }));
  }

  #showProblems() {
    const found = (health.get()?.problems ?? []).map((text) => notice("bad", text));
    if (health.get()?.mqtt?.connected === false) found.push(notice("warning", t("overview.noBroker")));
    for (const device of devices.get()) {
      const state = states.get()[device.id];
      const link = el("a", {href: `#/device/${encodeURIComponent(device.id)}`}, device.friendly_name);
      if (!device.disabled && online.get()[device.id] === false) found.push(notice("warning", link, " ", t("overview.offline")));
      else if (state?.data_problem) found.push(notice("warning", link, ": ", state.problem_text ?? t("overview.dataProblem")));
      for (const [key, value] of Object.entries(state ?? {})) {
        if (key.startsWith("alarm_") && value === true) found.push(notice("bad", link, ": ", t("overview.alarm", {name: key.slice(6)})));
      }
    }
    if (found.map((node) => node.textContent).join() === this.#problems.textContent && found.length) return;
    fill(this.#problems, found);
  }
}

customElements.define("bl-overview", Overview);
