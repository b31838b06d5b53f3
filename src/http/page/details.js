// What an opened row tells of its shape.

const listed = (numbers) => Object.entries(numbers).filter(([, n]) => n > 0)
  .map(([name, n]) => `${number(n)} ${words(name)}`).join(', ');
const interval = (low, high) => `${threeDigits(low)} and ${threeDigits(high)}`;

const CLOCKS = {
  server: 'by the server itself, as on the source',
  client: 'by kreplay, with the way to the server in it',
};
function clock(of) {
  const used = Object.keys(CLOCKS).filter((name) => of[name]);
  if (used.length < 2) return used.length ? CLOCKS[used[0]] : null;
  return used.map((name) => `${count(of[name], 'call')} ${CLOCKS[name]}`).join('; ');
}

function facts(shape) {
  const { pace, sample, change: ratios, concurrency, errors } = shape;
  const states = (of) => Object.entries(of).map(([state, n]) => `${state} × ${number(n)}`).join(', ');
  const confident = `with ${100 * report.method.confidence} % between`;
  return [
    ['Verdict', `${words(shape.verdict)}: ${shape.why}`],
    ratios && ['Beyond the machine',
      `${threeDigits(ratios.beyond)}, ${confident} ${interval(ratios.beyond_low, ratios.beyond_high)}`],
    ratios?.margin && ['Margin', `${change(1 + ratios.margin)} or ${change(1 / (1 + ratios.margin))} counts`],
    ratios && ['Target / source', `${threeDigits(ratios.ratio)}, ${confident} ${interval(ratios.low, ratios.high)}`],
    ['Calls', listed({ judged: pace.judged, off_pace: pace.off_pace, cold: pace.cold })],
    ['Measured', clock(shape.clock)],
    ['Running at the time', `${threeDigits(concurrency.source)} statements on the source, ` +
      `${threeDigits(concurrency.target)} on the target`],
    ['Waited for the order', duration(shape.waited_order_ms)],
    ['Outcomes', listed(shape.outcomes)],
    ['Errors on the source', states(errors.source)],
    ['Errors on the target', states(errors.target)],
    sample && ['First that changed', el('a', { href: `#changed-${shape.fingerprint}` },
      `${sample.source} → ${sample.target}, session ${sample.session}, ${sample.place}`)],
    ['Fingerprint', code(shape.fingerprint)],
  ].filter((fact) => fact && fact[1]);
}

function details(shape) {
  const side = (name, of) => [name, number(of.calls),
    ...['p50', 'p95', 'p99', 'max', 'total'].map((key) => duration(of[`${key}_ms`]))];
  const told = facts(shape).flatMap(([term, text]) => [el('dt', {}, term), el('dd', {}, text)]);
  return [
    el('pre', {}, shape.query),
    el('div', { class: 'halves' },
      el('div', {}, el('dl', {}, ...told)),
      el('div', {},
        shape.strip ? wholeStrip(shape.strip) : null,
        table(['', 'calls', 'p50', 'p95', 'p99', 'longest', 'total'],
          [side('source', shape.source), side('target', shape.target)]),
        shape.change ? wholeForest(shape.change) : null)),
    ...plans(shape.fingerprint, shape.plans),
    ...(shape.resources ? [el('h3', {}, 'What the target spent on it'),
      ...counters(['pg_stat_statements', 'over the run'], shape.resources)] : []),
  ];
}
