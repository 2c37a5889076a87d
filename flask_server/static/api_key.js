/** Ask for the API key when the gateway requires one, and store it until the tab is closed. */

import { errorText, showText } from "./dom.js";

const STORAGE_KEY = "image-gateway-api-key";

/** Return the key stored for this tab, or an empty string. */
export function storedKey() {
  try {
    return sessionStorage.getItem(STORAGE_KEY) ?? "";
  } catch {
    return ""; // storage is blocked: the key is kept in memory only
  }
}

/** Return whether another API key may avoid this error. */
export function isAboutTheKey({ status, code }) {
  return status === 401 || code === "invalid_api_key";
}

/** Show the key form, with the server's message if it refused a key; `use` is called with the entered key. */
export function askForKey(form, error, use) {
  const field = form.querySelector("input");
  const wasOpen = !form.hidden;
  const refused = error.code !== "missing_api_key";
  showText(form.querySelector(".error"), refused ? errorText(error) : "");
  field.setAttribute("aria-invalid", String(refused));
  form.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    form.hidden = true;
    store(field.value);
    use(field.value.trim());
    field.value = "";
  };
  if (!wasOpen) field.focus();
}

function store(key) {
  try {
    sessionStorage.setItem(STORAGE_KEY, key);
  } catch {
    // Storage is blocked: the key is kept in memory only.
  }
}
