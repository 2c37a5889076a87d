/** Create elements and fill them with text, never with markup. */

/** Return the detail of a problem and its code. */
export function errorText({ detail, code }) {
  return `${detail} (${code})`;
}

/** Return a new element with this text. */
export function element(tag, className, text = "") {
  const made = document.createElement(tag);
  made.className = className;
  made.textContent = text;
  return made;
}

/** Show the sentence in the element; hide the element when the sentence is empty. */
export function showText(shown, sentence) {
  shown.textContent = sentence;
  shown.hidden = sentence === "";
}
