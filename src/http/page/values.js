'use strict';
// How values look, and how elements are made. All text becomes text nodes: queries and names are
// whatever the log holds.

const grouped = new Intl.NumberFormat('en');
const number = (n) => (n === null || n === undefined ? '?' : grouped.format(n));
const count = (n, one) => `${number(n)} ${one}${n === 1 ? '' : 's'}`;
const words = (label) => label.replaceAll('_', ' ');
const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const sum = (numbers) => numbers.reduce((all, n) => all + n, 0);
const threeDigits = (n) => n.toFixed(n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2);
const moment = (rfc3339) => rfc3339.replace('T', ' ').replace(/(\.\d+)?Z$/, ' UTC');

function duration(ms) {
  if (ms < 0.0005) return '0';
  if (ms < 0.9995) return `${threeDigits(ms * 1000)} µs`;
  if (ms < 999.5) return `${threeDigits(ms)} ms`;
  if (ms < 59_995) return `${threeDigits(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const minutes = Math.floor(seconds / 60);
  const hours = Math.floor(minutes / 60);
  if (hours === 0) return `${minutes} min ${seconds % 60} s`;
  if (hours < 48) return `${hours} h ${minutes % 60} min`;
  return `${number(Math.floor(hours / 24))} d ${hours % 24} h`;
}

/** A share that says 100 % of all alone, and 0 % of none alone. */
function percent(part, all) {
  if (part === 0 || part === all) return part === 0 ? '0 %' : '100 %';
  return `${Math.min(Math.max((100 * part) / all, 0.01), 99.99).toFixed(2)} %`;
}

const signed = (ratio) => {
  const more = Math.abs(100 * (ratio - 1)).toFixed(Math.abs(ratio - 1) < 0.0995 ? 1 : 0);
  return Number(more) === 0 ? '±0 %' : `${ratio < 1 ? '−' : '+'}${more} %`;
};
/** A ratio for people: in percent, or how many times where that says more. */
const change = (ratio, largest = ratio) => (largest >= 2 ? `×${threeDigits(ratio)}` : signed(ratio));

function bytes(n) {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let unit = 0;
  while (n >= 1024 && unit < units.length - 1) { n /= 1024; unit += 1; }
  return `${unit ? threeDigits(n) : number(n)} ${units[unit]}`;
}

const $ = (id) => document.getElementById(id);

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (typeof value === 'function') element[name] = value;
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}
const el = (name, properties = {}, ...children) =>
  fill(document.createElement(name), properties, children);
const svg = (name, properties = {}, ...children) =>
  fill(document.createElementNS('http://www.w3.org/2000/svg', name), properties, children);

const note = (text) => el('p', { class: 'soft' }, text);
const code = (text) => el('code', {}, text);
const badge = (tone, text) => el('span', { class: `badge ${tone}` }, text);

/** A bar as long as its share of the longest; the number stands beside it. */
function bar(value, longest) {
  const made = el('span', { class: 'bar', 'aria-hidden': 'true' });
  // Through the object model, which the content security policy allows; an attribute it does not.
  made.style.width = `${longest > 0 ? (100 * value) / longest : 0}%`;
  return made;
}

/** A table; the first `texts` columns are text, and the first heads its row. */
function table(heads, rows, texts = 1) {
  const type = (at, row) => [at < texts ? 'text' : '', row.part ? 'part' : ''].join(' ').trim();
  const cell = (row) => (value, at) =>
    el(at === 0 ? 'th' : 'td', { class: type(at, row), scope: at === 0 ? 'row' : null }, value);
  const head = (text, at) => el('th', { class: type(at, heads), scope: 'col' }, text);
  return el('div', { class: 'scroll' }, el('table', {},
    el('thead', {}, el('tr', {}, ...heads.map(head))),
    el('tbody', {}, ...rows.map((row) => el('tr', { id: row.id ?? null }, ...row.map(cell(row)))))));
}
