// The shell: language, login, navigation and the view that the address names (#/history?...).
import {connect, connection, disconnect, loadPresent, loginNeeded} from "./parts/api.js";
import {loadLanguage, t} from "./parts/language.js";
import {parseRoute, route} from "./parts/route.js";
import {applyTheme} from "./parts/theme.js";
import {el, fill, icon, View} from "./parts/ui.js";

const views = {
  overview: {load: () => import("./views/overview/overview.js"), tag: "bl-overview", icon: "overview"},
  history: {load: () => import("./views/history/history.js"), tag: "bl-history", icon: "history"},
  devices: {load: () => import("./views/device/devices.js"), tag: "bl-devices", icon: "devices"},
  device: {load: () => import("./views/device/device.js"), tag: "bl-device", parent: "devices"},
  calibration: {load: () => import("./views/device/calibration.js"), tag: "bl-calibration", parent: "devices"},
  setup: {load: () => import("./views/setup/setup.js"), tag: "bl-setup", icon: "add"},
  modules: {load: () => import("./views/provisioning/modules.js"), tag: "bl-modules", icon: "module"},
  flash: {load: () => import("./views/provisioning/flash.js"), tag: "bl-flash", parent: "modules"},
  network: {load: () => import("./views/provisioning/network.js"), tag: "bl-network", parent: "modules"},
  settings: {load: () => import("./views/settings/settings.js"), tag: "bl-settings", icon: "settings"},
  logs: {load: () => import("./views/logs/logs.js"), tag: "bl-logs", icon: "logs"},
  about: {load: () => import("./views/about/about.js"), tag: "bl-about", icon: "about"},
};
/** What a phone's bar has room for; the rest is reached by the page "about". */
const ON_PHONE = ["overview", "history", "devices", "settings", "about"];

class App extends View {
  #main;
  #links = new Map();
  #shown = "";

  async render() {
    applyTheme();
    // If a login is needed, this is what finds it out; a bridge that is not there yet is waited for.
    await Promise.all([loadLanguage(), loadPresent().catch(() => {})]);
    this.watch(loginNeeded, (needed) => needed && this.#showLogin());
    if (!loginNeeded.get()) this.#start();
  }

  async #showLogin() {
    await import("./views/login/login.js");
    const login = document.createElement("bl-login");
    login.addEventListener("done", () => {
      loginNeeded.set(false);
      this.#shown = "";
      this.#start();
    });
    fill(this, login);
  }

  #start() {
    const status = el("p", {class: "connection", role: "status"});
    this.#main = el("main", {id: "main", tabindex: "-1"});
    fill(this,
      el("a", {class: "skip", href: "#main", onclick: (event) => this.#skip(event)}, t("skip")),
      el("header", {class: "top"},
        el("a", {class: "brand", href: "#/overview"}, el("img", {src: "icon.svg", alt: "", width: 28, height: 28}), "bl2mqtt"),
        status),
      this.#navigation(), this.#main);
    this.watch(connection, (state) => {
      status.hidden = state === "open";
      fill(status, state === "lost" ? t("connection.lost") : t("connection.connecting"));
    });
    const navigate = () => route.set(parseRoute(location.hash));
    addEventListener("hashchange", navigate);
    this.atEnd(() => removeEventListener("hashchange", navigate));
    navigate();
    this.watch(route, (to) => this.#show(to));
    connect();
    addEventListener("pagehide", disconnect);
    addEventListener("pageshow", (event) => event.persisted && connect());
  }

  #skip(event) {
    event.preventDefault();
    this.#main.focus();
  }

  #navigation() {
    const entries = Object.entries(views).filter(([, view]) => view.icon);
    return el("nav", {class: "navigation", "aria-label": t("nav")}, el("ul", null, entries.map(([name, view]) => {
      const link = el("a", {href: `#/${name}`}, icon(view.icon), el("span", null, t(`nav.${name}`)));
      this.#links.set(name, link);
      return el("li", {class: ON_PHONE.includes(name) ? "" : "wide-only"}, link);
    })));
  }

  async #show({name, rest}) {
    const view = views[name] ?? views.overview;
    const key = `${name}/${rest.join("/")}`;
    for (const [entry, link] of this.#links) {
      if (entry === (view.parent ?? name)) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    document.title = `${t(`nav.${view.parent ?? name}`)} · bl2mqtt`;
    if (key === this.#shown) return; // only the parameters changed: the view watches them
    this.#shown = key;
    await view.load();
    if (this.#shown !== key) return; // somebody was faster
    fill(this.#main, document.createElement(view.tag));
    scrollTo(0, 0);
  }
}

customElements.define("bl-app", App);
