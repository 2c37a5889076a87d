/** Take pictures in: dropped, pasted, picked or photographed. What becomes of them is not known here. */

import { canFilm, photograph } from "./camera.js";
import { tell } from "./dom.js";

const find = (id) => document.getElementById(id);
const complain = (sentence) => tell(find("intake-trouble"), sentence);

/** Hand every batch of files to `add`. */
export function takePictures(add) {
  const give = (files) => {
    if (files.length === 0) return;
    complain("");
    add([...files]);
  };
  chooseBy("pick", "files", give);
  listenToCamera(give);
  listenToDrops(give);
  document.addEventListener("paste", ({ clipboardData }) => give(clipboardData.files));
}

function chooseBy(button, field, give) {
  const input = find(field);
  find(button).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    give(input.files);
    input.value = ""; // or the same file could not be chosen twice
  });
}

/** A phone's own camera program makes better pictures than a page; other machines have none. */
function listenToCamera(give) {
  if (matchMedia("(pointer: coarse)").matches || !canFilm()) {
    chooseBy("photograph", "capture", give);
    return;
  }
  let busy = false; // a second press must not start the camera once more
  find("photograph").addEventListener("click", async () => {
    if (busy) return;
    busy = true;
    try {
      give(await photograph(find("camera")));
    } catch (error) {
      complain(`The camera cannot be used: ${error.message}.`);
    }
    busy = false;
  });
}

function listenToDrops(give) {
  const mark = (on) => find("intake").classList.toggle("over", on);
  document.addEventListener("dragover", (event) => {
    event.preventDefault(); // or the browser would leave the page and show the file
    mark(true);
  });
  document.addEventListener("dragleave", (event) => mark(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const { files } = event.dataTransfer;
    if (files.length === 0) complain("What was dropped is no file.");
    give(files);
  });
}
