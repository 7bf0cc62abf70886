// The login, shown in place of everything else.
import {logIn} from "../../parts/api.js";
import {t} from "../../parts/language.js";
import {busy, el, field, fill, View} from "../../parts/ui.js";

class Login extends View {
  render() {
    const password = el("input", {type: "password", autocomplete: "current-password", required: true, autofocus: true});
    const button = el("button", {class: "primary"}, t("login.do"));
    const place = el("div");
    const submit = async (event) => {
      event.preventDefault();
      const good = await busy(button, place, async () => {
        await logIn(password.value);
        return true;
      });
      if (good) this.dispatchEvent(new Event("done"));
      else password.select();
    };
    fill(this, el("main", {class: "login"},
      el("form", {class: "card", onsubmit: submit},
        el("img", {src: "icon.svg", alt: "", width: 56, height: 56}),
        el("h1", null, "bl2mqtt"), field(t("login.password"), password, t("login.hint")), button, place)));
    password.focus();
  }
}

customElements.define("bl-login", Login);
