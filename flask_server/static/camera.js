/** The device's camera: a dialog that takes a photo, and frames of the live image. */

const JPEG_QUALITY = 0.95;

let shots = 0;

/** Return whether pages may use a camera; browsers allow it over https and on localhost. */
export function hasCameraAccess() {
  return navigator.mediaDevices?.getUserMedia !== undefined;
}

/** Return the stream of the camera, on phones of the one on the back. */
export function openCamera() {
  return navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
}

/** Turn the camera off. */
export function stopCamera(video, stream) {
  video.srcObject = null;
  for (const track of stream.getTracks()) track.stop();
}

/** Return a list with the photo, or an empty list when the dialog is closed without one. */
export async function photograph(dialog) {
  const stream = await openCamera();
  const video = dialog.querySelector("video");
  video.srcObject = stream;
  try {
    dialog.showModal();
    return (await closed(dialog)) === "shoot" ? [await photoOf(video)] : [];
  } finally {
    stopCamera(video, stream);
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

/** Return what the video shows as a numbered JPEG file. */
export async function photoOf(video) {
  const blob = await frameOf(video);
  shots += 1;
  return new File([blob], `photo-${shots}.jpg`, { type: blob.type });
}

/** Return what the video shows as JPEG, with at most this many pixels per side. */
export function frameOf(video, side = Infinity) {
  const scale = Math.min(1, side / Math.max(video.videoWidth, video.videoHeight));
  const canvas = document.createElement("canvas");
  canvas.width = Math.round(video.videoWidth * scale);
  canvas.height = Math.round(video.videoHeight * scale);
  canvas.getContext("2d").drawImage(video, 0, 0, canvas.width, canvas.height);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
}
