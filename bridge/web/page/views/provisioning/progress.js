// A job on a module in words: how far it is, what it leaves, what came of it. Pure.

/** {percent, rate, remaining}: null where it is not known. */
export function progressOf(job) {
  const measured = job.total > 1;
  return {percent: measured ? Math.floor((100 * job.done) / job.total) : null,
    rate: measured ? job.bytes_per_s ?? null : null, remaining: measured ? job.remaining_s ?? null : null};
}

const NETWORK = "openbeken-provision";

/** What it means to stop a job that runs: a key of the texts. */
export function cancelLeaves(job) {
  if (!job?.changing) return "flash.cancelHarmless";
  return job.job === NETWORK ? "network.cancelChanging" : "flash.cancelChanging";
}

/** The text that says what a job that was cancelled, or failed, leaves: a key of the texts. */
export function leftBy(job) {
  if (job.state !== "cancelled" && job.state !== "failed") return null;
  // A module on the network is put back as it was, and the error says so.
  if (job.job === NETWORK && job.changing) return null;
  return job.changing ? "flash.leftChanged" : "flash.leftUnchanged";
}

/** Names of files for download in a job's answer: they stand in the folder of api/v1/files. */
export function filesOf(answer) {
  return [answer?.file, answer?.backup].filter((path) => typeof path === "string" && path.includes("/files/")).map((path) => path.split("/").at(-1));
}

const HIDDEN = ["steps", "config", "error", "warnings", "adopted", "channels", "backup", "file", "rates", "not_tested", "write", "vendor",
  "host", "kept_old_script", "restarted"];

/** [[key, text]] of what is worth showing of an answer. */
export function factsOf(answer) {
  return Object.entries(answer ?? {}).filter(([key, value]) => value !== null && value !== "" && !HIDDEN.includes(key)).flatMap(([key, value]) => {
    if (typeof value !== "object") return [[key, String(value)]];
    if (Array.isArray(value)) return value.length ? [[key, value.map((one) => (typeof one === "object" ? JSON.stringify(one) : one)).join(", ")]] : [];
    return factsOf(value).map(([inner, text]) => [`${key} ${inner}`, text]);
  });
}

/** Host and port of mqtt.server as a module elsewhere reaches them; a loopback address is none for it. */
export function brokerFor(server) {
  const [, host = "", port = ""] = /^(?:mqtts?:\/\/)?(\[[^\]]+\]|[^:/]+)(?::(\d+))?/.exec(server ?? "") ?? [];
  return {host: /^(localhost|127\.|\[::1\])/.test(host) ? "" : host, port: port || "1883"};
}
