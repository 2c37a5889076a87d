/** Create elements and fill them with text, never with markup; shared by both pages. */

/** Return a new element with children and attributes (false: left out, true: present and empty). */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return made;
}

/** Return the detail of a problem and its code. */
export function errorText({ detail, code }) {
  return `${detail} (${code})`;
}

/** Show the sentence in the element; hide the element when the sentence is empty. */
export function showText(shown, sentence) {
  shown.textContent = sentence;
  shown.hidden = sentence === "";
}
