// What the table of query shapes shows of each, with the source's value above the target's.

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

let report = null;

function showShapes() {
  const { shapes, rest, verdicts } = report;
  showRows(shapes);
  $('shapes').tFoot.replaceChildren(...(rest ? [el('tr', { role: 'row' },
    el('th', { role: 'rowheader', scope: 'row', class: 'c-query text' }, 'All other statements'),
    ...shapeCells(rest))] : []));
  showCounts(verdicts);
  $('empty').hidden = shapes.length > 0;
  $('told').hidden = shapes.length === 0;
}
