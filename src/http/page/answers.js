// At a glance: each answer is a question, a tone, the answer and what it rests on.

const EVERY_MS = 3000;
/** A live replay that is less behind than this keeps up. */
const BEHIND_SECONDS = 5;
const seen = [];

/** Whether the replay comes nearer (-1) or falls behind (1), by what this page saw last minute. */
function trend(behind) {
  const at = Date.now();
  seen.push({ at, behind });
  while (seen[0].at < at - 60_000) seen.shift();
  const seconds = (at - seen[0].at) / 1000;
  if (seconds < (2 * EVERY_MS) / 1000) return 0;
  const slope = (behind - seen[0].behind) / seconds;
  return Math.abs(slope) < 0.05 ? 0 : Math.sign(slope);
}

function ready({ now, since, until }) {
  if (!now) {
    const took = duration(new Date(until) - new Date(since));
    return ['Ended?', 'none', `■ Ended after ${took}`, `${moment(since)} to ${moment(until)}`];
  }
  const sides = `source ${now.source_condition}, target ${now.target_condition}`;
  if (now.ready) return ['Ready?', 'good', '✓ Ready', sides];
  return ['Ready?', 'bad', '✕ Not ready', now.why];
}

function keepingUp({ now, pace, lag, records }) {
  const question = 'Keeping up?';
  const inWork = `${number(records.pending)} in work`;
  const seconds = lag.behind_source_seconds;
  if (!lag.partitions.length || seconds === null) {
    return [question, 'none', `${count(records.consumed, 'record')} read`, inWork];
  }
  const unread = sum(lag.partitions.map((at) => unreadOf(at) ?? 0));
  const rest = `${count(unread, 'record')} to be read, ${inWork}`;
  if (unread + records.pending === 0) return [question, 'good', '✓ All is read and replayed', rest];
  const behind = `${duration(seconds * 1000)} behind`;
  if (!now) return [question, 'warn', `! ${behind}`, rest];
  const way = trend(seconds);
  if (seconds < BEHIND_SECONDS + (pace?.playout_delay_seconds ?? 0)) {
    return [question, 'good', `✓ ${behind}`, rest];
  }
  if (way < 0) return [question, 'warn', `↓ ${behind}`, `Catching up; ${rest}`];
  return [question, 'bad', `! ${behind}`, `${way > 0 ? 'Falling back' : 'Not nearer'}; ${rest}`];
}

function faithful({ outcomes, records }) {
  const question = 'Faithful?';
  const { same = 0, new_error: fresh = 0, fixed_error: fixed = 0, other_error: other = 0,
    cannot_tell: untold = 0 } = outcomes;
  const changed = fresh + fixed + other;
  const listed = (numbers) => Object.entries(numbers).filter(([, n]) => n > 0)
    .map(([name, n]) => `${number(n)} ${name}`).join(', ');
  const { skipped, rejected, given_up: givenUp } = records;
  const lost = { skipped: skipped.total, rejected: rejected.total, 'given up': givenUp.total };
  const missing = listed(lost) && `Records not replayed: ${listed(lost)}`;
  if (!records.balances) return [question, 'bad', '✕ Settled twice', 'A defect of kreplay'];
  if (same + changed === 0) {
    return [question, 'none', 'Nothing replayed', missing || 'No statement has ended yet'];
  }
  const told = [
    `${percent(same, same + changed)} of ${count(same + changed, 'statement')} ended as on the source`,
    changed && `Errors: ${listed({ new: fresh, fixed, other })}`,
    untold && `Of ${number(untold)} the source's log holds too little to tell`,
    missing,
  ].filter(Boolean).join('. ');
  if (fresh) return [question, 'bad', `✕ ${count(fresh, 'new error')}`, told];
  if (changed) return [question, 'warn', `! ${count(changed, 'outcome')} changed`, told];
  if (missing) return [question, 'warn', '! Records not replayed', told];
  return [question, 'good', '✓ As on the source', told];
}

/** Whether the calls ran as on the source, so that their durations may be compared, and who timed them. */
function atPace({ shapes, rest }) {
  const question = 'At the source’s pace?';
  const { judged, off_pace: off, cold, calls } = paces({ shapes, rest });
  const clocks = { server: 0, client: 0 };
  for (const { clock } of [...shapes, ...(rest ? [rest] : [])]) {
    clocks.server += clock.server;
    clocks.client += clock.client;
  }
  const timed = clocks.client === 0 ? 'Timed by the target itself'
    : clocks.server === 0 ? 'Timed by kreplay, the way to the target included'
      : `${percent(clocks.server, clocks.server + clocks.client)} timed by the target itself`;
  if (!calls) return [question, 'none', '? Can’t tell yet', 'No call has a duration on both sides'];
  const told = `${number(judged)} of ${count(calls, 'call')} judged, ${number(off)} off pace, ${number(cold)} cold. ${timed}`;
  if (off > calls / 10) return [question, 'warn', `! ${percent(off, calls)} off pace`, told];
  return [question, 'good', `✓ ${percent(calls - off, calls)} at pace`, told];
}

function showAnswers(report) {
  $('answers').replaceChildren(...[ready, keepingUp, faithful, atPace].map((answer) => {
    const [question, tone, short, long] = answer(report);
    return el('article', { class: `answer ${tone}` },
      el('h3', {}, question), el('strong', {}, short), el('p', {}, long));
  }));
}
