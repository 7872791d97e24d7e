/** Results of the search lead to the section that holds the words, and quote its prose rather than its code. */
const PROSE = 'p, li, td, th, dd, h1, h2, h3, h4', CODE = 'pre', AROUND = 120;

Search.makeSearchSummary = (html, keywords, anchor) => {
  const page = new DOMParser().parseFromString(html, 'text/html').querySelector('[role=main]');
  const root = (anchor && page.querySelector(anchor)) || page, words = [...keywords].map((word) => word.toLowerCase());
  const count = (text) => words.filter((word) => text.toLowerCase().includes(word)).length;
  page.querySelectorAll('.headerlink, script, style, .toctree-wrapper').forEach((element) => element.remove());
  const all = [...root.querySelectorAll(PROSE), ...root.querySelectorAll(CODE)];
  const [text, element] = all.reduce(([text, element], other) =>
    (count(other.textContent) > count(text) ? [other.textContent, other] : [text, element]), ['', null]);
  if (!element) return null;

  const at = Math.min(...words.map((word) => text.toLowerCase().indexOf(word)).filter((place) => place >= 0));
  const from = Math.max(0, at - AROUND), quoted = text.slice(from, at + AROUND).trim();
  const summary = Object.assign(document.createElement('p'), { className: 'context' });
  summary.textContent = `${from ? '… ' : ''}${quoted}${at + AROUND < text.length ? ' …' : ''}`;
  const section = element.closest('section[id]'), heading = section?.querySelector('h2, h3, h4')?.textContent;
  queueMicrotask(() => { // when Sphinx has put it below its link
    const link = summary.parentElement?.querySelector('a');
    if (!link || !section || anchor) return;
    link.hash = section.id;
    if (section.parentElement.closest('section')) link.append(` > ${heading}`);
  });
  return summary;
};
