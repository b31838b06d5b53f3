// The table of query shapes. Its rows are kept from one report to the next, so that what is opened,
// focused or selected stays so.

const changed = ({ outcomes }) => outcomes.new_error + outcomes.fixed_error + outcomes.other_error;
const all = (errors) => sum(Object.values(errors));

/** The source's value above the target's. */
const pair = (source, target) => [
  el('span', { class: 'side source' }, el('span', { class: 'vh' }, 'source '), source),
  el('span', { class: 'side target' }, el('span', { class: 'vh' }, 'target '), target),
];
const timesOf = (of) => (shape) => pair(...[shape.source, shape.target]
  .map((side) => (side.calls ? duration(side[of]) : '–')));
/** How the durations are spread, with their medians. */
const spread = (shape) => [el('div', { class: 'compared' }, stripWhenSeen(shape.strip),
  el('div', {}, ...timesOf('p50_ms')(shape)))];

/** How many calls were not judged, where any were not. */
function calls({ calls: all, pace }) {
  const left = [['off pace', pace.off_pace], ['cold', pace.cold]].filter(([, n]) => n > 0);
  return [el('div', {}, number(all)),
    ...left.map(([name, n]) => el('div', { class: 'soft' }, `${number(n)} ${name}`))];
}

/** A link to the shape's row, which opens it. */
const linkTo = ({ fingerprint, query }) => el('a', { href: `#shape-${fingerprint}` }, code(query));

/** The words that the filter looks through. */
const textOf = ({ query, command, fingerprint, verdict, why, errors }) =>
  [query, command, fingerprint, words(verdict), why, ...Object.keys(errors.source),
    ...Object.keys(errors.target)].join('\n').toLowerCase();

/** What each column sorts by and shows. */
const COLUMNS = [
  { name: 'query', head: 'Query', by: (shape) => shape.query, text: true },
  { name: 'verdict', head: 'Verdict', by: (shape) => Object.keys(VERDICTS).indexOf(shape.verdict),
    text: true, cells: verdictCells },
  { name: 'change', head: 'Change', by: ({ change }) => change?.beyond ?? -1,
    cells: ({ change: ratios }) => changeCells(ratios, ratios?.margin ?? 0) },
  { name: 'p50', head: 'Durations, p50', by: (shape) => shape.target.p50_ms, cells: spread },
  { name: 'p95', head: 'p95', by: (shape) => shape.target.p95_ms, cells: timesOf('p95_ms') },
  { name: 'total', head: 'Total', by: (shape) => shape.target.total_ms, cells: timesOf('total_ms') },
  { name: 'calls', head: 'Calls', by: (shape) => shape.calls, cells: calls },
  { name: 'errors', head: 'Errors', by: (shape) => all(shape.errors.target),
    cells: ({ errors }) => pair(number(all(errors.source)), number(all(errors.target))) },
  { name: 'changed', head: 'Changed', by: changed,
    cells: changedCells },
  { name: 'wait', head: 'Order wait', by: (shape) => shape.waited_order_ms,
    cells: (shape) => [duration(shape.waited_order_ms)] },
];

/** Why nothing can be told; what is told stands in the next column. */
function verdictCells({ verdict, why }) {
  const told = badge(...VERDICTS[verdict]);
  return verdict === 'cannot_tell' ? [told, el('div', { class: 'why', title: why }, why)] : [told];
}

function changedCells(shape) {
  if (!changed(shape)) return ['0'];
  const many = badge('bad', number(changed(shape)));
  return [shape.sample ? el('a', { href: `#changed-${shape.fingerprint}`, title: 'Where it ended otherwise' }, many) : many];
}

const rows = new Map();
let report = null;

function sortBy({ name, text }) {
  order.falling = order.name === name ? !order.falling : !text;
  order.name = name;
  arrange();
}

function shapeCells(shape) {
  const tone = VERDICTS[shape.verdict][0];
  return COLUMNS.slice(1).map(({ name, head, text, cells }) => el('td', { role: 'cell',
    class: `c-${name} ${text ? 'text' : ''} ${tone}`, 'data-label': head }, ...cells(shape)));
}

function newRow(shape) {
  const opener = el('button', { class: 'open', type: 'button', 'aria-expanded': 'false' },
    code(shape.query));
  const line = el('tr', { role: 'row', class: 'shape', id: `shape-${shape.fingerprint}` },
    el('th', { role: 'rowheader', scope: 'row', class: 'c-query text' }, opener));
  const more = el('tr', { role: 'row', class: 'more', hidden: '' });
  const row = { line, more, opener, json: '' };
  opener.onclick = () => open(row, more.hidden);
  return row;
}

function open(row, isOpen) {
  row.more.hidden = !isOpen;
  row.opener.setAttribute('aria-expanded', String(isOpen));
  showMore(row);
}

/** Whether the reader works with it: new content would take away the focus or the selection. */
function isInUse(element) {
  const selection = getSelection();
  return element.contains(document.activeElement) ||
    (!selection.isCollapsed && element.contains(selection.anchorNode));
}

function showMore({ more, shape }) {
  if (more.hidden || isInUse(more)) return;
  const opened = [...more.querySelectorAll('details[open]')].map(({ id }) => id);
  more.replaceChildren(el('td', { role: 'cell' }, ...details(shape)));
  for (const id of opened) $(id)?.setAttribute('open', '');
  widen();
}

/** Opens the row that the address names, whatever the filter says. */
function openNamed() {
  const row = rows.get(location.hash.replace('#shape-', ''));
  if (!row) return;
  if (row.line.hidden) {
    Object.assign(filter, { text: '', verdict: null });
    $('text').value = '';
    arrange();
  }
  open(row, true);
  row.line.scrollIntoView();
  row.opener.focus({ preventScroll: true });
}

/** Puts the rows in order, and away those that the filter leaves out. */
function arrange() {
  showArrangement();
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
  const unseen = new Set(rows.keys());
  for (const shape of shapes) {
    unseen.delete(shape.fingerprint);
    const row = rows.get(shape.fingerprint) ?? newRow(shape);
    rows.set(shape.fingerprint, row);
    const json = JSON.stringify(shape);
    if (json === row.json) continue;
    Object.assign(row, { shape, json, text: textOf(shape) });
    row.line.replaceChildren(row.line.firstElementChild, ...shapeCells(shape));
    showMore(row);
  }
  for (const gone of unseen) {
    rows.get(gone).line.remove();
    rows.get(gone).more.remove();
    rows.delete(gone);
  }
  $('shapes').tFoot.replaceChildren(...(rest ? [el('tr', { role: 'row' },
    el('th', { role: 'rowheader', scope: 'row', class: 'c-query text' }, 'All other statements'),
    ...shapeCells(rest))] : []));
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
  addEventListener('hashchange', openNamed);
  addEventListener('resize', widen);
}
