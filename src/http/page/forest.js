// Ratios with their intervals on a logarithmic axis, and the band of what counts as the same.

/** The axis of a row ends at half and at twice the duration. */
const MOST = 2;
const LINE = 18;

/** Draws lines, `[name, ratio, low, high]` each, the first at the top, and the band within the margin. */
function forest(lines, margin, most = MOST, scale = []) {
  const way = (ratio) => Math.log(Math.max(ratio, 1e-9)) / Math.log(most);
  const place = (ratio) => 50 + 46 * Math.max(-1, Math.min(1, way(ratio)));
  const [from, to] = [place(1 / (1 + margin)), place(1 + margin)];
  const height = LINE * lines.length;
  const line = (a, b, y1, y2, name) => svg('line', { x1: `${a}%`, x2: `${b}%`, y1, y2, class: name });
  const drawn = lines.flatMap(([name, ratio, low, high], at) => {
    const y = LINE * at + LINE / 2;
    // Beyond the end, an arrow stands for the ratio.
    const beyond = Math.abs(way(ratio)) > 1 ? (ratio < 1 ? '◂' : '▸') : null;
    return [line(place(low), place(high), y, y, `interval ${name}`), beyond
      ? svg('text', { x: `${place(ratio)}%`, y: y + 5, 'text-anchor': 'middle', class: `beyond ${name}` }, beyond)
      : svg('circle', { cx: `${place(ratio)}%`, cy: y, r: 3.5, class: `median ${name}` })];
  });
  const ticks = scale.map(([ratio, text]) =>
    svg('text', { x: `${place(ratio)}%`, y: height + 13, 'text-anchor': 'middle' }, text));
  return svg('svg', { class: 'forest', height: height + (scale.length ? LINE : 0), 'aria-hidden': 'true' },
    svg('rect', { x: `${from}%`, width: `${to - from}%`, y: 0, height, class: 'same' }),
    line(50, 50, 0, height, 'one'), ...drawn, ...ticks);
}

/** A shape's ratio beyond the machine's factor. */
const beyondLine = ({ beyond, beyond_low: low, beyond_high: high }) => ['', beyond, low, high];

/** With the ratio as it was measured below, on an axis that has room for both. */
function wholeForest(ratios) {
  const { ratio, low, high } = ratios;
  const lines = [beyondLine(ratios), ['plain', ratio, low, high]];
  const far = Math.max(...lines.flatMap((line) => line.slice(1)).map((one) => Math.max(one, 1 / Math.max(one, 1e-9))));
  const power = Math.min(6, Math.max(1, Math.ceil(Math.log(far) / Math.log(4))));
  const most = 4 ** power;
  const scale = [[1 / most, `1/${number(most)}`], [1 / Math.sqrt(most), `1/${number(2 ** power)}`], [1, '1'],
    [Math.sqrt(most), `×${number(2 ** power)}`], [most, `×${number(most)}`]];
  return el('figure', {}, forest(lines, ratios.margin ?? 0, most, scale),
    el('figcaption', {}, 'Target / source: beyond the machine’s factor above, as measured below'));
}
