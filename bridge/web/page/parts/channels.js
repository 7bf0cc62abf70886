// What a device's channels are: the keys of its state, today's energy, and which part of a house each is.
import {get} from "./api.js";

/** The key of a property for a channel: power_a, or power for a device that has one channel only. */
export function keyOf(device, property, channel) {
  const suffixed = `${property}_${channel}`;
  return device.exposes?.some((expose) => expose.property === suffixed || expose.name === suffixed) ? suffixed : property;
}

/** [{device, channel, name, key(property)}] of all devices that are not disabled. */
export function channelsOf(devices) {
  return devices.filter((device) => !device.disabled).flatMap((device) => (device.channels ?? []).map((entry) => {
    const channel = typeof entry === "string" ? entry : entry.name;
    const label = typeof entry === "object" && entry.label ? entry.label : null;
    const only = device.channels.length === 1;
    return {device, channel, only,
      name: label ?? (only ? device.friendly_name : `${device.friendly_name} ${channel.toUpperCase()}`),
      key: (property) => keyOf(device, property, channel)};
  }));
}

const WORDS = {
  solar: /solar|pv|photo|inverter|wechselrichter|balkon/i,
  grid: /grid|netz|mains|utility|einspeis|bezug/i,
};

/** What part of the house a channel is: grid, solar or load. Chosen by the user, else by its name and by what it
 *  has counted: a channel that mostly feeds back is solar. */
export function roleOf(channel, state, chosen = {}) {
  const id = `${channel.device.id}/${channel.channel}`;
  if (chosen[id]) return chosen[id];
  const words = `${channel.device.id} ${channel.name} ${channel.channel}`;
  for (const [role, pattern] of Object.entries(WORDS)) if (pattern.test(words)) return role;
  const drawn = state?.[channel.key("energy")] ?? 0;
  const produced = state?.[channel.key("energy_produced")] ?? 0;
  return produced > 1 && produced > drawn * 3 ? "solar" : "load";
}

/**
 * The power between grid, solar and home. entries: [{role, power}], power positive when drawn. Without a meter at
 * the grid, home is what the loads draw, and the grid makes up the difference.
 */
export function flowOf(entries) {
  const sum = (role) => {
    const known = entries.filter((entry) => entry.role === role && Number.isFinite(entry.power));
    return known.length ? known.reduce((total, entry) => total + entry.power, 0) : null;
  };
  const solarPower = sum("solar");
  const solar = solarPower === null ? null : Math.max(0, -solarPower);
  const load = sum("load");
  let grid = sum("grid");
  let home;
  if (grid !== null) home = grid + (solar ?? 0);
  else {
    home = load;
    grid = load === null ? null : load - (solar ?? 0);
  }
  return {grid, solar, home: home === null ? null : Math.max(0, home)};
}

const CHOSEN = "bl2mqtt-roles";

export function chosenRoles() {
  try {
    return JSON.parse(localStorage.getItem(CHOSEN)) ?? {};
  } catch {
    return {};
  }
}

export function chooseRole(id, role) {
  const roles = chosenRoles();
  if (role) roles[id] = role;
  else delete roles[id];
  localStorage.setItem(CHOSEN, JSON.stringify(roles));
}

/** {today, month, costToday, costMonth, currency} of a channel, from the history. */
export async function sumsOf(device, channel) {
  const now = new Date();
  const month = new Date(now.getFullYear(), now.getMonth(), 1);
  const parameters = {device, channel, from: month.toISOString(), bucket: "day"};
  const [energy, cost] = await Promise.all([
    get("history/energy", parameters).catch(() => []), get("history/cost", parameters).catch(() => null)]);
  const total = (rows, key) => rows.reduce((sum, row) => sum + (row[key] ?? 0), 0);
  const todays = (rows) => rows.filter((row) => new Date(row.end) > new Date(now.getFullYear(), now.getMonth(), now.getDate()));
  // Without the standing charge: it is paid once, whatever the channels draw. Without tariffs there is no currency, and
  // a day whose price is missing has no cost: what is not known is not shown as 0.
  const priced = cost?.currency ? cost : null;
  const costs = (priced?.rows ?? []).map((row) => ({...row, cost: row.energy_cost === null ? null : row.energy_cost - row.feed_in}));
  const totalCost = (rows) => (priced === null || rows.some((row) => row.cost === null) ? null : total(rows, "cost"));
  return {
    today: total(todays(energy), "energy_kwh"), month: total(energy, "energy_kwh"),
    producedToday: total(todays(energy), "energy_produced_kwh"), producedMonth: total(energy, "energy_produced_kwh"),
    costToday: totalCost(todays(costs)), costMonth: totalCost(costs),
    currency: priced?.currency,
  };
}
