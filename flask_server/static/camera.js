/** Photograph with the machine's own camera, in a dialog. */

const JPEG_QUALITY = 0.95;

let shots = 0;

/** Tell whether this browser lets a page use a camera: over https and on this machine itself. */
export function canFilm() {
  return navigator.mediaDevices?.getUserMedia !== undefined;
}

/** Return the photographs taken until the dialog is closed: one, or none. */
export async function photograph(dialog) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  const video = dialog.querySelector("video");
  video.srcObject = stream;
  try {
    dialog.showModal();
    return (await closed(dialog)) === "shoot" ? [await frameOf(video)] : [];
  } finally {
    video.srcObject = null;
    for (const track of stream.getTracks()) track.stop();
  }
}

function closed(dialog) {
  dialog.returnValue = "";
  for (const button of dialog.querySelectorAll("button")) {
    button.onclick = () => dialog.close(button.value);
  }
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue), { once: true });
  });
}

async function frameOf(video) {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
  shots += 1;
  return new File([blob], `photo-${shots}.jpg`, { type: blob.type });
}
