// Rendering and state: elements from plain calls, values that can be watched, and a base for views.

const SVG = "http://www.w3.org/2000/svg";

function append(node, children) {
  for (const child of children.flat(Infinity)) {
    if (child !== null && child !== undefined && child !== false) node.append(child);
  }
  return node;
}

function assign(node, attributes) {
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "selected" || name === "indeterminate") node[name] = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  return node;
}

/** el("p", {class: "note", onclick: f}, "text", node, [more]): an element. null and false are left out. */
export function el(tag, attributes, ...children) {
  return append(assign(document.createElement(tag), attributes), children);
}

/** The same in SVG's namespace. */
export function svg(tag, attributes, ...children) {
  return append(assign(document.createElementNS(SVG, tag), attributes), children);
}

/** A symbol of icons.svg, for the eye only. */
export function icon(name) {
  return svg("svg", {class: "icon", "aria-hidden": "true"}, svg("use", {href: `icons.svg#${name}`}));
}

/** Puts children in place of what node has. */
export function fill(node, ...children) {
  node.replaceChildren();
  return append(node, children);
}

/** Writes text only where it changed, so that a selection and screen readers are left alone. */
export function write(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** A value that can be watched. */
export class Value {
  #value;
  #watchers = new Set();

  constructor(value) {
    this.#value = value;
  }

  get() {
    return this.#value;
  }

  set(value) {
    this.#value = value;
    for (const watcher of [...this.#watchers]) watcher(value);
  }

  /** Calls now and with each change; returns what ends it. */
  watch(watcher) {
    this.#watchers.add(watcher);
    watcher(this.#value);
    return () => this.#watchers.delete(watcher);
  }
}

/** A custom element that draws itself once and lets go of what it watches when it leaves the page. */
export class View extends HTMLElement {
  #ends = [];

  connectedCallback() {
    this.render();
  }

  disconnectedCallback() {
    for (const end of this.#ends.splice(0)) end();
  }

  /** Override. */
  render() {}

  watch(value, watcher) {
    this.#ends.push(value.watch(watcher));
  }

  /** Calls now and every ms. */
  every(ms, work) {
    const timer = setInterval(work, ms);
    this.#ends.push(() => clearInterval(timer));
    work();
  }

  atEnd(work) {
    this.#ends.push(work);
  }
}

/** A labelled control: the label is its accessible name. hint stands below it. */
export function field(label, control, hint) {
  const id = control.id || `f${field.next++}`;
  control.id = id;
  if (hint) control.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", {class: "field"}, el("label", {for: id}, label), control,
    hint && el("p", {class: "hint", id: `${id}-hint`}, hint));
}
field.next = 1;

/** What may be wider than a phone: it scrolls by itself, with the keyboard as well. */
export function scrollable(label, ...children) {
  return el("div", {class: "scroll", tabindex: 0, role: "region", "aria-label": label}, ...children);
}

export function select(options, value, attributes) {
  return el("select", attributes, options.map(([key, text]) =>
    el("option", {value: key, selected: key === value}, text)));
}

/** A note that screen readers speak: kind is "", "good", "warning" or "bad". */
export function notice(kind, ...children) {
  return el("div", {class: `notice ${kind}`, role: kind === "bad" ? "alert" : "status"},
    kind === "bad" || kind === "warning" ? icon("warning") : null, el("div", null, ...children));
}

/** Runs work while the button is disabled; shows what fails in place. */
export async function busy(button, place, work) {
  button.disabled = true;
  button.setAttribute("aria-busy", "true");
  fill(place);
  try {
    return await work();
  } catch (error) {
    fill(place, notice("bad", error.message));
    return undefined;
  } finally {
    button.disabled = false;
    button.removeAttribute("aria-busy");
  }
}

/** Asks before something that cannot be taken back. Resolves to true or false. */
export function confirmed(title, text, action, cancel) {
  return new Promise((resolve) => {
    const dialog = el("dialog", {class: "dialog", "aria-labelledby": "dialog-title"},
      el("form", {method: "dialog"},
        el("h2", {id: "dialog-title"}, title), el("p", null, text),
        el("div", {class: "row end"}, el("button", {value: "no"}, cancel),
          el("button", {value: "yes", class: "danger"}, action))));
    dialog.addEventListener("close", () => {
      resolve(dialog.returnValue === "yes");
      dialog.remove();
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
