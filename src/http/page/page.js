// The rest of the page, and how it follows the replay: while one runs (`now` is there), the report is
// fetched anew every few seconds, and what the reader chose stays.

const unreadOf = ({ position, high_watermark: end }) =>
  (position === null || end === null ? null : Math.max(0, end - position));

function records({ consumed, balances, pending, ...fates }) {
  const row = (name, n) => [name, number(n), consumed ? percent(n, consumed) : ''];
  const byFate = Object.entries(fates).flatMap(([fate, of]) => typeof of === 'number'
    ? [row(words(fate), of)]
    : [row(words(fate), of.total), ...Object.entries(of.reasons).filter(([, n]) => n > 0)
      .map(([reason, n]) => Object.assign(row(words(reason), n), { part: true }))]);
  const told = table(['Fate', 'records', 'share'],
    [row('read', consumed), ...byFate, row('pending', pending)]);
  return balances ? told : [note('More records are settled than were read: a defect.'), told];
}

function changes({ shapes, rest, outcomes }) {
  const all = [...shapes, ...(rest ? [rest] : [])].filter(changed).sort((a, b) => changed(b) - changed(a));
  if (!all.length) {
    return note(outcomes.same ? 'None: every statement ended as on the source.' : 'None so far.');
  }
  return table(['Query', 'first that changed', 'where', 'new', 'fixed', 'other'], all.map((shape) => {
    const { query, fingerprint, sample, outcomes } = shape;
    const cells = [query ? linkTo(shape) : 'all other statements',
      sample ? el('span', { class: 'ends' }, code(sample.source), ' → ', code(sample.target)) : '–',
      sample ? `${sample.place}; session ${sample.session}` : '–',
      ...[outcomes.new_error, outcomes.fixed_error, outcomes.other_error].map(number)];
    return Object.assign(cells, { id: query && `changed-${fingerprint}` });
  }), 3);
}

function errors({ source_errors: source, target_errors: target }) {
  const states = [...new Set([...Object.keys(source), ...Object.keys(target)])].sort();
  if (!states.length) return note('None on either side.');
  return table(['SQLSTATE', 'on the source', 'on the target'],
    states.map((state) => [code(state), number(source[state] ?? 0), number(target[state] ?? 0)]));
}

function lag({ behind_source_seconds: behind, partitions }) {
  const told = note(behind === null ? 'Nothing has been replayed yet.'
    : `${duration(behind * 1000)} behind the source.`);
  if (!partitions.length) return told;
  return [told, table(['Partition', 'read up to', 'committed', 'end', 'unread'], partitions.map((at) =>
    [number(at.partition), ...[at.position, at.committed, at.high_watermark, unreadOf(at)].map(number)]))];
}

// The last time that nothing went on: who waited for whom.
function stalled({ stall }) {
  if (!stall) return [];
  const told = stall.is_over ? 'Nothing had gone on' : 'Nothing goes on, and nothing has';
  return [note(`${told} for ${duration(stall.seconds * 1000)}; ` +
    `${stall.given_up.length ? stall.given_up.join('; ') : 'waiting on'}.`),
  table(['Session', 'where', 'waits for', 'held up by'], stall.chain.map((wait) =>
    [wait.session, wait.place ?? '–', wait.waits_for, wait.held_up_by ?? '–']), 4)];
}

function waits({ waits: seconds, stalls_broken: stalls }) {
  const rows = Object.entries(seconds).sort(([, a], [, b]) => b - a);
  const longest = Math.max(0, ...rows.map(([, s]) => s));
  const waited = rows.length
    ? table(['Waited for', 'all statements', ''], rows.map(([reason, s]) =>
      [words(reason), duration(s * 1000), bar(s, longest)]))
    : note('Nothing has waited.');
  const broken = Object.entries(stalls);
  return broken.length ? [waited, table(['Waits for locks broken by', 'times'],
    broken.map(([how, n]) => [words(how), number(n)]))] : waited;
}

const sessions = ({ sessions, connections }) => table(['Sessions', 'now'],
  [...sessions, ['connections to the target', connections]].map(([state, n]) => [words(state), number(n)]));

const costly = (shapes) => table(['Statement', 'treated as touching', 'because', 'times'],
  shapes.map((of) => [code(of.shape), of.touches, words(of.because), number(of.times)]), 3);

function method({ method, factor, plan_notes: notes }) {
  const { test, threshold, confidence, least_calls: calls, false_discovery_rate: rate, round_trip_ms: trip } = method;
  return [
    el('p', {}, `${sentence(test)}.`),
    el('p', {}, `The change that counts is ${100 * threshold} %, the confidence ${100 * confidence} %, the ` +
      `false discovery rate ${100 * rate} %; fewer than ${count(calls, 'call')} are not judged.`),
    factor ? el('p', {}, `The machine’s factor is ${threeDigits(factor.ratio)}, with ${100 * confidence} % between ` +
      `${threeDigits(factor.low)} and ${threeDigits(factor.high)}, from ${count(factor.shapes, 'shape')}.`) : null,
    el('p', {}, trip
      ? `The round trip of an empty query to the target: ${duration(trip.p50)} (p50), ${duration(trip.p95)} (p95).`
      : 'The round trip to the target has not been measured.'),
    ...notes.map(note),
  ].filter(Boolean);
}

function put(id, content) {
  $(id).replaceChildren(...[content].flat());
  $(id).parentElement.hidden = false;
}
const leaveOut = (id) => { $(id).parentElement.hidden = true; };

function show(next) {
  report = next;
  const { now, pace } = report;
  const route = [el('b', {}, report.source), ' → ', el('b', {}, report.target), `, order ${report.order}`];
  if (pace) {
    const speed = pace.speed === 1 ? 'at' : `${pace.speed} times`;
    route.push(`, ${speed} the source’s pace, ${duration(pace.playout_delay_seconds * 1000)} behind it`);
  }
  $('route').replaceChildren(...route);
  showVerdict(report);
  showAnswers(report);
  showShapes();
  put('changes', changes(report));
  put('records', records(report.records));
  put('errors', errors(report));
  put('lag', lag(report.lag));
  put('waits', waits(report));
  put('method', method(report));
  if (report.resources || report.resource_notes.length) put('spent', resources(report)); else leaveOut('spent');
  if (now) put('sessions', sessions(now)); else leaveOut('sessions');
  if (report.stall) put('stall', stalled(report)); else leaveOut('stall');
  if (report.costly.length) put('costly', costly(report.costly)); else leaveOut('costly');
  $('about').replaceChildren(`kreplay ${report.kreplay}, running since ${moment(report.since)}`,
    ...(now ? ['metrics', 'report', 'readyz', 'livez'].flatMap((path) => [' · ', el('a', { href: path }, path)]) : []));
  tell(now ? `As of ${moment(report.until)}` : '');
}

function tell(news, late = false) {
  if ($('news').textContent !== news) $('news').textContent = news;
  $('news').classList.toggle('late', late);
}

async function refresh() {
  if (!document.hidden) {
    try {
      const answer = await fetch('report?page', { cache: 'no-store', signal: AbortSignal.timeout(10_000) });
      if (!answer.ok) throw new Error(`it answers ${answer.status}`);
      show(await answer.json());
    } catch (failure) {
      tell(`No news since ${moment(report.until)}: ${failure.message}`, true);
    }
  }
  setTimeout(refresh, EVERY_MS);
}

setUpShapes();
show(JSON.parse($('data').textContent));
$('report').hidden = false;
openNamed();
if (report.now) setTimeout(refresh, EVERY_MS);
