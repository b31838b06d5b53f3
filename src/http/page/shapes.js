// The table of query shapes. Its rows are kept from one report to the next, so that what is opened,
// focused or selected stays so.

const VERDICTS = {
  degraded: ['bad', '✕ degraded'],
  cannot_tell: ['none', '? can’t tell'],
  same: ['none', '= same'],
  improved: ['good', '✓ improved'],
};
const changed = ({ outcomes }) => outcomes.new_error + outcomes.fixed_error + outcomes.other_error;
const all = (errors) => sum(Object.values(errors));

/** The source's value above the target's. */
const pair = (source, target) => [
  el('span', { class: 'source' }, el('span', { class: 'vh' }, 'source '), source),
  el('span', { class: 'target' }, el('span', { class: 'vh' }, 'target '), target),
];
const times = (of) => (shape) => pair(...[shape.source, shape.target]
  .map((side) => (side.calls ? duration(side[of]) : '–')));
const totals = ({ source, target }, longest) => [['source', source], ['target', target]]
  .map(([name, of]) => el('span', { class: name }, bar(of.total_ms, longest),
    el('span', { class: 'amount' }, el('span', { class: 'vh' }, `${name} `),
      of.calls ? duration(of.total_ms) : '–')));

/** The words that the filter looks through. */
const textOf = ({ query, command, fingerprint, verdict, why, errors }) =>
  [query, command, fingerprint, words(verdict), why, ...Object.keys(errors.source),
    ...Object.keys(errors.target)].join('\n').toLowerCase();

/** What each column sorts by and shows. */
const COLUMNS = [
  { name: 'query', head: 'Query', by: (shape) => shape.query, text: true },
  { name: 'verdict', head: 'Verdict', by: (shape) => Object.keys(VERDICTS).indexOf(shape.verdict),
    text: true, cells: (shape) => [badge(...VERDICTS[shape.verdict]), el('div', {}, shape.why)] },
  { name: 'change', head: 'Change', by: (shape) => shape.change?.ratio ?? -1, cells: changeCells },
  { name: 'calls', head: 'Calls', by: (shape) => shape.calls, cells: (shape) => [number(shape.calls)] },
  { name: 'total', head: 'Total time', by: (shape) => shape.target.total_ms,
    cells: totals },
  ...['p50', 'p95', 'p99'].map((name) => ({ name, head: name, cells: times(`${name}_ms`),
    by: (shape) => shape.target[`${name}_ms`] })),
  { name: 'errors', head: 'Errors', by: (shape) => all(shape.errors.target),
    cells: ({ errors }) => pair(number(all(errors.source)), number(all(errors.target))) },
  { name: 'changed', head: 'Changed', by: changed,
    cells: (shape) => [changed(shape) ? badge('bad', number(changed(shape))) : '0'] },
  { name: 'wait', head: 'Order wait', by: (shape) => shape.waited_order_ms,
    cells: (shape) => [duration(shape.waited_order_ms)] },
];

/** The ratio's interval on a logarithmic axis from a quarter to four times, with what counts as same. */
function forest({ ratio, low, high }, method) {
  const x = (value) => 50 + 46 * Math.max(-1, Math.min(1, Math.log(Math.max(value, 1e-9)) / Math.log(4)));
  const [from, to] = [x(1 - method.change), x(1 + method.change)];
  const line = (a, b, y1, y2, name) =>
    svg('line', { x1: `${a}%`, x2: `${b}%`, y1, y2, class: name });
  return svg('svg', { class: 'forest', 'aria-hidden': 'true' },
    svg('rect', { x: `${from}%`, width: `${to - from}%`, y: 0, height: 18, class: 'same' }),
    line(50, 50, 0, 18, 'one'), line(x(low), x(high), 9, 9, 'interval'),
    svg('circle', { cx: `${x(ratio)}%`, cy: 9, r: 3.5, class: 'median' }));
}

function changeCells(shape) {
  if (!shape.change) return ['–'];
  const { ratio, low, high } = shape.change;
  return [el('div', { class: 'compared' }, forest(shape.change, report.method),
    el('div', {}, el('span', { class: 'ratio' }, change(ratio)),
      el('div', { class: 'soft' }, `${change(low, high)} to ${change(high)}`)))];
}

const order = { name: 'total', falling: true };
const rows = new Map();
const filter = { text: '', verdict: null };
let report = null;

function sortBy({ name, text }) {
  order.falling = order.name === name ? !order.falling : !text;
  order.name = name;
  arrange();
}

function shapeCells(shape, longest) {
  const tone = VERDICTS[shape.verdict][0];
  return COLUMNS.slice(1).map(({ name, head, text, cells }) => el('td', { role: 'cell',
    class: `c-${name} ${text ? 'text' : ''} ${tone}`, 'data-label': head }, ...cells(shape, longest)));
}

function newRow(shape) {
  const opener = el('button', { class: 'open', type: 'button', 'aria-expanded': 'false' },
    code(shape.query));
  const line = el('tr', { role: 'row', class: 'shape' },
    el('th', { role: 'rowheader', scope: 'row', class: 'c-query text' }, opener));
  const more = el('tr', { role: 'row', class: 'more', hidden: '' });
  const row = { line, more, json: '' };
  opener.onclick = () => {
    more.hidden = !more.hidden;
    opener.setAttribute('aria-expanded', String(!more.hidden));
    showMore(row);
  };
  return row;
}

function showMore({ more, shape }) {
  if (more.hidden) return;
  const errors = (of) => Object.entries(of).map(([state, n]) => `${state} × ${number(n)}`).join(', ');
  const side = (name, of) => [name, number(of.calls),
    ...['p50', 'p95', 'p99', 'max', 'total'].map((key) => duration(of[`${key}_ms`]))];
  const { sample, change: ratio } = shape;
  const facts = [
    ['Verdict', `${words(shape.verdict)}: ${shape.why}`],
    ratio && ['Ratio target / source', `${threeDigits(ratio.ratio)}, with ` +
      `${100 * report.method.confidence} % between ${threeDigits(ratio.low)} and ${threeDigits(ratio.high)}`],
    all(shape.errors.source) && ['Errors on the source', errors(shape.errors.source)],
    all(shape.errors.target) && ['Errors on the target', errors(shape.errors.target)],
    ['Outcomes', Object.entries(shape.outcomes).map(([of, n]) => `${number(n)} ${words(of)}`).join(', ')],
    sample && ['First that changed', `${sample.source} → ${sample.target}, session ${sample.session}, ${sample.place}`],
    ['Waited for the order', duration(shape.waited_order_ms)],
    ['Fingerprint', shape.fingerprint],
  ].filter(Boolean).flatMap(([term, text]) => [el('dt', {}, term), el('dd', {}, text)]);
  more.replaceChildren(el('td', { role: 'cell', colspan: COLUMNS.length },
    el('pre', {}, shape.query), el('dl', {}, ...facts),
    table(['', 'calls', 'p50', 'p95', 'p99', 'longest', 'total'],
      [side('source', shape.source), side('target', shape.target)])));
}

/** Puts the rows in order, and away those that the filter leaves out. */
function arrange() {
  for (const head of $('shapes').tHead.rows[0].cells) {
    if (head.dataset.name !== order.name) head.removeAttribute('aria-sort');
    else head.ariaSort = order.falling ? 'descending' : 'ascending';
  }
  for (const button of $('verdicts').children) {
    button.ariaPressed = String((button.dataset.verdict || null) === filter.verdict);
  }
  const { by } = COLUMNS.find(({ name }) => name === order.name);
  const way = order.falling ? -1 : 1;
  const compare = (a, b) => (a < b ? -way : a > b ? way : 0);
  const sorted = [...rows.values()].sort((a, b) =>
    compare(by(a.shape), by(b.shape)) || b.shape.target.total_ms - a.shape.target.total_ms);
  const focused = document.activeElement;
  let [shown, place] = [0, $('shapes').tBodies[0].firstElementChild];
  for (const { line, more, text, shape } of sorted) {
    line.hidden = (filter.verdict && filter.verdict !== shape.verdict) ||
      !text.includes(filter.text);
    shown += !line.hidden;
    more.classList.toggle('away', line.hidden);
    // What is in its place is not moved: it would lose the selection.
    if (line !== place) $('shapes').tBodies[0].insertBefore(line, place);
    if (line.nextElementSibling !== more) line.after(more);
    place = more.nextElementSibling;
  }
  if (focused !== document.activeElement) focused.focus({ preventScroll: true });
  $('shown').textContent = shown < rows.size ? `${number(shown)} of ${number(rows.size)} shown` : '';
}

function showShapes() {
  const { shapes, rest, verdicts } = report;
  const longest = Math.max(0, ...shapes.flatMap(({ source, target }) => [source.total_ms, target.total_ms]));
  const unseen = new Set(rows.keys());
  for (const shape of shapes) {
    unseen.delete(shape.fingerprint);
    const row = rows.get(shape.fingerprint) ?? newRow(shape);
    rows.set(shape.fingerprint, row);
    const json = JSON.stringify(shape);
    if (json === row.json && longest === row.longest) continue;
    Object.assign(row, { shape, json, longest, text: textOf(shape) });
    row.line.replaceChildren(row.line.firstElementChild, ...shapeCells(shape, longest));
    showMore(row);
  }
  for (const gone of unseen) {
    rows.get(gone).line.remove();
    rows.get(gone).more.remove();
    rows.delete(gone);
  }
  $('shapes').tFoot.replaceChildren(...(rest ? [el('tr', { role: 'row' },
    el('th', { role: 'rowheader', scope: 'row', class: 'c-query text' }, 'All other statements'),
    ...shapeCells(rest, longest))] : []));
  const numbers = [['', 'All', shapes.length], ...Object.entries(VERDICTS)
    .map(([verdict, [, text]]) => [verdict, text, verdicts[verdict]])];
  numbers.forEach(([, text, n], at) => {
    $('verdicts').children[at].textContent = `${text} ${number(n)}`;
  });
  $('empty').hidden = shapes.length > 0;
  $('told').hidden = shapes.length === 0;
  arrange();
}

function setUpShapes() {
  $('shapes').tHead.rows[0].append(...COLUMNS.map((column) => {
    const { name, head, text } = column;
    const button = el('button', { type: 'button', onclick: () => sortBy(column) }, head);
    return el('th', { role: 'columnheader', scope: 'col', 'data-name': name,
      class: `c-${name} ${text ? 'text' : ''}` }, button);
  }));
  $('verdicts').append(...['', ...Object.keys(VERDICTS)].map((verdict) =>
    el('button', { type: 'button', 'data-verdict': verdict, class: VERDICTS[verdict]?.[0] ?? 'none',
      onclick: () => { filter.verdict = verdict || null; arrange(); } })));
  $('text').oninput = () => { filter.text = $('text').value.trim().toLowerCase(); arrange(); };
  $('filter').onsubmit = () => false;
}
