/**
 * Keeps the page for when there is no network, and lets its worker use several threads: browsers share memory between
 * threads only where a page is isolated from other origins, which these two headers ask for.
 */
const VERSION = 'development'; // build.py writes a checksum of all files here
const HEADERS = { 'Cross-Origin-Opener-Policy': 'same-origin', 'Cross-Origin-Embedder-Policy': 'require-corp' };

self.addEventListener('install', () => self.skipWaiting());

self.addEventListener('activate', (event) => event.waitUntil((async () => {
  for (const name of await caches.keys()) if (name.startsWith('faces-') && name !== cacheName) await caches.delete(name);
  await self.clients.claim();
})()));

const cacheName = `faces-${VERSION}`;

self.addEventListener('fetch', (event) => {
  const { request } = event, { origin, pathname } = new URL(request.url);
  const ours = origin === location.origin && pathname.startsWith(new URL(registration.scope).pathname);
  if (request.method === 'GET' && ours) event.respondWith(answer(request));
});

/** From the cache, or else from the network into the cache. */
async function answer(request) {
  const cache = await caches.open(cacheName), { pathname } = new URL(request.url);
  const name = pathname.endsWith('/') ? `${pathname}index.html` : pathname;
  const kept = await cache.match(name);
  if (kept) return kept;
  const response = await fetch(request);
  if (!response.ok) return response;
  const headers = new Headers(response.headers);
  for (const [key, value] of Object.entries(HEADERS)) headers.set(key, value);
  const isolated = new Response(response.body, { status: response.status, headers });
  await cache.put(name, isolated.clone());
  return isolated;
}
