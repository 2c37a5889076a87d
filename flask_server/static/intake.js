/** Accept images that are dropped, pasted, chosen or photographed, and pass them on. */

import { hasCameraAccess, photograph } from "./camera.js";
import { showText } from "./dom.js";

const find = (id) => document.getElementById(id);
const complain = (sentence) => showText(find("intake-trouble"), sentence);

/** Call `add` with each list of new files, and `live.start` when the live camera is asked for. */
export function takePictures(add, live) {
  const give = (files) => {
    if (files.length === 0) return;
    complain("");
    add([...files]);
  };
  chooseBy("pick", "files", give);
  listenToCamera(give);
  listenToLive(live);
  listenToDrops(give);
  listenToPastes(give);
}

function chooseBy(button, field, give) {
  const input = find(field);
  find(button).addEventListener("click", () => input.click());
  input.addEventListener("change", () => {
    give(input.files);
    input.value = ""; // otherwise choosing the same file again would fire no event
  });
}

/** Use the camera app on phones, which takes better photos, and a dialog elsewhere. */
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
      complainOfCamera(error);
    }
    busy = false;
  });
}

function listenToLive(live) {
  find("live-start").hidden = !hasCameraAccess();
  find("live-start").addEventListener("click", () => {
    complain("");
    live.start().catch(complainOfCamera);
  });
}

/** Rethrow errors that do not come from the camera: they are bugs of the page. */
function complainOfCamera(error) {
  if (!(error instanceof DOMException)) throw error;
  complain(`The camera cannot be used: ${error.message}.`);
}

/** Text that is pasted into a field is left alone. */
function listenToPastes(give) {
  document.addEventListener("paste", ({ clipboardData, target }) => {
    if (clipboardData.files.length > 0) give(clipboardData.files);
    else if (!target.closest?.("input, textarea")) complain(adviceFor(clipboardData.getData("text/plain")));
  });
}

/** Say what to do with the address of an image; an empty string for other text. */
function adviceFor(text) {
  const isAddress = /^\s*https?:\/\/\S+\s*$/i.test(text);
  return isAddress ? "The page does not fetch addresses. Save the picture, then drop the file here." : "";
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
    const text = event.dataTransfer.getData("text/plain");
    if (files.length === 0) complain(adviceFor(text) || "Only files can be dropped here.");
    give(files);
  });
}
