// Texts by language. The tables in texts/ have the same keys; a test compares them. Those of the settings, and the
// sentences of the bridge, come when they are needed first.
import {texts as en} from "../texts/en.js";

const LANGUAGES = ["en", "de"];
const STORED = "bl2mqtt-language";
const english = {...en};
let table = english;
let locale = "en";
let current = "en";
let settings = null;

/** The language of the page: what was chosen, else the first that the browser wants and there is. */
export function chooseLanguage(stored, wanted) {
  for (const tag of [stored, ...wanted]) {
    const language = tag?.split("-")[0].toLowerCase();
    if (LANGUAGES.includes(language)) return language;
  }
  return "en";
}

export async function loadLanguage() {
  const language = chooseLanguage(localStorage.getItem(STORED), navigator.languages ?? []);
  current = language;
  if (language === "de") table = {...(await import("../texts/de.js")).texts};
  // Numbers and dates as the browser's own variant of the language has them: de-AT, en-GB.
  locale = navigator.languages?.find((tag) => tag.toLowerCase().startsWith(language)) ?? language;
  document.documentElement.lang = language;
}

/** What the settings are called and mean: wait for it before a form of settings is made. */
export function loadSettingsTexts() {
  settings ??= Promise.all([import("../texts/settings/en.js"), current === "de" && import("../texts/settings/de.js")]).then(([own, other]) => {
    Object.assign(english, own.texts);
    if (other) Object.assign(table, other.texts);
  });
  return settings;
}

export function storeLanguage(language) {
  if (language) localStorage.setItem(STORED, language);
  else localStorage.removeItem(STORED);
}

export function storedLanguage() {
  return localStorage.getItem(STORED) ?? "";
}

export function currentLocale() {
  return locale;
}

/** The text of that key, with {name} replaced. A key without a text is shown as it is. */
export function t(key, values = {}) {
  const text = table[key] ?? english[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The text of a key, or another text if there is none: for words that the bridge may add. */
export function tOr(key, otherwise) {
  return table[key] ?? english[key] ?? otherwise;
}

/** Whether English is the language of the page: the bridge itself speaks it. */
export function isEnglish() {
  return table === english;
}

/** Whether the English table has a text of its own for it. */
export function hasEnglish(key) {
  return key in english;
}
