"use strict";

const said = document.getElementById("said");

// -- tables: a column's button sorts by it, numbers first from the top down; "-" stays last

function sortTable(table, heading) {
  const down = heading.getAttribute("aria-sort") !== "descending" &&
    (heading.hasAttribute("aria-sort") || heading.classList.contains("number"));
  for (const other of heading.parentElement.children) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  const column = heading.cellIndex;
  const key = ({ cells }) => cells[column].dataset.value ??
    (cells[column].classList.contains("number") ? undefined : cells[column].firstChild?.data);
  const known = [...table.tBodies[0].rows].filter((row) => key(row) !== undefined);
  const unknown = [...table.tBodies[0].rows].filter((row) => key(row) === undefined);
  const numbers = known.every((row) => row.cells[column].classList.contains("number"));
  const compare = numbers
    ? (a, b) => Number(key(a)) - Number(key(b))
    : (a, b) => key(a).localeCompare(key(b), "en", { numeric: true });
  known.sort((a, b) => (down ? compare(b, a) : compare(a, b)));
  table.tBodies[0].append(...known, ...unknown);
  said.textContent = `${table.caption.textContent}: sorted by ${heading.textContent}, ` +
    (down ? "descending" : "ascending");
}

for (const table of document.querySelectorAll("table[data-sortable]")) {
  table.tHead.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (button) sortTable(table, button.closest("th"));
  });
}

// -- charts: a button of the legend leaves its series alone in all charts of the section's block

for (const block of document.querySelectorAll(".charts")) {
  const buttons = block.querySelectorAll(".legend button");
  block.addEventListener("click", (event) => {
    const button = event.target.closest(".legend button");
    if (!button) return;
    button.setAttribute("aria-pressed", String(button.getAttribute("aria-pressed") !== "true"));
    const chosen = new Set();
    for (const one of buttons) {
      if (one.getAttribute("aria-pressed") === "true") chosen.add(one.dataset.series);
    }
    for (const series of block.querySelectorAll(".series")) {
      series.classList.toggle("away", chosen.size > 0 && !chosen.has(series.dataset.series));
    }
  });
}

// -- sequences: copied as they are; one sound at a time

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = document.createElement("textarea");
    field.value = text;
    document.body.append(field);
    field.select();
    const done = document.execCommand("copy");
    field.remove();
    return done;
  }
}

document.addEventListener("click", async (event) => {
  const button = event.target.closest(".copy");
  if (!button) return;
  const done = await copy(button.dataset.text);
  button.focus();
  button.textContent = done ? "Copied" : "Not copied";
  said.textContent = button.textContent;
  setTimeout(() => { button.textContent = "Copy"; }, 1500);
});

document.addEventListener("play", (event) => {
  for (const other of document.querySelectorAll("audio")) {
    if (other !== event.target) other.pause();
  }
}, true);
