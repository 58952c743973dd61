
"use strict";
(function () {
  const number = /^-?\d+(\.\d+)?$/;

  function words(row) {
    return row.textContent.toLowerCase();
  }

  function search(input) {
    const table = document.getElementById(input.dataset.search);
    const wanted = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0;
    for (const body of table.tBodies) {
      const group = body.querySelector(".group");
      const named = group ? words(group) : "";
      let inGroup = 0;
      for (const row of body.rows) {
        if (row === group) { continue; }
        const text = named + " " + words(row);
        row.hidden = !wanted.every((word) => text.includes(word));
        if (!row.hidden) { inGroup += 1; }
      }
      if (group) { group.hidden = inGroup === 0; }
      shown += inGroup;
    }
    const count = document.querySelector('[data-count="' + input.dataset.search + '"]');
    if (count) { count.textContent = shown + (shown === 1 ? " row" : " rows"); }
  }

  function compare(a, b) {
    if (number.test(a) && number.test(b)) { return Number(a) - Number(b); }
    return a.localeCompare(b, "en", { numeric: true });
  }

  function sort(button) {
    const head = button.closest("th");
    const table = button.closest("table");
    const column = Number(button.dataset.sort);
    const down = head.getAttribute("aria-sort") === "ascending";
    for (const other of table.tHead.rows[0].cells) { other.removeAttribute("aria-sort"); }
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = table.tBodies[0];
    const rows = Array.from(body.rows, (row) => [row.cells[column].textContent.trim(), row]);
    rows.sort((x, y) => (down ? compare(y[0], x[0]) : compare(x[0], y[0])));
    body.append(...rows.map((pair) => pair[1]));
  }

  document.addEventListener("input", (event) => {
    if (event.target.dataset.search) { search(event.target); }
  });
  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-sort]");
    if (button) { sort(button); }
  });
  window.addEventListener("beforeprint", () => {
    for (const folded of document.querySelectorAll("details")) { folded.open = true; }
  });
})();
