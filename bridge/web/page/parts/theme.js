// Light or dark: as the system has it unless somebody chose.
const STORED = "bl2mqtt-theme";

export function storedTheme() {
  return localStorage.getItem(STORED) ?? "";
}

export function applyTheme() {
  const theme = storedTheme();
  if (theme) document.documentElement.dataset.theme = theme;
  else delete document.documentElement.dataset.theme;
}

export function storeTheme(theme) {
  if (theme) localStorage.setItem(STORED, theme);
  else localStorage.removeItem(STORED);
  applyTheme();
  dispatchEvent(new Event("themechange"));
}

/** The value of a custom property, for what is drawn on a canvas. */
export function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}
