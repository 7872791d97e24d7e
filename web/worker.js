/** The part of the page that computes, so that the rest of it always answers. */
import { restoreFaces, restoreWhole } from './restore.js';
import { start } from './runtime.js';

const asked = new URLSearchParams(self.location.search).get('runtime');
const settings = fetch('settings.json').then((response) => response.json());
const loading = settings.then((known) => {
  postMessage({ step: 'settings', settings: known });
  return start(known, asked, (loaded, total) => postMessage({ step: 'loading', loaded, total }));
});
let latest = 0;

loading.then(
  ({ name, secondsPerPixel }) => postMessage({ step: 'ready', name, secondsPerPixel }),
  (error) => postMessage({ step: 'failed', message: `The page could not load its networks: ${error.message}` }),
);

// A message is {job, whole, photograph}: a later one makes the page forget what comes of an earlier one.
self.onmessage = async ({ data: { job, whole, photograph } }) => {
  latest = job;
  const started = performance.now();
  const say = (event) => {
    if (job !== latest) throw new Error('forgotten');
    const pixels = event.photograph ? [event.photograph.data.buffer] : [];
    postMessage({ ...event, job, seconds: (performance.now() - started) / 1000 }, pixels);
  };
  try {
    const runtime = await loading;
    say({ step: 'searching' });
    await (whole ? restoreWhole : restoreFaces)(photograph, await settings, runtime, say);
  } catch (error) {
    if (job === latest) postMessage({ step: 'failed', job, message: `This picture failed: ${error.message}` });
  }
};
