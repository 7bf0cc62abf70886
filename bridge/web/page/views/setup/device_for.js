// The block of bridge.yaml for a new device. Pure.

/** An id of a-z, 0-9 and _ from a name, which none of the taken ones is. */
export function idFrom(name, taken) {
  const plain = name.toLowerCase().replaceAll("ä", "ae").replaceAll("ö", "oe").replaceAll("ü", "ue").replaceAll("ß", "ss")
    .normalize("NFD").replace(/[^a-z0-9]+/g, "_").replace(/^_+|_+$/g, "").slice(0, 28) || "meter";
  let id = plain === "bridge" ? "meter" : plain;
  for (let next = 2; taken.includes(id); next += 1) id = `${plain}_${next}`;
  return id;
}

/** chips: what a scan found on the port: [{address, baud}]. */
export function deviceFor({way, id, name, port, chips, address}) {
  if (way === "serial") {
    const channels = Object.fromEntries(chips.map((chip, index) => ["abcdefgh"[index],
      {port, ...(chip.baud && {baud: chip.baud}), address: chip.address ?? 0}]));
    return {id, name, driver: "bl0942", channels};
  }
  if (way === "tcp") return {id, name, driver: "bl0942", channels: {a: {port: /^\w+:\/\//.test(address) ? address : `tcp://${address}`}}};
  return {id, name, driver: "esphome", topic: address, channels: {a: {}, b: {}}};
}
