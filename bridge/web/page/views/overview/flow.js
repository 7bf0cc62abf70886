// The small picture: how power flows between the grid, the sun and the house.
import {states} from "../../parts/api.js";
import {chooseRole, chosenRoles, flowOf, roleOf} from "../../parts/channels.js";
import {power} from "../../parts/format.js";
import {t} from "../../parts/language.js";
import {el, field, fill, select, svg, View, write} from "../../parts/ui.js";

const ROLES = ["grid", "solar", "load", "none"];

class Flow extends View {
  channels = [];
  #texts = {};
  #lines = {};
  #nodes = {};
  #summary = el("p", {class: "flow-summary"});

  render() {
    fill(this, el("section", {class: "card flow", "aria-label": t("flow.title")},
      this.#picture(), this.#summary, this.#choices()));
    this.watch(states, () => this.#show());
  }

  #picture() {
    const node = (name, symbol, x, y) => {
      this.#texts[name] = svg("text", {x, y: y + 56, class: "flow-value", "text-anchor": "middle"});
      this.#nodes[name] = svg("g", {class: `flow-node ${name}`},
        svg("circle", {cx: x, cy: y, r: 30}),
        svg("use", {href: `icons.svg#${symbol}`, x: x - 16, y: y - 16, width: 32, height: 32}),
        svg("text", {x, y: y - 40, class: "flow-name", "text-anchor": "middle"}, t(`flow.${name}`)),
        this.#texts[name]);
      return this.#nodes[name];
    };
    const line = (name, path) => {
      this.#lines[name] = svg("path", {class: "flow-line", d: path});
      return this.#lines[name];
    };
    // Left to right: grid, house, sun.
    return svg("svg", {viewBox: "0 0 420 150", class: "flow-picture", "aria-hidden": "true"},
      line("grid", "M 92 70 H 178"), line("solar", "M 328 70 H 242"),
      node("grid", "grid", 60, 70), node("home", "overview", 210, 70), node("solar", "solar", 360, 70));
  }

  /** Which part of the house each channel is; kept in this browser. */
  #choices() {
    return el("details", {class: "flow-choices"}, el("summary", null, t("flow.roles")),
      this.channels.map((channel) => {
        const id = `${channel.device.id}/${channel.channel}`;
        const current = roleOf(channel, states.get()[channel.device.id], chosenRoles());
        const change = (event) => {
          chooseRole(id, event.target.value);
          this.#show();
        };
        return field(channel.name, select(ROLES.map((role) => [role, t(`role.${role}`)]), current, {onchange: change}));
      }));
  }

  #show() {
    const roles = chosenRoles();
    const flow = flowOf(this.channels.map((channel) => {
      const state = states.get()[channel.device.id];
      return {role: roleOf(channel, state, roles), power: state?.[channel.key("power")]};
    }));
    this.#nodes.solar.classList.toggle("absent", flow.solar === null);
    this.#lines.solar.classList.toggle("absent", flow.solar === null);
    for (const name of ["grid", "home", "solar"]) {
      write(this.#texts[name], power(name === "grid" && flow.grid !== null ? Math.abs(flow.grid) : flow[name]));
    }
    this.#move("grid", flow.grid ?? 0);
    this.#move("solar", flow.solar ?? 0);
    write(this.#summary, this.#words(flow));
  }

  #move(name, watts) {
    const classes = this.#lines[name].classList;
    classes.toggle("forward", watts > 5);
    classes.toggle("backward", watts < -5);
  }

  #words({grid, solar, home}) {
    if (grid === null) return t("flow.unknown");
    const direction = grid >= 0 ? "flow.drawing" : "flow.feeding";
    const words = t(direction, {power: power(Math.abs(grid)), home: power(home)});
    return solar === null ? words : `${words} ${t("flow.sun", {power: power(solar)})}`;
  }
}

customElements.define("bl-flow", Flow);
