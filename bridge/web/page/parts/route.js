// The address behind #: which view, what of it, and its parameters, so that a link holds the whole view.
import {Value} from "./ui.js";

/** "#/device/house?x=1" is {name: "device", rest: ["house"], parameters: {x: "1"}}. */
export function parseRoute(hash) {
  const [path, query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [name = "", ...rest] = path.split("/").filter(Boolean).map(decodeURIComponent);
  return {name: name || "overview", rest, parameters: Object.fromEntries(new URLSearchParams(query))};
}

export function formatRoute({name, rest = [], parameters = {}}) {
  const query = new URLSearchParams(Object.entries(parameters).filter(([, value]) => value !== "" && value != null));
  const path = [name, ...rest].map(encodeURIComponent).join("/");
  return `#/${path}${query.size ? `?${query}` : ""}`;
}

export const route = new Value(parseRoute(""));

/** Changes the parameters of the view that is shown, without a new step back in the browser. */
export function setParameters(parameters) {
  const next = {...route.get(), parameters};
  history.replaceState(null, "", formatRoute(next));
  route.set(parseRoute(location.hash));
}
