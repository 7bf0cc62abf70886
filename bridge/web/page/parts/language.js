// Texts by language. The tables in texts/ have the same keys; a test compares them.
import {texts as en} from "../texts/en.js";

const tables = {en, de: null};
const STORED = "bl2mqtt-language";
let table = en;
let locale = "en";

/** The language of the page: what was chosen, else the first that the browser wants and there is. */
export function chooseLanguage(stored, wanted) {
  for (const tag of [stored, ...wanted]) {
    const language = tag?.split("-")[0].toLowerCase();
    if (language in tables) return language;
  }
  return "en";
}

export async function loadLanguage() {
  const language = chooseLanguage(localStorage.getItem(STORED), navigator.languages ?? []);
  if (language === "de") table = (await import("../texts/de.js")).texts;
  // Numbers and dates as the browser's own variant of the language has them: de-AT, en-GB.
  locale = navigator.languages?.find((tag) => tag.toLowerCase().startsWith(language)) ?? language;
  document.documentElement.lang = language;
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
  const text = table[key] ?? en[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
}

/** The text of a key, or another text if there is none: for words that the bridge may add. */
export function tOr(key, otherwise) {
  return table[key] ?? en[key] ?? otherwise;
}
