// What the target spent over the run, as its statistics views tell.

/** A counter's name says its unit: milliseconds, bytes, or how many. */
function spent(name, n) {
  if (/_(time|ms)$/.test(name)) return duration(n);
  if (/_bytes$/.test(name)) return bytes(n);
  return number(Math.round(n));
}

/** Those that moved, the others only by name. */
function counters(heads, of) {
  const names = Object.keys(of).sort();
  const moved = names.filter((name) => of[name]);
  const still = names.filter((name) => !of[name]);
  return [
    moved.length ? table(heads, moved.map((name) => [words(name), spent(name, of[name])])) : null,
    still.length ? note(`Without a change: ${still.map(words).join(', ')}.`) : null,
  ].filter(Boolean);
}

const resources = ({ resources: views, resource_notes: notes }) => [
  ...notes.map(note),
  el('div', { class: 'columns' }, ...Object.entries(views ?? {})
    .map(([view, of]) => el('div', { class: 'view' }, ...counters([view, 'over the run'], of)))),
];
