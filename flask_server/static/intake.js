/** Accept pictures that are dropped, pasted, chosen or photographed, and pass them on. */

import { hasCameraAccess, photograph } from "./camera.js";
import { showText } from "./dom.js";

const find = (id) => document.getElementById(id);
const complain = (sentence) => showText(find("intake-trouble"), sentence);

/** Call `add` with each list of new files. */
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
    input.value = ""; // otherwise choosing the same file again would fire no event
  });
}

/** Use the camera app on phones, which takes better pictures, and a dialog elsewhere. */
function listenToCamera(give) {
  if (matchMedia("(pointer: coarse)").matches || !hasCameraAccess()) {
    chooseBy("photograph", "capture", give);
    return;
  }
  let busy = false; // a second click must not start the camera again
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
    event.preventDefault(); // otherwise the browser would open the file in place of the page
    mark(true);
  });
  document.addEventListener("dragleave", (event) => mark(event.relatedTarget !== null));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    mark(false);
    const { files } = event.dataTransfer;
    if (files.length === 0) complain("Only files can be dropped here.");
    give(files);
  });
}
