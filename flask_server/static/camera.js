/** Take a photo with the device's camera, in a dialog. */

const JPEG_QUALITY = 0.95;

let shots = 0;

/** Return whether pages may use a camera; browsers allow it over https and on localhost. */
export function hasCameraAccess() {
  return navigator.mediaDevices?.getUserMedia !== undefined;
}

/** Return a list with the photo, or an empty list when the dialog is closed without one. */
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
