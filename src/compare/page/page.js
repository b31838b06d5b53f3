// Draws a comparison: everything stands in the page, so it is drawn once.

const comparison = JSON.parse($('data').textContent);
const { method, factor, verdicts, shapes: allShapes } = comparison;
const SIGNS = { good: '✓', bad: '✕', warn: '!' };
const NEWS = {
  new: ['bad', 'new'],
  new_by_chance: ['warn', 'new, by chance'],
  gone: ['good', 'gone'],
};

// ---- The verdict ----

const machine = (of, whose) => (of ? `${whose} ${threeDigits(of.ratio)} times as long (${threeDigits(of.low)} to ` +
  `${threeDigits(of.high)}) over ${count(of.shapes, 'shape')}, which differ from that by ${Math.round(100 * of.spread)} %.`
  : `${whose} can’t be told by so few shapes.`);

function showVerdict() {
  const { new_errors: fresh, gone_errors: gone, losses, untold } = comparison;
  const { degraded, improved, same, cannot_tell: unknown } = verdicts;
  const all = degraded + improved + same + unknown;
  const beyond = factor ? `beyond the machine’s ${threeDigits(factor.ratio)}` : `by more than ${100 * method.threshold} %`;
  const errors = fresh ? count(fresh, 'new error') : 'no new error';
  const slower = degraded ? `${number(degraded)} of ${count(all, 'shape')} ${degraded === 1 ? 'is' : 'are'} slower`
    : 'Nothing is slower';
  const lost = [
    losses.too_many ? `${number(losses.statements)} of ${count(losses.of, 'statement')} did not run; ` : '',
    losses.shapes ? `${count(losses.shapes, 'shape')} lost most of the calls; ` : '',
  ].join('');
  const toldOf = !degraded && isMost(untold) ? sentence(untold.words) : `${slower} ${beyond}`;
  const tone = degraded || fresh || lost ? 'bad' : isMost(untold) ? 'warn' : 'good';
  $('verdict').className = tone;
  $('headline').replaceChildren(el('span', { 'aria-hidden': 'true' }, `${SIGNS[tone]} `),
    `${lost}${toldOf}; ${errors}`);
  $('rests-on').textContent = [machine(factor, 'The candidate takes'),
    `${count(same, 'shape')} the same, ${number(improved)} faster; ${untoldPart(untold)};`,
    `${count(gone, 'error')} gone.`,
    comparison.repeat ? machine(comparison.repeat_factor, 'The repeat takes') : ''].join(' ');
  $('notes').replaceChildren(...comparison.notes.map((text) => el('li', {}, text)));
}

function showErrors() {
  const errors = allShapes.flatMap((shape) => shape.errors.map((error) => ({ ...error, shape })));
  $('errors').replaceChildren(errors.length
    ? table(['SQLSTATE', 'what', 'query', 'calls'], errors.map(({ sqlstate, what, calls, shape }) =>
      [code(sqlstate), badge(...NEWS[what]), code(nameOf(shape)), number(calls)]), 3)
    : note('None: each shape fails with the same SQLSTATEs on both targets, or not at all.'));
}

// ---- The shapes ----

/** The baseline's value above the candidate's. */
const pair = (baseline, candidate) => [
  el('span', { class: 'side source' }, el('span', { class: 'vh' }, 'baseline '), baseline),
  el('span', { class: 'side target' }, el('span', { class: 'vh' }, 'candidate '), candidate),
];
const both = (of) => ({ sides: { baseline, candidate } }) =>
  pair(...[baseline, candidate].map((side) => (side ? of(side) : '–')));
const times = (name) => both(({ target }) => (target.calls ? duration(target[name]) : '–'));
const stripOf = ({ strip }) => strip && { ...strip, source: strip.baseline, target: strip.candidate };
const errorsOf = ({ errors }) => sum(Object.values(errors));
const oneOf = ({ sides }) => sides.candidate ?? sides.baseline;

const hasOtherPlan = ({ plans }) => Boolean(plans?.baseline.length && plans.candidate.length && !plans.same);

/** The words that the filter looks through. */
function textOf(shape) {
  const codes = Object.values(shape.sides).flatMap((side) => Object.keys(side?.errors ?? {}));
  return [nameOf(shape), shape.command, shape.fingerprint, words(shape.verdict), shape.why, ...codes]
    .join('\n').toLowerCase();
}

/** What each column sorts by and shows. */
const COLUMNS = [
  { name: 'query', head: 'Query', by: nameOf, text: true },
  { name: 'verdict', head: 'Verdict', by: ({ verdict }) => Object.keys(VERDICTS).indexOf(verdict), text: true,
    cells: (shape) => [badge(...VERDICTS[shape.verdict]), el('div', { class: 'why' }, shape.why)] },
  { name: 'change', head: 'Change', by: ({ change: ratios }) => ratios?.beyond ?? -1,
    cells: ({ change: ratios }) => changeCells(ratios, method.threshold) },
  ...(comparison.repeat ? [{ name: 'repeat', head: 'Repeat', by: ({ repeat }) => repeat?.beyond ?? -1,
    cells: ({ repeat }) => [repeat ? change(repeat.beyond) : '–'] }] : []),
  { name: 'p50', head: 'Durations, p50', by: (shape) => oneOf(shape).target.p50_ms,
    cells: (shape) => [el('div', { class: 'compared' }, stripWhenSeen(stripOf(shape)),
      el('div', {}, ...times('p50_ms')(shape)))] },
  { name: 'p95', head: 'p95', by: (shape) => oneOf(shape).target.p95_ms, cells: times('p95_ms') },
  { name: 'total', head: 'Total', by: (shape) => oneOf(shape).target.total_ms, cells: times('total_ms') },
  { name: 'calls', head: 'Calls', by: (shape) => oneOf(shape).calls, cells: both(({ calls }) => number(calls)) },
  { name: 'errors', head: 'Errors', by: (shape) => errorsOf(oneOf(shape)),
    cells: both((side) => number(errorsOf(side))) },
  ...(allShapes.some(({ plans }) => plans) ? [{ name: 'plan', head: 'Plan',
    by: (shape) => Number(hasOtherPlan(shape)), text: true,
    cells: (shape) => [hasOtherPlan(shape) ? badge('warn', '≠ other') : shape.plans?.same ? 'same' : '–'] }] : []),
];

function planLine({ depth, text, filter, rows, cost, differs }) {
  const line = el('li', {}, differs ? el('mark', {}, text, el('span', { class: 'vh' }, ' (differs)')) : text, ' ',
    el('span', { class: 'soft' }, `${count(Math.round(rows), 'row')}, cost ${number(Math.round(10 * cost) / 10)}`),
    filter ? code(filter) : null);
  line.style.setProperty('--depth', depth);
  return line;
}

function plansOf({ plans }) {
  if (!plans) return [];
  const plan = (head, lines) => el('div', { class: 'plan' }, el('h4', {}, head), lines.length
    ? el('ul', { class: 'lines' }, ...lines.map(planLine)) : note('Not known.'));
  return [el('h3', {}, 'Plans'), el('div', { class: 'plans' }, plan('On the baseline’s target', plans.baseline),
    plan('On the candidate’s target', plans.candidate))];
}

/** Counters of both sides, one below the other. */
function spentTable(view, ratio, counters) {
  const value = (name, n) => (n === null ? '–' : spent(name, n));
  const lines = Object.entries(counters).filter(([, { baseline, candidate }]) => baseline || candidate)
    .map(([name, { baseline, candidate, ratio: times }]) => [words(name), value(name, baseline),
      value(name, candidate), times === null ? '–' : `×${threeDigits(times)}`]);
  return lines.length ? table([view, 'baseline', 'candidate', ratio], lines) : null;
}

function spentOn({ resources: counters }) {
  const made = spentTable('pg_stat_statements', 'ratio by call', counters);
  return made ? [el('h3', {}, 'What the targets spent on it'), made] : [];
}

function details(shape) {
  const { sides, change: ratios, undisturbed, repeat, strip } = shape;
  const confident = `with ${100 * method.confidence} % between`;
  const ratio = (of) => `${threeDigits(of.beyond)}, ${confident} ${threeDigits(of.beyond_low)} and ${threeDigits(of.beyond_high)}`;
  const states = (side) => side && Object.entries(side.errors).map(([state, n]) => `${state} × ${number(n)}`).join(', ');
  const outcomes = (side) => side && Object.entries(side.outcomes).filter(([, n]) => n > 0)
    .map(([name, n]) => `${number(n)} ${words(name)}`).join(', ');
  const told = [
    ['Verdict', `${words(shape.verdict)}: ${shape.why}`],
    ratios && ['Beyond the machine', ratio(ratios)],
    ratios && ['Candidate / baseline', `${threeDigits(ratios.ratio)}, ${confident} ${threeDigits(ratios.low)} and ${threeDigits(ratios.high)}`],
    undisturbed && ['Fastest tenth, beyond the machine', ratio(undisturbed)],
    repeat && ['Repeat, beyond the machine', ratio(repeat)],
    ['Errors on the baseline’s target', states(sides.baseline)],
    ['Errors on the candidate’s target', states(sides.candidate)],
    ['Against the source, baseline', outcomes(sides.baseline)],
    ['Against the source, candidate', outcomes(sides.candidate)],
    ['Fingerprint', shape.fingerprint && code(shape.fingerprint)],
  ].filter((fact) => fact && fact[1]).flatMap(([term, text]) => [el('dt', {}, term), el('dd', {}, text)]);
  const side = (name, of) => [name, number(of.calls),
    ...['p50', 'p95', 'p99', 'max', 'total'].map((key) => duration(of.target[`${key}_ms`]))];
  return [el('pre', {}, nameOf(shape)),
    el('div', { class: 'halves' }, el('div', {}, el('dl', {}, ...told)),
      el('div', {}, strip ? wholeStrip(stripOf(shape), 'baseline', 'candidate') : null,
        table(['', 'calls', 'p50', 'p95', 'p99', 'longest', 'total'],
          Object.entries(sides).filter(([, of]) => of).map(([name, of]) => side(name, of))))),
    ...plansOf(shape), ...spentOn(shape)];
}

// ---- The rest ----

function showRuns() {
  const runs = Object.entries({ baseline: comparison.baseline, candidate: comparison.candidate, repeat: comparison.repeat })
    .filter(([, run]) => run);
  const row = (head, of) => [head, ...runs.map(([, run]) => of(run))];
  $('runs').replaceChildren(table(['', ...runs.map(([name]) => name)], [
    row('report', ({ file }) => file), row('target', ({ target }) => target), row('log', ({ source }) => source),
    row('statements', ({ statements }) => number(statements)), row('order', (run) => run.order),
    row('pace', ({ pace }) => pace ?? 'as fast as it can'), row('from', ({ since }) => moment(since)),
    row('to', ({ until }) => moment(until)), row('kreplay', ({ kreplay }) => kreplay),
  ], 1 + runs.length));
}

function showSpent() {
  const { resources: views, resource_notes: notes, resource_ratios: of } = comparison;
  const ratio = of === 'transaction' ? 'ratio by transaction' : 'ratio';
  const tables = Object.entries(views).map(([view, counters]) => spentTable(view, ratio, counters)).filter(Boolean);
  $('spent').parentElement.hidden = !tables.length && !notes.length;
  $('spent').replaceChildren(...notes.map(note),
    el('div', { class: 'columns' }, ...tables.map((made) => el('div', { class: 'view' }, made))));
}

function showMethod() {
  $('method').replaceChildren(
    el('p', {}, `${sentence(method.test)}.`),
    el('p', {}, `The threshold is ${100 * method.threshold} %, the confidence ${100 * method.confidence} %, the false ` +
      `discovery rate ${100 * method.false_discovery_rate} %; fewer than ${number(method.least_calls)} calls are not judged.`));
}

$('route').replaceChildren(el('b', {}, comparison.baseline.target), ' → ', el('b', {}, comparison.candidate.target));
$('about').textContent = `kreplay ${comparison.kreplay}`;
showVerdict();
showErrors();
showRuns();
showSpent();
showMethod();
$('comparison').hidden = false;
setUpShapes();
showRows(allShapes);
showCounts(verdicts);
openNamed();
