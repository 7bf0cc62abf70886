// A form from a JSON Schema: what can be set, with its meaning, its default and its bounds. Reads back only what
// was changed. Its texts must be there: loadSettingsTexts().
import {number} from "./format.js";
import {hasEnglish, isEnglish, t, tOr} from "./language.js";
import {el, field} from "./ui.js";

const SECRET = /password|token|secret|^key$/;

/** What the bridge shows in place of a secret. */
export const HIDDEN = "***";

/** The form control that suits a schema. */
export function kindOf(schema, key) {
  const types = [schema.type ?? []].flat();
  if (schema.enum) return "choice";
  if (schema.properties) return "group"; // also where true or false may stand for it
  if (types.includes("boolean")) return "flag";
  if (types.includes("object")) return "other";
  if (types.includes("array")) return schema.items?.properties ? "list" : "words";
  if (types.includes("integer") || (types.includes("number") && !types.includes("string"))) return "number";
  return SECRET.test(key) ? "secret" : types.includes("string") ? "text" : "other";
}

/** "a, b" to ["a", "b"]. */
export function wordsOf(text) {
  return text.split(",").map((word) => word.trim()).filter(Boolean);
}

/** [[path, schema]] of all that a form shows of a schema, with what stands in groups and lists. Pure. */
export function settingsOf(schema, without = [], path = "") {
  return Object.entries(schema.properties ?? {}).filter(([key, one]) => !without.includes(key) && kindOf(one, key) !== "other").flatMap(([key, one]) =>
    [[`${path}${key}`, one], ...settingsOf(one.items?.properties ? one.items : one, [], `${path}${key}.`)]);
}

/** What a key is called, with its unit. */
const labelOf = (key, schema, path) => tOr(`key.${path}`, key) + (schema["x-unit"] ? ` (${schema["x-unit"]})` : "");

/** What it means: in the table of texts for people who do not read bridge.yaml, else in the schema, which is English. */
function meaningOf(schema, path) {
  const meaning = tOr(`hint.${path}`, isEnglish() ? schema.description ?? "" : "");
  return (meaning === `${tOr(`key.${path}`, "")}.` ? "" : meaning).replaceAll("`", "");
}

const explained = (schema, path) => el("p", {class: "hint", hidden: !meaningOf(schema, path)}, meaningOf(schema, path));

const choiceOf = (path, option) => tOr(`choice.${path}.${option}`, String(option));

function defaultOf({default: value}, path) {
  if (typeof value === "boolean") return t(value ? "form.on" : "form.off");
  return typeof value === "number" ? number(value, String(value).split(".")[1]?.length ?? 0) : [value].flat().map((one) => choiceOf(path, one)).join(", ");
}

function hintOf(schema, path) {
  const parts = [meaningOf(schema, path)];
  if (schema.default !== undefined) parts.push(t("form.default", {value: defaultOf(schema, path)}));
  // A table's own English hint says this as well.
  else if (schema["x-otherwise"] && !hasEnglish(`hint.${path}`)) parts.push(t("form.otherwise", {value: tOr(`otherwise.${schema["x-otherwise"]}`, schema["x-otherwise"]).replaceAll("`", "")}));
  return parts.filter(Boolean).join(" ");
}

/** {node, read()}: read() is undefined while nothing was changed. */
function control(key, schema, value, path) {
  const kind = value === HIDDEN ? "secret" : kindOf(schema, key);
  const label = labelOf(key, schema, path);
  if (kind === "group") return group(label, schema, typeof value === "boolean" ? {enabled: value} : value ?? {}, path);
  if (kind === "list") return list(label, schema, value ?? [], path);
  const shown = value ?? schema.default;
  const hint = hintOf(schema, path);
  if (kind === "flag") {
    const input = el("input", {type: "checkbox", checked: shown === true, name: key});
    const node = field(label, input, hint);
    node.classList.add("check");
    node.prepend(input);
    return {node, read: () => (input.checked === (shown === true) ? undefined : input.checked)};
  }
  if (kind === "choice") {
    const options = [...new Set(schema.enum.map(String))];
    const input = el("select", {name: key}, options.map((option) => el("option", {value: option, selected: option === String(shown)}, choiceOf(path, option))));
    return {node: field(label, input, hint), read: () => (input.value === String(shown) ? undefined
      : schema.enum.find((option) => String(option) === input.value))};
  }
  if (kind === "other") return null;
  const text = kind === "words" ? (shown ?? []).join(", ") : kind === "secret" ? "" : shown ?? "";
  const input = el("input", {type: kind === "number" ? "number" : kind === "secret" ? "password" : "text", name: key,
    value: String(text), step: kind === "number" ? "any" : null, min: schema.minimum, max: schema.maximum,
    maxlength: schema.maxLength,
    placeholder: kind === "secret" ? (value ? t("form.unchanged") : "") : schema.examples?.[0],
    autocomplete: kind === "secret" ? "new-password" : "off"});
  const read = () => {
    if (input.value === String(text)) return undefined;
    if (kind === "number") return input.value === "" ? undefined : Number(input.value);
    return kind === "words" ? wordsOf(input.value) : input.value;
  };
  return {node: field(label, input, hint), read};
}

function group(label, schema, value, path) {
  const form = schemaForm(schema, value, [], `${path}.`);
  const node = el("fieldset", {class: "settings-group wide"}, el("legend", null, label),
    explained(schema, path), el("div", {class: "form"}, form.nodes));
  return {node, read: form.read};
}

/** A list of groups is read back whole as soon as anything in it was changed. */
function list(label, schema, values, path) {
  const items = [];
  const place = el("div");
  let changed = false;
  const add = (value) => {
    const form = schemaForm(schema.items, value, [], `${path}.`);
    const item = {value, form};
    const remove = el("button", {type: "button", class: "danger", onclick: () => {
      items.splice(items.indexOf(item), 1);
      node.remove();
      changed = true;
    }}, t("form.remove"));
    const node = el("div", {class: "list-item"}, el("div", {class: "form"}, form.nodes), el("div", {class: "row end"}, remove));
    items.push(item);
    place.append(node);
  };
  values.forEach(add);
  const button = el("button", {type: "button", onclick: () => {
    add({});
    changed = true;
  }}, t("form.add"));
  const read = () => {
    const read_ = items.map(({value, form}) => ({value, changes: form.read()}));
    if (!changed && read_.every(({changes}) => changes === undefined)) return undefined;
    return read_.map(({value, changes}) => ({...value, ...changes}));
  };
  return {node: el("fieldset", {class: "settings-group wide"}, el("legend", null, label),
    explained(schema, path), place, button), read};
}

/** {nodes, read()} for the properties of a schema of type object; without: keys that are left out; path: where they stand in bridge.yaml, for their
 *  names in the texts: "tariffs.". */
export function schemaForm(schema, value, without = [], path = "") {
  const controls = Object.entries(schema.properties ?? {}).filter(([key]) => !without.includes(key))
    .map(([key, property]) => [key, control(key, property, value?.[key], `${path}${key}`)]).filter(([, made]) => made);
  const read = () => {
    const changes = Object.fromEntries(controls.map(([key, {read: one}]) => [key, one()]).filter(([, change]) => change !== undefined));
    return Object.keys(changes).length ? changes : undefined;
  };
  return {nodes: controls.map(([, {node}]) => node), read};
}
