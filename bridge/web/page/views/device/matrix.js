// The properties of a device as a table: a row for each, a column for each channel and one for the device. Pure.

/** {columns: ["a", "b", ""], rows: [{name, cells}]}: cells are exposes, or undefined where there is none. "" is the
 *  device itself: its sum, or what it has only once. */
export function matrixOf(device) {
  const channels = (device.channels ?? []).map((channel) => channel.name ?? channel);
  const several = channels.length > 1;
  const columns = several ? [...channels, ""] : [""];
  const rows = new Map();
  for (const expose of device.exposes ?? []) {
    const key = expose.property ?? expose.name;
    const channel = several ? channels.find((one) => key.endsWith(`_${one}`)) : undefined;
    const name = channel === undefined ? key : key.slice(0, -channel.length - 1);
    if (!rows.has(name)) rows.set(name, {name, cells: columns.map(() => undefined)});
    rows.get(name).cells[columns.indexOf(channel ?? "")] = expose;
  }
  return {columns, rows: [...rows.values()]};
}
