"use strict";
// The row browser: unpacks a set when it is first shown, keeps the numbers of the rows that pass the filter, and
// draws fifty of them at a time. All text goes in as text, never as markup.
const PAGE = 50;
const packed = [...document.querySelectorAll("script.rows")];
const unpacked = new Map();
const form = document.getElementById("filter");
const pager = document.querySelector(".pager");
const body = document.getElementById("browser");
let data, shown = [], from = 0, asked = 0;

async function unpack(number) {
  if (!unpacked.has(number)) {
    const bytes = Uint8Array.from(atob(packed[number].textContent.trim()), c => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    unpacked.set(number, JSON.parse(await new Response(stream).text()));
  }
  return unpacked.get(number);
}

const stem = code => code.split(/[./]/)[0];
const field = name => form.elements[name].value;

function verdict(variant, axis, row) {
  const said = data.answers[variant][axis].code[row], gold = data.gold[axis][row];
  if (said < 0) return "malformed";
  if (said === gold) return "exact";
  return stem(data.codes[said]) === stem(data.codes[gold]) ? "near" : "wrong";
}

function passes(kind, variant, other, axis, row) {
  const mine = verdict(variant, axis, row);
  if (kind === "all" || kind === mine) return true;
  if (kind === "wrong") return mine !== "exact";
  if (kind === "open") return data.answers[variant][axis].open[row] !== -2;
  const theirs = verdict(other, axis, row);
  if (kind === "gain") return mine === "exact" && theirs !== "exact";
  return kind === "loss" && mine !== "exact" && theirs === "exact";
}

function filter() {
  const axis = +field("axis"), variant = +field("variant"), other = +field("other"), kind = field("kind");
  const part = +field("part"), code = field("code").trim().toUpperCase(), words = field("row").trim().toLowerCase();
  const answers = data.answers[variant][axis];
  shown = [];
  for (let row = 0; row < data.rows.length; row++) {
    const gold = data.gold[axis][row], said = answers.code[row];
    if (gold < 0 || data.counted[row] !== part || !passes(kind, variant, other, axis, row)) continue;
    if (code && !data.codes[gold].startsWith(code) && !(said >= 0 && data.codes[said].startsWith(code))) continue;
    if (words && !(data.rows[row] + " " + notes(row)).toLowerCase().includes(words)) continue;
    shown.push(row);
  }
  const way = {sure: -1, unsure: 1}[field("order")];
  if (way) shown.sort((a, b) => way * (answers.sure[a] - answers.sure[b]) || a - b);
  from = 0;
  draw();
}

const notes = row => data.noted[row].map(note => data.notes[note]).join(", ");

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}

function coded(code, axis, className) {
  const cell = make("span", code < 0 ? "no code" : data.codes[code], className);
  const title = code >= 0 && data.titles && data.titles[axis][code];
  if (title) cell.append(make("span", title, "title"));
  return cell;
}

function answer(variant, axis, row) {
  const all = data.answers[variant][axis], cell = document.createDocumentFragment();
  const judged = verdict(variant, axis, row), words = {exact: "exact", near: "partial", wrong: "wrong", malformed: "malformed"};
  cell.append(coded(all.code[row], axis, {exact: "right", near: "near"}[judged] || "wrong"));
  const reason = all.open[row] === -2 ? "" : ", left open" + (all.open[row] < 0 ? "" : ": " + data.reasons[all.open[row]]);
  const sure = all.sure[row] < 0 ? "" : ", confidence " + (all.sure[row] / 1000).toFixed(3);
  cell.append(make("span", " " + words[judged] + sure + reason, "tag"));
  return cell;
}

function everyVariant(axis, row) {
  const fold = make("details"), list = make("dl");
  fold.append(make("summary", "all variants"));
  fold.addEventListener("toggle", () => {
    if (list.childElementCount) return;
    data.variants.forEach((name, variant) => {
      const cell = make("dd");
      cell.append(answer(variant, axis, row));
      list.append(make("dt", name), cell);
    });
  });
  fold.append(list);
  return fold;
}

function draw() {
  const axis = +field("axis"), variant = +field("variant"), head = make("thead"), line = make("tr"), rows = make("tbody");
  const columns = ["row", ...(data.texts ? ["text"] : []), "given", data.variants[variant], "next in its ranking"];
  for (const name of columns) {
    const cell = make("th", name);
    cell.scope = "col";
    line.append(cell);
  }
  head.append(line);
  for (const row of shown.slice(from, from + PAGE)) {
    const line = make("tr"), name = make("th", data.rows[row]), given = make("td"), said = make("td", undefined, "said");
    name.scope = "row";
    if (data.noted[row].length) name.append(make("br"), make("span", notes(row), "tag"));
    given.append(coded(data.gold[axis][row], axis));
    said.append(answer(variant, axis, row), everyVariant(axis, row));
    line.append(name);
    if (data.texts) line.append(make("td", data.texts[row], "text"));
    const next = make("td", undefined, "text"), [second, ...rest] = data.answers[variant][axis].top[row];
    if (second !== undefined) next.append(coded(second, axis), make("span", " " + rest.map(code => data.codes[code]).join(" "), "tag"));
    line.append(given, said, next);
    // On a narrow screen the cells stand below one another, each with its column's name.
    [...line.cells].forEach((cell, number) => { cell.dataset.column = columns[number]; });
    rows.append(line);
  }
  body.replaceChildren(head, rows);
  const last = Math.min(from + PAGE, shown.length);
  document.getElementById("count").textContent = shown.length ? `${from + 1} to ${last} of ${shown.length}` : "no such row";
  document.getElementById("back").disabled = from === 0;
  document.getElementById("next").disabled = last >= shown.length;
}

function fill(name, labels, first = 0) {
  const select = form.elements[name], before = select.selectedOptions[0]?.textContent;
  const kept = labels.includes(before) ? labels.indexOf(before) : Math.min(first, labels.length - 1);
  select.replaceChildren(...labels.map((label, number) => {
    const option = make("option", label);
    option.value = number;
    option.selected = number === kept;
    return option;
  }));
}

async function choose() {
  const mine = ++asked, found = await unpack(+field("set"));
  if (mine !== asked) return;
  data = found;
  fill("axis", data.axes);
  fill("variant", data.variants);
  fill("other", data.variants, 1);
  filter();
}

if (packed.length) {
  form.hidden = pager.hidden = false;
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("input", event => event.target.name === "set" ? choose() : filter());
  document.getElementById("back").addEventListener("click", () => { from -= PAGE; draw(); });
  document.getElementById("next").addEventListener("click", () => { from += PAGE; draw(); });
  choose();
}
