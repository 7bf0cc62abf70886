// Calibration of a channel against a reference, and correction of what was measured before.
import {devices, request, states} from "../../parts/api.js";
import {channelsOf} from "../../parts/channels.js";
import {energy, moment, number, power} from "../../parts/format.js";
import {t} from "../../parts/language.js";
import {formatRoute, route} from "../../parts/route.js";
import {busy, el, field, fill, notice, scrollable, select, View, write} from "../../parts/ui.js";
import {steadiness} from "./steady.js";

const WINDOW_MS = 15000;
const FACTORS = ["voltage", "current", "power"];

class Calibration extends View {
  #id = route.get().rest[0];
  #channel = "";
  #body = el("div");
  #samples = [];
  #seen = null;
  #shown = false;

  render() {
    fill(this, el("p", {class: "crumb"}, el("a", {href: formatRoute({name: "device", rest: [this.#id]})}, `‹ ${devices.get().find((one) => one.id === this.#id)?.friendly_name ?? this.#id}`)),
      el("h1", null, t("nav.calibration")), el("p", null, t("calibration.intro")), this.#body);
    this.#body.classList.add("stack");
    this.watch(devices, (list) => {
      const channels = channelsOf(list).filter((channel) => channel.device.id === this.#id);
      if (this.#shown || channels.length === 0) return;
      this.#shown = true;
      this.#channel = channels[0].channel;
      this.#showForm(channels);
    });
  }

  #showForm(channels) {
    const live = Object.fromEntries(FACTORS.map((name) => [name, el("dd", null, "–")]));
    const steady = el("p", {role: "status"});
    const change = (event) => {
      this.#channel = event.target.value;
      this.#samples = [];
    };
    fill(this.#body,
      el("section", {class: "card"}, el("h2", null, t("calibration.now")),
        channels.length > 1 && field(t("channel"), select(channels.map((one) => [one.channel, one.name]), this.#channel, {onchange: change})),
        el("dl", {class: "live"}, FACTORS.map((name) => el("div", null, el("dt", null, t(`property.${name}`)), live[name]))), steady),
      this.#measureCard(), this.#pastCard());
    const key = (property) => channels.find((one) => one.channel === this.#channel).key(property);
    this.watch(states, () => this.#showLive(live, steady, key));
  }

  #showLive(live, steady, key) {
    const state = states.get()[this.#id];
    if (!state) return;
    write(live.voltage, `${number(state[key("voltage")], 1)} V`);
    write(live.current, `${number(state[key("current")], 3)} A`);
    write(live.power, power(state[key("power")]));
    if (state.last_seen === this.#seen || !Number.isFinite(state[key("power")])) return;
    this.#seen = state.last_seen;
    const now = Date.now();
    this.#samples = [...this.#samples.filter((one) => now - one.time < WINDOW_MS), {time: now, power: state[key("power")], current: state[key("current")]}];
    const {verdict, percent} = steadiness(this.#samples);
    write(steady, t(`calibration.${verdict}`, {percent: number(percent ?? 0, 1)}));
  }

  // ---- from now on ----

  #measureCard() {
    const inputs = {
      voltage: el("input", {type: "number", step: "any", min: 1, inputmode: "decimal"}),
      current: el("input", {type: "number", step: "any", min: 0.001, inputmode: "decimal"}),
      power: el("input", {type: "number", step: "any", min: 0.1, inputmode: "decimal"}),
    };
    const seconds = el("input", {type: "number", min: 3, max: 600, value: 20});
    const place = el("div");
    const measure = el("button", {class: "primary"}, t("calibration.measure"));
    const body = () => ({id: this.#id, channel: this.#channel, seconds: Number(seconds.value),
      ...Object.fromEntries(FACTORS.filter((name) => inputs[name].value !== "").map((name) => [name, Number(inputs[name].value)]))});
    const submit = async (event) => {
      event.preventDefault();
      const given = body();
      await busy(measure, place, async () => {
        const answer = await request("device/calibrate", {...given, apply: false});
        this.#showResult(place, answer);
      });
    };
    return el("section", {class: "card"}, el("h2", null, t("calibration.reference")), el("p", {class: "hint"}, t("calibration.referenceHint")),
      el("form", {class: "form", onsubmit: submit},
        field(`${t("property.voltage")} (V)`, inputs.voltage), field(`${t("property.current")} (A)`, inputs.current),
        field(`${t("property.power")} (W)`, inputs.power), field(t("calibration.seconds"), seconds),
        el("div", {class: "row"}, measure)), place);
  }

  #showResult(place, answer) {
    const {old: before, new: after} = answer;
    const warnings = [answer.consistent === false && t("calibration.inconsistent"), answer.reversed && t("calibration.reversed")];
    const rows = FACTORS.map((name) => el("tr", null, el("th", {scope: "row"}, t(`property.${name}`)),
      el("td", {class: "number"}, number(before[name], 2)), el("td", {class: "number"}, number(after[name], 2)),
      el("td", {class: "number"}, before[name] ? `${number((after[name] / before[name] - 1) * 100, 2)} %` : "–")));
    const apply = el("button", {type: "button", class: "primary"}, t("calibration.apply"));
    const done = el("div");
    apply.onclick = () => busy(apply, done, async () => {
      await request("device/calibration/set", {id: this.#id, channel: this.#channel, ...Object.fromEntries(FACTORS.map((name) => [name, after[name]]))});
      const undo = el("button", {type: "button", onclick: () => busy(undo, done, async () => {
        await request("device/calibration/set", {id: this.#id, channel: this.#channel, ...Object.fromEntries(FACTORS.map((name) => [name, before[name]]))});
        fill(done, notice("good", t("calibration.undone")));
      })}, t("undo"));
      fill(done, notice("good", t("calibration.applied"), " ", undo));
      apply.hidden = true;
    });
    fill(place, warnings.filter(Boolean).map((text) => notice("warning", text)),
      scrollable(t("calibration.new"), el("table", null,
        el("thead", null, el("tr", null, el("td"), [t("calibration.old"), t("calibration.new"), t("calibration.change")].map((text) => el("th", {scope: "col", class: "number"}, text)))),
        el("tbody", null, rows))), el("p", {class: "row"}, apply), done);
  }

  // ---- the past ----

  #pastCard() {
    const since = el("input", {type: "datetime-local"});
    const factors = Object.fromEntries(FACTORS.map((name) => [name, el("input", {type: "number", step: "any", min: 1, inputmode: "decimal"})]));
    const place = el("div");
    const preview = el("button", {class: "primary"}, t("calibration.preview"));
    const body = () => ({id: this.#id, channel: this.#channel, since: since.value ? new Date(since.value).toISOString() : undefined,
      ...Object.fromEntries(FACTORS.filter((name) => factors[name].value !== "").map((name) => [name, Number(factors[name].value)]))});
    const submit = async (event) => {
      event.preventDefault();
      await busy(preview, place, async () => {
        const given = body();
        this.#showPreview(place, await request("history/recalibrate", {...given, dry_run: true}), given);
      });
    };
    const undo = el("button", {type: "button", onclick: () => busy(undo, place, async () => {
      await request("history/recalibrate", {id: this.#id, channel: this.#channel, undo: true});
      fill(place, notice("good", t("calibration.undone")));
    })}, t("calibration.undoPast"));
    return el("section", {class: "card"}, el("h2", null, t("calibration.past")), el("p", {class: "hint"}, t("calibration.pastHint")),
      el("form", {class: "form", onsubmit: submit}, field(t("calibration.since"), since),
        FACTORS.map((name) => field(t("calibration.factor", {name: t(`property.${name}`)}), factors[name])),
        el("div", {class: "row"}, preview, undo)), place);
  }

  #showPreview(place, answer, given) {
    const apply = el("button", {type: "button", class: "primary"}, t("calibration.correct"));
    apply.onclick = () => busy(apply, place, async () => {
      await request("history/recalibrate", given);
      fill(place, notice("good", t("calibration.corrected")));
    });
    const rows = ["energy", "energy_produced"].map((name) => el("tr", null, el("th", {scope: "row"}, t(`property.${name}`)),
      el("td", {class: "number"}, energy(answer[name]?.before_kwh)), el("td", {class: "number"}, energy(answer[name]?.after_kwh))));
    fill(place, el("p", null, `${moment(answer.since)} – ${moment(answer.until)}`),
      scrollable(t("calibration.past"), el("table", null,
        el("thead", null, el("tr", null, el("td"), [t("calibration.old"), t("calibration.new")].map((text) => el("th", {scope: "col", class: "number"}, text)))),
        el("tbody", null, rows))), el("p", {class: "row"}, apply));
  }
}

customElements.define("bl-calibration", Calibration);
