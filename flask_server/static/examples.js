/** Example images to click: photographs, or digits for models that read grey images. */

/** Call `add` with the file of each example that is clicked. */
export function offerExamples(group, add) {
  for (const button of group.querySelectorAll("button")) {
    button.addEventListener("click", async () => add([await fileOf(button.querySelector("img").src)]));
  }
}

/** Show the examples that suit the model; photographs while it is unknown. */
export function suitExamples(group, model) {
  const kind = model?.input?.color === "grayscale" ? "digit" : "photo";
  for (const button of group.querySelectorAll("button")) button.hidden = button.dataset.kind !== kind;
}

async function fileOf(url) {
  const blob = await (await fetch(url)).blob();
  return new File([blob], url.split("/").at(-1), { type: blob.type });
}
