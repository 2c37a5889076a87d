/** Make elements and fill them, always as text and never as markup. */

/** Return what the server said, with its code for those who look it up. */
export function inWords({ detail, code }) {
  return `${detail} (${code})`;
}

/** Return a new element with this text. */
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Show the sentence, or hide its place where there is none. */
export function tell(place, sentence) {
  place.textContent = sentence;
  place.hidden = sentence === "";
}
