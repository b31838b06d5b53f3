// How a shape's durations are spread: the source's calls above the line, the target's below it, on one
// logarithmic axis.

/** The outline of a side's bins as a path, in a box as wide as there are bins and `deep` high. */
function outline(bins, most, middle, deep) {
  const at = (share) => (middle + (deep * share) / most).toFixed(2);
  return `M0 ${middle}${bins.map((share, bin) => `V${at(share)}H${bin + 1}`).join('')}V${middle}Z`;
}

/** A bin with a part of its neighbours: with few calls, bins alone are a comb. */
const smooth = (bins) => bins.map((share, at) => ((bins[at - 1] ?? share) + 2 * share + (bins[at + 1] ?? share)) / 4);

function drawStrip(strip, high) {
  const [source, target] = [smooth(strip.source), smooth(strip.target)];
  const bins = Math.max(source.length, target.length);
  const most = Math.max(...source, ...target);
  const [middle, deep] = [high / 2, high / 2 - 1];
  return svg('svg', { class: 'strip', viewBox: `0 0 ${bins} ${high}`, preserveAspectRatio: 'none', height: high,
    width: '100%', 'aria-hidden': 'true' },
  svg('path', { class: 'source', d: outline(source, most, middle, -deep) }),
  svg('path', { class: 'target', d: outline(target, most, middle, deep) }),
  svg('line', { class: 'middle', x1: 0, x2: bins, y1: middle, y2: middle }));
}

// The rows of a long table are drawn when they are seen.
const undrawn = new Map();
const watcher = new IntersectionObserver((entries) => {
  for (const { target: holder, isIntersecting } of entries) {
    if (!isIntersecting) continue;
    holder.replaceChildren(drawStrip(undrawn.get(holder), 36));
    undrawn.delete(holder);
    watcher.unobserve(holder);
  }
}, { rootMargin: '400px' });

function stripWhenSeen(strip) {
  const holder = el('div', { class: 'holder' });
  if (!strip) return holder;
  undrawn.set(holder, strip);
  watcher.observe(holder);
  return holder;
}

/** The round durations on an axis, each with its place from 0 to 1. */
function ticks(from, to) {
  const way = (ms) => Math.log(ms / from) / Math.log(to / from);
  const steps = to / from > 200 ? [1] : to / from > 8 ? [1, 3] : [1, 1.5, 2, 3, 5, 7];
  const found = [];
  for (let power = Math.floor(Math.log10(from)); power <= Math.log10(to); power += 1) {
    for (const step of steps) {
      const ms = step * 10 ** power;
      if (ms >= from && ms <= to) found.push([ms, way(ms)]);
    }
  }
  return found;
}

/** With the durations at the axis, and the names of the sides. */
function wholeStrip(strip, above = 'source', below = 'target') {
  const marks = ticks(strip.from_ms, strip.to_ms).map(([ms, way]) => {
    const mark = el('span', {}, duration(ms).replace(/\.0+ /, ' '));
    mark.style.left = `${100 * way}%`;
    return mark;
  });
  return el('figure', {}, drawStrip(strip, 120), el('div', { class: 'axis', 'aria-hidden': 'true' }, ...marks),
    el('figcaption', {}, 'Calls by duration: ', el('span', { class: 'key source' }, above), ' above, ',
      el('span', { class: 'key target' }, below), ' below'));
}
