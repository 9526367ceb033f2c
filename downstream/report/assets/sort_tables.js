// A click on the title of a column sorts the table by it; a second click reverses the order.
(() => {
  "use strict";
  const keyOf = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.key === undefined ? cell.textContent.trim() : Number(cell.dataset.key);
  };
  // in both orders numbers come before text, and text before empty cells
  const kindOf = (key) => (typeof key === "number" ? 0 : key === "–" || key === "" ? 2 : 1);
  const compare = (a, b, sign) => {
    if (kindOf(a) !== kindOf(b)) return kindOf(a) - kindOf(b);
    return sign * (typeof a === "number" ? a - b : a.localeCompare(b, undefined, { numeric: true }));
  };
  for (const table of document.querySelectorAll("table.sortable")) {
    const titles = [...table.tHead.rows[0].cells];
    titles.forEach((title, column) => {
      title.querySelector("button").addEventListener("click", () => {
        const falls = title.getAttribute("aria-sort") === "ascending";
        for (const other of titles) other.removeAttribute("aria-sort");
        title.setAttribute("aria-sort", falls ? "descending" : "ascending");
        const body = table.tBodies[0];
        const rows = [...body.rows].map((row) => ({ row, key: keyOf(row, column) }));
        rows.sort((a, b) => compare(a.key, b.key, falls ? -1 : 1));
        body.append(...rows.map((each) => each.row));
      });
    });
  }
})();
