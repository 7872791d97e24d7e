/**
 * Photographs in and out of files and the camera.
 *
 * @typedef {import('./pictures.js').Photograph} Photograph
 */

/**
 * Decodes a picture the way that the browser shows it: upright, its colours as sRGB, transparency on white.
 *
 * @param {Blob} file
 * @param {number} mostPixels to which a larger one is shrunk
 * @returns {Promise<Photograph>}
 */
export async function readPhotograph(file, mostPixels) {
  const bitmap = await createImageBitmap(file).catch(() => {
    throw new Error(`${file.name || 'This'} is no picture that this browser can read: save it as JPEG or PNG.`);
  });
  const factor = Math.min(1, Math.sqrt(mostPixels / (bitmap.width * bitmap.height)));
  const [width, height] = [bitmap.width, bitmap.height].map((side) => Math.max(1, Math.floor(factor * side)));
  const context = new OffscreenCanvas(width, height).getContext('2d', { willReadFrequently: true });
  context.fillStyle = 'white';
  context.fillRect(0, 0, width, height);
  context.imageSmoothingQuality = 'high';
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** Offers a canvas as a file of the same format as the photograph had: JPEG stays JPEG, all else becomes PNG. */
export async function savePicture(canvas, { name = 'photograph', type = '' }) {
  const jpeg = type === 'image/jpeg';
  const blob = await new Promise((done) => canvas.toBlob(done, jpeg ? 'image/jpeg' : 'image/png', 0.95));
  const link = document.createElement('a');
  link.download = `${name.replace(/\.[^.]*$/, '')}-restored.${jpeg ? 'jpg' : 'png'}`;
  link.href = URL.createObjectURL(blob);
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

/**
 * Opens the camera in a dialog.
 *
 * @param {HTMLDialogElement} dialog with a video and two buttons, #shutter and #leave
 * @returns {Promise<Blob | null>} the picture; null if there is none after all
 */
export async function takePhotograph(dialog) {
  const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 1920 }, facingMode: 'user' } });
  const video = dialog.querySelector('video');
  video.srcObject = stream;
  dialog.showModal();
  const pressed = new Promise((done) => {
    dialog.querySelector('#shutter').onclick = () => done(true);
    dialog.querySelector('#leave').onclick = () => done(false);
    dialog.onclose = () => done(false); // Escape
  });
  try {
    return (await pressed) ? await frameOf(video) : null;
  } finally {
    stream.getTracks().forEach((track) => track.stop());
    dialog.close();
  }
}

async function frameOf(video) {
  const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
  canvas.getContext('2d').drawImage(video, 0, 0);
  const blob = await canvas.convertToBlob({ type: 'image/png' });
  return new File([blob], 'camera.png', { type: 'image/jpeg' }); // saved as JPEG later
}
