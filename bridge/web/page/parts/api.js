// The HTTP API of the bridge: documents, requests, history and the stream of what changes.
import {el, Value} from "./ui.js";

// Relative to the page, so that it works below any path: web.base_path, a proxy's, Home Assistant's ingress.
const base = new URL("api/v1/", document.baseURI);

/** A login is needed before anything can be shown. */
export const loginNeeded = new Value(false);

export class ApiError extends Error {
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

async function failure(response) {
  const body = await response.json().catch(() => ({}));
  if (response.status === 401) loginNeeded.set(true);
  return new ApiError(body.error || `HTTP ${response.status}`, response.status);
}

export function address(path, parameters = {}) {
  const url = new URL(path, base);
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== null && value !== "") url.searchParams.set(name, value);
  }
  return url;
}

/** A document: get("info"), get("history/power", {device: "house"}). */
export async function get(path, parameters, signal) {
  const response = await fetch(address(path, parameters), {signal});
  if (!response.ok) throw await failure(response);
  return response.json();
}

/** A request of docs/mqtt.md; resolves to its data. */
export async function request(name, body = {}) {
  const response = await fetch(address(`request/${name}`), {
    method: "POST", headers: {"Content-Type": "application/json"}, body: JSON.stringify(body)});
  if (!response.ok) throw await failure(response);
  return (await response.json()).data;
}

/** The history as CSV, saved as a file. */
export async function saveCsv(kind, parameters, name) {
  const response = await fetch(address(`history/${kind}`, parameters), {headers: {Accept: "text/csv"}});
  if (!response.ok) throw await failure(response);
  const link = document.createElement("a");
  link.href = URL.createObjectURL(await response.blob());
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10000);
}

/** Saves what an address below api/v1 answers as a file; the browser shows its progress. */
export function saveFile(path) {
  const link = el("a", {href: address(path), download: ""});
  document.body.append(link);
  link.click();
  link.remove();
}

/** Sends a file to api/v1/upload/<kind>; onprogress(sent, total). */
export function upload(kind, file, onprogress) {
  return new Promise((resolve, reject) => {
    const sending = new XMLHttpRequest(); // fetch does not tell how much was sent
    sending.open("PUT", address(`upload/${kind}`));
    sending.upload.onprogress = ({loaded, total}) => onprogress(loaded, total);
    sending.onload = () => {
      let body = {};
      try {
        body = JSON.parse(sending.responseText);
      } catch {
        // A proxy's own page: the status says enough.
      }
      if (sending.status === 401) loginNeeded.set(true);
      if (sending.status === 200) resolve(body);
      else reject(new ApiError(body.error || `HTTP ${sending.status}`, sending.status));
    };
    sending.onerror = () => reject(new ApiError("The connection was lost.", 0));
    sending.send(file);
  });
}

export async function session() {
  return (await fetch(address("session"))).json();
}

export async function logIn(password) {
  const response = await fetch(address("login"), {method: "POST", body: JSON.stringify({password})});
  if (!response.ok) throw new ApiError((await response.json()).error, response.status);
}

export async function logOut() {
  await fetch(address("logout"), {method: "POST"});
}

// ---- what changes ----

/** "connecting", "open" or "lost". */
export const connection = new Value("connecting");
/** The list of bridge/devices. */
export const devices = new Value([]);
/** {id: state} and {id: true or false}; the same object each time, changed in place. */
export const states = new Value({});
export const online = new Value({});
export const health = new Value(null);
/** The last event of bridge/event; null at first. */
export const lastEvent = new Value(null);
/** Lines of the log, the newest last. */
export const log = new Value([]);

/** The job on a module that runs or ran last; null: none. It goes on whether anybody looks or not. */
export const job = new Value(null);

const LOG_LINES = 1000;
const RETRY_MS = 2000;
let source = null;
let retry = null;

async function loadDevices() {
  try {
    devices.set(await get("devices"));
  } catch {
    // The stream says whether the bridge is there.
  }
}

function on(name, work) {
  source.addEventListener(name, (event) => work(JSON.parse(event.data)));
}

/** Devices and states as they are now, for the first picture: the stream begins a moment later. */
export async function loadPresent() {
  const [list, present] = await Promise.all([get("devices"), get("state")]);
  states.set(present);
  devices.set(list);
}

/** A page that is left, but kept by the browser, must not keep one of the few connections that it has for a host. */
export function disconnect() {
  clearTimeout(retry);
  source?.close();
}

/** Opens the stream and keeps it open until the page goes. */
export function connect() {
  clearTimeout(retry);
  source?.close();
  log.set([]);
  source = new EventSource(address("stream"));
  source.onopen = () => {
    const again = connection.get() === "lost";
    connection.set("open");
    if (again || devices.get().length === 0) loadDevices();
  };
  source.onerror = () => {
    connection.set("lost");
    // The browser tries again by itself unless it got an answer that is no stream.
    if (source.readyState !== EventSource.CLOSED) return;
    retry = setTimeout(async () => {
      const {allowed} = await session().catch(() => ({allowed: true}));
      if (allowed) connect();
      else loginNeeded.set(true);
    }, RETRY_MS);
  };
  on("state", ({device, state}) => {
    states.get()[device] = state;
    states.set(states.get());
  });
  on("availability", ({device, state}) => {
    online.get()[device] = state === "online";
    online.set(online.get());
  });
  on("devices", loadDevices);
  on("health", (document) => health.set(document));
  on("job", (document) => job.set(document));
  on("event", (event) => lastEvent.set(event));
  on("log", (line) => log.set([...log.get().slice(1 - LOG_LINES), {...line, received: Date.now()}]));
}
