// The properties of a device as a table: a row for each, a column for each channel and one for the device. Pure.
import {isMoney} from "../../parts/format.js";

/** {columns: ["a", "b", ""], rows: [{name, unit, cells}], facts: [expose]}: cells are exposes, or undefined where there
 *  is none. "" is the device itself: its sum, or what it has only once. facts are about the device, not measured;
 *  settings are in neither. */
export function matrixOf(device) {
  const channels = (device.channels ?? []).map((channel) => channel.name ?? channel);
  const several = channels.length > 1;
  const columns = several ? [...channels, ""] : [""];
  const rows = new Map();
  const facts = [];
  for (const expose of device.exposes ?? []) {
    const key = expose.property ?? expose.name;
    if (expose.category === "config") continue;
    const channel = several ? channels.find((one) => key.endsWith(`_${one}`)) : undefined;
    const ofChannels = (device.exposes ?? []).some((one) => channels.some((name) => (one.property ?? one.name) === `${key}_${name}`));
    if (expose.category === "diagnostic" && channel === undefined && !ofChannels && several) {
      facts.push(expose);
      continue;
    }
    const name = channel === undefined ? key : key.slice(0, -channel.length - 1);
    if (!rows.has(name)) rows.set(name, {name, unit: isMoney(expose.unit) ? "" : expose.unit ?? "", cells: columns.map(() => undefined)});
    rows.get(name).cells[columns.indexOf(channel ?? "")] = expose;
  }
  return {columns, rows: [...rows.values()], facts};
}
