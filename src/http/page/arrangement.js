// The table of query shapes: its rows, and how they are sorted, filtered and opened. Rows are kept from one
// report to the next, so that what is opened, focused or selected stays so. What the columns show
// (COLUMNS), what the filter looks through (textOf) and what an opened row tells (details) is the page's own.

const VERDICTS = {
  degraded: ['bad', '✕ degraded'],
  cannot_tell: ['none', '? can’t tell'],
  same: ['none', '= same'],
  improved: ['good', '✓ improved'],
};

const order = { name: 'total', falling: true };
const filter = { text: '', verdict: null };
/** By fingerprint; statements of no shape of their own share a row. */
const rows = new Map();

const nameOf = ({ query }) => query ?? 'all other statements';
const keyOf = ({ fingerprint }) => fingerprint ?? 'rest';

/** Whether what is told is no verdict on the run. */
const isMost = ({ extent }) => extent === 'most' || extent === 'all';
/** Of what part of them that is not so; the headline says it where it is most. */
const untoldPart = ({ extent, shapes, words: told }) =>
  (extent === 'part' ? told : `${count(shapes, 'shape')} can’t be judged`);

// ---- Rows ----

/** Shows these shapes and no others. */
function showRows(shapes) {
  const unseen = new Set(rows.keys());
  for (const shape of shapes) {
    unseen.delete(keyOf(shape));
    const row = rows.get(keyOf(shape)) ?? newRow(shape);
    rows.set(keyOf(shape), row);
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
  arrange();
}

function newRow(shape) {
  const opener = el('button', { class: 'open', type: 'button', 'aria-expanded': 'false' },
    code(nameOf(shape)));
  const line = el('tr', { role: 'row', class: 'shape', id: `shape-${keyOf(shape)}` },
    el('th', { role: 'rowheader', scope: 'row', class: 'c-query text' }, opener));
  const more = el('tr', { role: 'row', class: 'more', hidden: '' });
  const row = { line, more, opener, json: '' };
  opener.onclick = () => open(row, more.hidden);
  return row;
}

function shapeCells(shape) {
  const tone = VERDICTS[shape.verdict][0];
  return COLUMNS.slice(1).map(({ name, head, text, cells }) => el('td', { role: 'cell',
    class: `c-${name} ${text ? 'text' : ''} ${tone}`, 'data-label': head }, ...cells(shape)));
}

/** A shape's change beyond the machine's, with the band of what counts as the same. */
function changeCells(ratios, margin) {
  if (!ratios) return ['–'];
  const line = beyondLine(ratios);
  const [, ratio, low, high] = line;
  return [el('div', { class: 'compared' }, forest([line], margin),
    el('div', {}, el('span', { class: 'ratio' }, change(ratio)),
      el('div', { class: 'soft' }, `${change(low, high)} to ${change(high)}`)))];
}

// ---- What is opened ----

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

/** Opened rows are as wide as the columns that the style shows. */
function widen() {
  const shown = [...$('shapes').tHead.rows[0].cells].filter((head) => head.offsetWidth > 0).length;
  for (const cell of $('shapes').querySelectorAll('.more > td')) cell.colSpan = shown;
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

// ---- Sorted and filtered ----

/** Puts the rows in order, and away those that the filter leaves out. */
function arrange() {
  showArrangement();
  const valueOf = (column) => COLUMNS.find(({ name }) => name === column).by;
  const [by, total] = [valueOf(order.name), valueOf('total')];
  const way = order.falling ? -1 : 1;
  const compare = (a, b) => (a < b ? -way : a > b ? way : 0);
  const sorted = [...rows.values()].sort((a, b) =>
    compare(by(a.shape), by(b.shape)) || total(b.shape) - total(a.shape));
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

/** Shows by which column and which verdict the rows are arranged. */
function showArrangement() {
  for (const head of $('shapes').tHead.rows[0].cells) {
    if (head.dataset.name !== order.name) head.removeAttribute('aria-sort');
    else head.ariaSort = order.falling ? 'descending' : 'ascending';
  }
  for (const button of $('verdicts').children) {
    button.ariaPressed = String((button.dataset.verdict || null) === filter.verdict);
  }
}

function sortBy({ name, text }) {
  order.falling = order.name === name ? !order.falling : !text;
  order.name = name;
  arrange();
}

/** Shows how many shapes have which verdict. */
function showCounts(verdicts) {
  const counts = [['All', sum(Object.values(verdicts))],
    ...Object.entries(VERDICTS).map(([verdict, [, text]]) => [text, verdicts[verdict]])];
  counts.forEach(([text, n], at) => { $('verdicts').children[at].textContent = `${text} ${number(n)}`; });
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
