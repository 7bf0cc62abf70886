// One channel: its power now, the last hour, and what it comes to today and this month.
import {get, online, states} from "../../parts/api.js";
import {sumsOf} from "../../parts/channels.js";
import {ago, energy, money, number, powerParts} from "../../parts/format.js";
import {t} from "../../parts/language.js";
import {formatRoute} from "../../parts/route.js";
import {el, fill, icon, View, write} from "../../parts/ui.js";
import {sparkline} from "./sparkline.js";

const HOUR_MS = 3600000;
const REFRESH_MS = 60000;
/** A value that is older than this is shown as old. */
const STALE_MS = 90000;

class Channel extends View {
  channel = null;
  #value = el("span", {class: "value"});
  #unit = el("span", {class: "unit"});
  #direction = el("span", {class: "direction"});
  #details = el("p", {class: "details"});
  #sums = el("dl", {class: "sums"});
  #age = el("p", {class: "age", hidden: true});
  #line = sparkline();
  #card;

  render() {
    const {device, channel, name} = this.channel;
    const link = formatRoute({name: "history", parameters: {series: `${device.id}/${channel}`}});
    this.#card = el("article", {class: "card channel"},
      el("header", null, el("h2", null, el("a", {href: formatRoute({name: "device", rest: [device.id]})}, name)), this.#direction),
      el("p", {class: "power"}, this.#value, " ", this.#unit), this.#details,
      el("a", {class: "spark", href: link, "aria-label": t("overview.lastHour", {name})}, this.#line.node),
      this.#sums, this.#age);
    fill(this, this.#card);
    this.every(REFRESH_MS, () => this.#load());
    this.every(5000, () => this.#showAge());
    this.watch(states, () => this.#show());
    this.watch(online, () => this.#showAge());
  }

  get #state() {
    return states.get()[this.channel.device.id];
  }

  #show() {
    const state = this.#state;
    const value = (property) => state?.[this.channel.key(property)];
    const watts = value("power");
    const {text, unit} = powerParts(watts === undefined ? null : watts);
    write(this.#value, text);
    write(this.#unit, unit);
    this.#showDirection(watts);
    write(this.#details, [["voltage", "V", 1], ["current", "A", 2]].map(([property, mark, decimals]) =>
      `${number(value(property), decimals)}\u202f${mark}`).join(" · "));
    if (Number.isFinite(watts)) this.#line.add(Date.now(), watts);
    this.#showAge();
  }

  #showDirection(watts) {
    const name = !Number.isFinite(watts) || Math.abs(watts) < 0.5 ? "" : watts > 0 ? "in" : "out";
    if (this.#direction.dataset.name === name) return;
    this.#direction.dataset.name = name;
    fill(this.#direction, name && icon(name), name && t(`direction.${name}`));
  }

  #showAge() {
    const state = this.#state;
    const seen = state?.last_seen ? new Date(state.last_seen).getTime() : null;
    const offline = online.get()[this.channel.device.id] === false;
    const stale = offline || (seen !== null && Date.now() - seen > STALE_MS);
    this.#card.classList.toggle("stale", stale);
    this.#age.hidden = !stale;
    if (stale) write(this.#age, seen ? t("overview.stale", {ago: ago(seen)}) : t("overview.never"));
  }

  async #load() {
    const {device, channel} = this.channel;
    const from = new Date(Date.now() - HOUR_MS).toISOString();
    const rows = await get("history/power", {device: device.id, channel, from, points: 120}).catch(() => []);
    this.#line.set(rows.map((row) => [new Date(row.start).getTime(), row.power_mean_w, row.power_min_w, row.power_max_w]));
    const sums = await sumsOf(device.id, channel);
    const produced = sums.producedMonth > 0.0005;
    const entry = (label, kwh, produce, cost) => el("div", null, el("dt", null, label), el("dd", null, energy(kwh),
      produced && el("span", {class: "produced"}, `${t("overview.fedBack")} ${energy(produce)}`),
      cost !== null && el("span", {class: "cost"}, money(cost, sums.currency))));
    fill(this.#sums, entry(t("today"), sums.today, sums.producedToday, sums.costToday),
      entry(t("thisMonth"), sums.month, sums.producedMonth, sums.costMonth));
  }
}

customElements.define("bl-channel", Channel);
