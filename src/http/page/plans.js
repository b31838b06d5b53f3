// A shape's plans as trees, two of them side by side, the nodes that differ marked.

/** Estimates that differ by less are the same for a reader. */
const ROWS_DIFFER = 10;

const title = ({ node, relation, index }) =>
  [node, index && `using ${index}`, relation && `on ${relation}`].filter(Boolean).join(' ');
const nodesOf = (tree) => [tree, ...tree.children.flatMap(nodesOf)];

/** The nodes that two plans share, in their order: the longest common subsequence of their titles. */
function shared(left, right) {
  const [a, b] = [nodesOf(left), nodesOf(right)];
  const longest = Array.from({ length: a.length + 1 }, () => new Array(b.length + 1).fill(0));
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      longest[i][j] = title(a[i]) === title(b[j]) ? longest[i + 1][j + 1] + 1
        : Math.max(longest[i + 1][j], longest[i][j + 1]);
    }
  }
  const partners = new Map();
  for (let [i, j] = [0, 0]; i < a.length && j < b.length;) {
    if (title(a[i]) === title(b[j])) {
      partners.set(a[i], b[j]).set(b[j], a[i]);
      i += 1;
      j += 1;
    } else if (longest[i + 1][j] >= longest[i][j + 1]) i += 1;
    else j += 1;
  }
  return partners;
}

const rowsDiffer = (one, other) => {
  const [low, high] = [one.rows, other.rows].map((rows) => Math.max(rows, 1)).sort((a, b) => a - b);
  return high / low >= ROWS_DIFFER;
};

/** A node and those below it; `partners` is null where there is nothing to compare it with. */
function tree(node, partners) {
  const other = partners?.get(node);
  const name = partners && !other ? el('mark', {}, title(node), el('span', { class: 'vh' }, ' (differs)')) : title(node);
  const rows = `${count(Math.round(node.rows), 'row')}`;
  const estimate = other && rowsDiffer(node, other) ? el('mark', {}, rows) : rows;
  return el('li', {}, el('div', {}, name, ' ',
    el('span', { class: 'soft' }, estimate, `, cost ${number(Math.round(10 * node.cost) / 10)}`)),
  node.filter ? el('div', { class: 'filter' }, code(node.filter)) : null,
  node.children.length ? el('ul', {}, ...node.children.map((child) => tree(child, partners))) : null);
}

function plan(head, { since, until, hash, from, tree: root }, partners) {
  const told = from === 'explain' ? 'by EXPLAIN' : 'as used';
  return el('div', { class: 'plan' }, el('h4', {}, head),
    el('p', { class: 'soft' }, code(hash), `, ${told}, from ${moment(since)} to ${moment(until)}`),
    el('ul', {}, tree(root, partners)));
}

/** The newest plan of each side, or the target's last two; earlier ones to be opened. */
function plans(fingerprint, { source, target, refused }) {
  const now = target.at(-1);
  const before = source.at(-1) ?? target.at(-2);
  const untold = refused ? [note(`The target’s plan can’t be told: SQLSTATE ${refused}.`)] : [];
  if (!now && !before) return untold;
  const partners = now && before ? shared(before.tree, now.tree) : null;
  const head = source.length ? 'On the source' : 'On the target before';
  const shown = [before && plan(head, before, partners), now && plan('On the target', now, partners)].filter(Boolean);
  const earlier = [...source, ...target].filter((seen) => seen !== now && seen !== before);
  const side = (seen) => (source.includes(seen) ? 'On the source' : 'On the target');
  return [el('h3', {}, 'Plans'),
    ...target.slice(1).map(({ since, hash }, at) => note(target[at].until > since
      ? `Calls on the target have the plan ${target[at].hash} or ${hash}.`
      : `The target’s plan changed from ${target[at].hash} to ${hash} at ${moment(since)}.`)),
    ...untold,
    el('div', { class: 'plans' }, ...shown),
    ...earlier.map((seen) => el('details', { id: `${fingerprint}-${seen.hash}-${seen.since}` }, el('summary', {}, `${side(seen)}, until ${moment(seen.until)}`),
      plan(side(seen), seen, null)))];
}
