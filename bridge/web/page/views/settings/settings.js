// The settings of the whole bridge, from the schema of bridge.yaml; and those of this browser.
import {get, request} from "../../parts/api.js";
import {loadSettingsTexts, storedLanguage, storeLanguage, t, tOr} from "../../parts/language.js";
import {schemaForm} from "../../parts/schema_form.js";
import {storedTheme, storeTheme} from "../../parts/theme.js";
import {busy, confirmed, el, field, fill, notice, select, View} from "../../parts/ui.js";

/** Devices have pages of their own. */
export const NOT_HERE = ["devices"];

class Settings extends View {
  #place = el("div", {class: "stack"});

  render() {
    fill(this, el("h1", null, t("nav.settings")), this.#browserCard(), this.#place);
    this.#load();
  }

  #browserCard() {
    const language = select([["", t("automatic")], ["en", "English"], ["de", "Deutsch"]], storedLanguage(), {onchange: (event) => {
      storeLanguage(event.target.value);
      location.reload();
    }});
    const theme = select([["", t("automatic")], ["light", t("theme.light")], ["dark", t("theme.dark")]], storedTheme(),
      {onchange: (event) => storeTheme(event.target.value)});
    return el("section", {class: "card"}, el("h2", null, t("settings.browser")),
      el("div", {class: "form"}, field(t("settings.language"), language), field(t("settings.theme"), theme)));
  }

  async #load() {
    const [info] = await Promise.all([get("info"), loadSettingsTexts()]).catch((error) => {
      fill(this.#place, notice("bad", error.message));
      return [null];
    });
    const groups = Object.entries(info?.config_schema?.properties ?? {}).filter(([key]) => !NOT_HERE.includes(key));
    if (!info) return;
    fill(this.#place, info.restart_required && this.#restartNotice(), groups.map(([key, schema]) => this.#card(key, schema, info.config?.[key])));
  }

  #restartNotice() {
    const place = el("div");
    const restart = el("button", {type: "button", onclick: () => busy(restart, place, () => request("restart"))}, t("settings.restart"));
    return notice("warning", t("settings.restartRequired"), " ", restart, place);
  }

  /** A group is one form; a list of groups, such as the tariffs, is a form with one control. */
  #card(key, schema, value) {
    const list = [schema.type].flat().includes("array");
    const form = list ? schemaForm({properties: {[key]: schema}}, {[key]: value}) : schemaForm(schema, value, [], `${key}.`);
    const place = el("div");
    const save = el("button", {class: "primary"}, t("save"));
    const submit = async (event) => {
      event.preventDefault();
      await busy(save, place, async () => {
        const changes = form.read();
        if (!changes) {
          fill(place, notice("", t("settings.unchanged")));
          return;
        }
        const answer = await request("options", {options: list ? changes : {[key]: changes}});
        fill(place, notice("good", answer.restart_required ? t("settings.restartRequired") : t("settings.saved")));
        if (answer.restart_required && await confirmed(t("settings.restart"), t("settings.restartText"), t("settings.restart"), t("later"))) {
          await request("restart");
        }
      });
    };
    return el("details", {class: "card", "data-group": key}, el("summary", null, tOr(`group.${key}`, key)),
      el("form", {onsubmit: submit, class: "form"}, form.nodes, el("div", {class: "row"}, save), el("div", {class: "wide"}, place)));
  }
}

customElements.define("bl-settings", Settings);
