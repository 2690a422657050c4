// Tables that sort by a click on a column's name, or Enter on it.
"use strict";

/* Each head has a button; `data-descends` puts the largest first at the first click. A cell's
   `data-value` is what it sorts by, nothing always at the end; rows with `data-last` stay below the
   others. Numbers sort as numbers where a column has nothing else. */
const makeSortable = (table, sorted = null) => {
  const [body] = table.tBodies;
  const heads = [...table.tHead.rows[0].cells];
  const places = new Map([...body.rows].map((row, place) => [row, place]));
  const valueOf = (row, column) => row.cells[column].dataset.value ?? "";

  const sort = (column, direction) => {
    const rows = [...body.rows];
    const isNumber = rows.every((row) => !Number.isNaN(Number(valueOf(row, column))));
    rows.sort((one, other) => {
      const last = ("last" in one.dataset) - ("last" in other.dataset);
      const [left, right] = [valueOf(one, column), valueOf(other, column)];
      const missing = (left === "") - (right === "");
      const order = isNumber ? left - right : left.localeCompare(right, "ja");
      return last || missing || order * direction || places.get(one) - places.get(other);
    });
    body.append(...rows);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", direction > 0 ? "ascending" : "descending");
  };

  heads.forEach((head, column) => {
    head.querySelector("button")?.addEventListener("click", () => {
      const was = head.getAttribute("aria-sort");
      sort(column, was ? (was === "ascending" ? -1 : 1) : "descends" in head.dataset ? -1 : 1);
    });
  });
  if (sorted) sort(...sorted);
};

document.querySelectorAll("table.sortable").forEach((table) => makeSortable(table));
