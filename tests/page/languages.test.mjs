// SPDX-License-Identifier: MIT
// What the page says in German, held against what there is to be said: node --test tests/page
import assert from "node:assert/strict";
import {readFileSync} from "node:fs";
import test from "node:test";

globalThis.HTMLElement = class {};
globalThis.customElements = {define() {}};
globalThis.document = {baseURI: "http://host/"};

const top = new URL("../../", import.meta.url);
const load = (name) => import(new URL(`bridge/web/page/${name}`, top));

const {settingsOf} = await load("parts/schema_form.js");
const {NOT_HERE} = await load("views/settings/settings.js");
const {NOT_SETTINGS} = await load("views/device/device.js");
const {texts: en} = await load("texts/settings/en.js");
const {texts: de} = await load("texts/settings/de.js");

const {properties} = JSON.parse(readFileSync(new URL("schema/bridge.schema.json", top)));
/** [[path, schema]] of all that the page lets people set. */
const shown = [...settingsOf({properties}, [...NOT_HERE, "devices"]), ...settingsOf(properties.devices.items, NOT_SETTINGS, "devices.")];
/** A card of the settings has its name from the other table. */
const isCard = ([path, {items, properties: own}]) => !path.includes(".") && (own || items);
const words = (options) => options.filter((option) => /[a-z]{2}/i.test(option));

test("what every setting is called and means stands in German", () => {
  assert.ok(shown.length > 100);
  for (const [path, schema] of shown.filter((one) => !isCard(one))) {
    const name = `key.${path}`;
    assert.ok(en[name], `texts/settings/en.js has no ${name}`);
    assert.ok(de[name], `texts/settings/de.js has no ${name}`);
    const meaning = en[`hint.${path}`] ?? schema.description;
    if (meaning && meaning !== `${en[name]}.`) assert.ok(de[`hint.${path}`], `texts/settings/de.js has no hint.${path}: ${meaning}`);
    for (const option of words(schema.enum ?? [])) assert.ok(de[`choice.${path}.${option}`], `texts/settings/de.js has no choice.${path}.${option}`);
    if (en[`hint.${path}`]) continue; // it says this as well
    for (const otherwise of words([schema["x-otherwise"] ?? ""])) assert.ok(de[`otherwise.${otherwise}`], `texts/settings/de.js has no otherwise.${otherwise}`);
  }
});

test("no text is about a setting that is gone", () => {
  const known = new Set(shown.flatMap(([path, {enum: options, "x-otherwise": otherwise}]) =>
    [`key.${path}`, `hint.${path}`, `otherwise.${otherwise}`, ...(options ?? []).map((option) => `choice.${path}.${option}`)]));
  for (const key of [...Object.keys(en), ...Object.keys(de)]) assert.ok(known.has(key), key);
});

test("no German text is the English one", () => {
  const meanings = new Map(shown.map(([path, {description}]) => [`hint.${path}`, description]));
  for (const [key, text] of Object.entries(de).filter(([name]) => name.startsWith("hint."))) {
    assert.notEqual(text, en[key], key);
    assert.notEqual(text, meanings.get(key), key);
  }
});
