/** Copy a text to the clipboard and show it; where copying is not allowed, select it. */

/** Make each button copy the text that `texts()` returns under the button's value. */
export function offerCopies(card, texts) {
  for (const button of card.querySelectorAll("button[value]")) {
    button.addEventListener("click", () => copy(card, button.value, texts()[button.value]));
  }
}

/** Hide the last copied text, which belongs to an earlier request. */
export function hideCopy(card) {
  card.querySelector("pre").hidden = true;
  card.querySelector(".copied").textContent = "";
}

async function copy(card, name, text) {
  const shown = card.querySelector("pre");
  shown.textContent = text;
  shown.hidden = false;
  const copied = await write(text);
  if (!copied) select(shown);
  card.querySelector(".copied").textContent = copied
    ? `Copied as ${name}.`
    : "Selected: this browser lets a page copy over https only.";
}

async function write(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return false;
  }
}

function select(shown) {
  shown.focus();
  getSelection().selectAllChildren(shown);
}
