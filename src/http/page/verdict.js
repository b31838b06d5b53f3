// What the page opens with: the verdict on the whole run, in words, and the shapes it rests on.

/** So many of the degraded shapes are named at the top. */
const NAMED = 5;

const counted = (n, all) => `${number(n)} of ${count(all, 'shape')} ${n === 1 ? 'is' : 'are'}`;

/** How many calls were judged, off pace and cold, over all shapes. */
function paces({ shapes, rest }) {
  const all = { judged: 0, off_pace: 0, cold: 0 };
  for (const { pace } of [...shapes, ...(rest ? [rest] : [])]) {
    for (const name of Object.keys(all)) all[name] += pace[name];
  }
  return { ...all, calls: all.judged + all.off_pace + all.cold };
}

/** What a shape has to exceed to be called slower. */
const beyondWhat = ({ factor, method }) =>
  (factor ? `beyond the machine’s ${threeDigits(factor.ratio)}` : `by more than ${100 * method.threshold} %`);

/** Whose fault it is that nothing can be told. */
function nothingTold(report) {
  const { judged, off_pace: off, cold, calls } = paces(report);
  if (off > calls / 2) {
    return ['warn', `Off pace: ${number(off)} of ${count(calls, 'call')}, nothing can be told against the source`,
      'Replay at --speed 1, or compare two replays with kreplay compare.'];
  }
  if (cold > judged) {
    return ['none', 'Nothing can be told yet: the target is cold',
      `${number(cold)} of ${count(calls, 'call')} ran within the warm-up of ` +
      `${duration(1000 * report.method.warm_up_seconds)}.`];
  }
  return ['none', sentence(report.untold.words),
    `A shape is judged from ${count(report.method.least_calls, 'call')} on that have a duration on both sides.`];
}

/** The machine's factor, and what became of the other shapes. */
function restsOn({ factor, verdicts, shapes, untold }) {
  const { improved, same } = verdicts;
  const machine = factor ? `Over ${count(factor.shapes, 'shape')}, the target takes ` +
    `${threeDigits(factor.ratio)} times as long as the source (${threeDigits(factor.low)} to ` +
    `${threeDigits(factor.high)}). ` : '';
  const off = shapes.filter(({ verdict, pace }) =>
    verdict === 'cannot_tell' && pace.off_pace > pace.judged).length;
  return `${machine}Of the others, ${number(improved)} ${improved === 1 ? 'is' : 'are'} faster and ${number(same)} the same; ` +
    `${untoldPart(untold)}${off ? ` (${number(off)} off pace)` : ''}.`;
}

/** Tone, the verdict in words, what it rests on. */
function verdictOn(report) {
  const { outcomes, shapes, verdicts, untold } = report;
  const { degraded, improved, same } = verdicts;
  const fresh = outcomes.new_error ?? 0;
  const errors = fresh ? count(fresh, 'new error') : 'no new error';
  if (!sum(Object.values(outcomes))) return ['none', 'Nothing has been replayed yet', ''];
  if (degraded) {
    return ['bad', `${counted(degraded, shapes.length)} slower ${beyondWhat(report)}; ${errors}`, restsOn(report)];
  }
  if (!isMost(untold)) {
    return [fresh ? 'bad' : 'good', `Nothing is slower ${beyondWhat(report)}; ${errors}`, restsOn(report)];
  }
  const [tone, short, long] = nothingTold(report);
  return [fresh ? 'bad' : tone, `${short}; ${errors}`, improved + same ? `${restsOn(report)} ${long}` : long];
}

const SIGNS = { good: '✓', bad: '✕', warn: '!', none: '?' };

function showVerdict(report) {
  const [tone, short, long] = verdictOn(report);
  const worst = report.shapes.filter(({ verdict }) => verdict === 'degraded')
    .sort((a, b) => b.change.beyond - a.change.beyond);
  const named = worst.slice(0, NAMED).map((shape) => el('li', {},
    el('b', {}, change(shape.change.beyond)), ' ', linkTo(shape)));
  const more = worst.length - named.length;
  $('verdict').className = tone;
  $('headline').replaceChildren(el('span', { 'aria-hidden': 'true' }, `${SIGNS[tone]} `), short);
  $('rests-on').textContent = long;
  $('worst').replaceChildren(...named, ...(more ? [el('li', { class: 'soft' }, `and ${number(more)} more`)] : []));
  $('worst').hidden = !named.length;
}
