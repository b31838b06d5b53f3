// What the tables of query shapes share: the verdicts, the change, what they are sorted and filtered by.

const VERDICTS = {
  degraded: ['bad', '✕ degraded'],
  cannot_tell: ['none', '? can’t tell'],
  same: ['none', '= same'],
  improved: ['good', '✓ improved'],
};

const order = { name: 'total', falling: true };
const filter = { text: '', verdict: null };

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

/** Opened rows are as wide as the columns that the style shows. */
function widen() {
  const shown = [...$('shapes').tHead.rows[0].cells].filter((head) => head.offsetWidth > 0).length;
  for (const cell of $('shapes').querySelectorAll('.more > td')) cell.colSpan = shown;
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
