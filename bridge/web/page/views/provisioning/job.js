// The job on a module that runs, or ran last: it goes on when this page is closed, and is shown again.
import {address, job, request} from "../../parts/api.js";
import {bytes, number, power, span} from "../../parts/format.js";
import {t, tOr} from "../../parts/language.js";
import {busy, confirmed, el, fill, notice, View, write} from "../../parts/ui.js";
import {cancelLeaves, factsOf, filesOf, leftBy, progressOf} from "./progress.js";

class Job extends View {
  #stage = el("h2");
  #bar = el("progress", {max: 100, "aria-label": t("flash.progress")});
  #numbers = el("p", {class: "hint"});
  #notes = el("ol", {class: "log notes", "aria-live": "polite"});
  #result = el("div", {class: "stack"});
  #message = el("div");
  #cancel = el("button", {type: "button", class: "danger", onclick: () => this.#stop()}, t("flash.cancel"));
  #shown = "";

  render() {
    const card = el("section", {class: "card stack"}, this.#stage, this.#bar, this.#numbers, el("div", null, this.#cancel), this.#message, this.#result,
      el("details", {open: true}, el("summary", null, t("flash.notes")), this.#notes));
    fill(this, card);
    this.watch(job, (document) => {
      card.hidden = !document;
      if (document) this.#show(document);
    });
  }

  #show(document) {
    const running = document.state === "running";
    const {percent, rate, remaining} = progressOf(document);
    write(this.#stage, running ? `${t(`flash.job.${document.job}`)}: ${tOr(`stage.${document.stage}`, document.stage)}`
      : `${t(`flash.job.${document.job}`)}: ${t(`flash.state.${document.state}`)}`);
    this.#bar.hidden = !running;
    if (percent === null) this.#bar.removeAttribute("value");
    else this.#bar.value = percent;
    write(this.#numbers, running ? [percent !== null && `${percent} %`, rate !== null && `${bytes(rate)}/s`,
      remaining !== null && t("flash.remaining", {span: span(remaining * 1000)}),
      document.retries > 0 && t("flash.retries", {count: number(document.retries)})].filter(Boolean).join(" · ") : document.port);
    this.#cancel.hidden = !running;
    const notes = document.notes.join("\n");
    if (notes !== this.#notes.dataset.text) {
      this.#notes.dataset.text = notes;
      fill(this.#notes, document.notes.map((text) => el("li", null, el("span", {class: "message"}, text))));
    }
    const result = `${document.started} ${document.state}`;
    if (result === this.#shown) return;
    this.#shown = result;
    fill(this.#message);
    fill(this.#result, running ? null : this.#end(document));
  }

  #end({answer, error, ...document}) {
    const left = leftBy(document);
    const device = answer?.adopted?.id;
    return [error && notice("bad", error), left && notice(document.changing ? "warning" : "", t(left)),
      document.state === "done" && notice("good", t("flash.done")),
      (answer?.warnings ?? []).map((text) => notice("warning", text)),
      Object.entries(answer?.channels ?? {}).map(([channel, measured]) => measured && el("p", null,
        t("flash.reading", {channel: channel.toUpperCase(), power: power(measured.power_w), voltage: `${number(measured.voltage_v ?? 0, 1)} V`}))),
      device && el("p", null, el("a", {class: "button primary", href: `#/device/${encodeURIComponent(device)}`}, t("setup.open"))),
      filesOf(answer).map((name) => el("p", null, el("a", {class: "button", href: address(`files/${encodeURIComponent(name)}`), download: name}, t("flash.download", {name})))),
      el("dl", {class: "facts"}, factsOf(answer).map(([key, text]) => [el("dt", null, tOr(`fact.${key}`, key)), el("dd", null, text)]))];
  }

  async #stop() {
    const text = t(cancelLeaves(job.get()));
    if (!await confirmed(t("flash.cancelTitle"), text, t("flash.cancel"), t("flash.goOn"))) return;
    await busy(this.#cancel, this.#message, async () => {
      await request("flash/cancel");
      fill(this.#message, notice("", t("flash.cancelling")));
    });
  }
}

customElements.define("bl-job", Job);
