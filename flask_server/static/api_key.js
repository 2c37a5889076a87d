/** Ask for the API key when the gateway wants one, and keep it no longer than the tab lives. */

import { inWords } from "./dom.js";

const PLACE = "image-gateway-api-key";

/** Return the key of this tab, empty where there is none. */
export function storedKey() {
  try {
    return sessionStorage.getItem(PLACE) ?? "";
  } catch {
    return ""; // this browser stores nothing: the key lives in memory only
  }
}

/** Tell whether another key may help. */
export function isAboutTheKey({ status, code }) {
  return status === 401 || code === "invalid_api_key";
}

/** Show the form with what the server said; `use` gets the key that is typed. */
export function askForKey(form, error, use) {
  const field = form.querySelector("input");
  const asked = !form.hidden;
  form.querySelector(".error").textContent = inWords(error);
  field.setAttribute("aria-invalid", String(error.code === "invalid_api_key"));
  form.hidden = false;
  form.onsubmit = (event) => {
    event.preventDefault();
    form.hidden = true;
    store(field.value);
    use(field.value.trim());
    field.value = "";
  };
  if (!asked) field.focus();
}

function store(key) {
  try {
    sessionStorage.setItem(PLACE, key);
  } catch {
    // As above.
  }
}
