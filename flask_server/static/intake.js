/** Take pictures in: dropped, pasted, picked or photographed. What becomes of them is not known here. */

import { canFilm, photograph } from "./camera.js";

/** Hand every batch of files to `add`; say what went wrong with `say`. */
export function takePictures(add, say) {
  const give = (files) => {
    if (files.length > 0) add([...files]);
  };
  chooseBy("pick", "files", give);
  listenToCamera(give, say);
  listenToDrops(give, say);
  document.addEventListener("paste", ({ clipboardData }) => give(clipboardData.files));
}

function chooseBy(button, field, give) {
  const input = document.getElementById(field);
  document.getElementById(button).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    give(input.files);
    input.value = ""; // or the same file could not be chosen twice
  });
}

/** A phone's own camera program makes better pictures than a page; other machines have none. */
function listenToCamera(give, say) {
  if (matchMedia("(pointer: coarse)").matches || !canFilm()) {
    chooseBy("photograph", "capture", give);
    return;
  }
  document.getElementById("photograph").addEventListener("click", async () => {
    try {
      give(await photograph(document.getElementById("camera")));
    } catch (error) {
      say(`The camera cannot be used: ${error.message}`);
    }
  });
}

function listenToDrops(give, say) {
  const zone = document.getElementById("intake");
  const mark = (on) => zone.classList.toggle("over", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // or the browser would leave the page and show the file
    mark(true);
  });
  document.addEventListener("dragleave", (event) => mark(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    if (event.dataTransfer.files.length === 0) say("What was dropped is no file.");
    give(event.dataTransfer.files);
  });
}
