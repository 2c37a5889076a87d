/** Copy a text to the clipboard, and show it: where copying is not allowed, it can be selected. */

/** Connect the buttons, whose values name the texts that `texts()` returns. */
export function offerCopies(card, texts) {
  for (const button of card.querySelectorAll("button[value]")) {
    button.addEventListener("click", () => copy(card, button.value, texts()[button.value]));
  }
}

/** Take the last copy away: it belonged to an earlier request. */
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
