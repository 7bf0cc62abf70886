// What every module is given, over the cable or over the network: profile, names, broker, and whether it is added.
import {get, request} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {HIDDEN} from "../../parts/schema_form.js";
import {el, field, fill} from "../../parts/ui.js";
import {brokerFor} from "./progress.js";

export const input = (attributes) => el("input", {type: "text", autocomplete: "off", ...attributes});
export const secret = (attributes) => input({type: "password", autocomplete: "new-password", maxlength: 63, ...attributes});

const HINTS = {client_id: "flash.clientIdHint", wifi_password: "flash.wifiPasswordHint", mqtt_host: "flash.mqttHostHint", module_host: "flash.moduleHostHint",
  host: "flash.hostHint", web_password: "flash.webPasswordHint"};

export const nameFields = () => ({client_id: input({required: true, maxlength: 63, placeholder: "cellar/meter"}), name: input({maxlength: 63})});
export const brokerFields = () => ({mqtt_host: input({required: true}), mqtt_port: input({type: "number", min: 1, max: 65535, value: "1883"}),
  mqtt_user: input({}), mqtt_password: secret()});

/** {client_id: input, ...} as labelled fields. */
export const labelled = (texts) => Object.entries(texts).map(([key, node]) => field(t(`flash.${key}`), node, HINTS[key] && t(HINTS[key])));

/** What was typed, as a request takes it. */
export const typed = (texts) => Object.fromEntries(Object.entries(texts)
  .map(([key, node]) => [key, node.type === "number" ? Number(node.value) : node.value]).filter(([, value]) => value));

/** Passwords do not stay in the page once they were sent. */
export function forget(texts) {
  for (const node of Object.values(texts)) if (node.type === "password") node.value = "";
}

/** The broker that this bridge uses, as far as a module elsewhere can use it too. */
export function prefillBroker(texts) {
  get("info").then(({config}) => {
    const broker = brokerFor(config?.mqtt?.server);
    texts.mqtt_host.value ||= broker.host;
    texts.mqtt_port.value = broker.port;
    if (config?.mqtt?.user && config.mqtt.user !== HIDDEN) texts.mqtt_user.value = config.mqtt.user;
  }).catch(() => {});
}

/** A checkbox with its label behind it. */
export function adoptField() {
  const box = el("input", {type: "checkbox", checked: true});
  const node = field(t("flash.adopt"), box);
  node.classList.add("check");
  node.prepend(box);
  return {box, node};
}

/** Fills the list with the kinds of meter for OpenBeken; shown(profile) with each choice, null for the first, empty one. */
export async function loadProfiles(list, first, shown) {
  const profiles = (await request("flash/profiles")).profiles.filter((profile) => profile.openbeken);
  fill(list, first && el("option", {value: ""}, first), profiles.map((profile) => el("option", {value: profile.name}, profile.title)));
  list.onchange = () => shown(profiles.find((one) => one.name === list.value) ?? null);
  list.onchange();
}
