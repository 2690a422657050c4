// The leaderboard: a table that sorts, and behind each of its scores the answers.
"use strict";

const FLOORS = ["majority", "control"];

// The answers of the run at a place to some tasks, as far as the page carries them.
const answersOf = (samples, run, tasks) => {
  const { runs, tasks: all, chunk, rightFrom } = samples.index;
  return all.flatMap((task, number) => {
    const scores = tasks.includes(task.name) ? samples[`scores-${run}`][number] : [];
    return scores.flatMap((score, place) => {
      if (score === false) return [];
      const part = `${number}-${Math.floor(place / chunk)}`;
      const given = [[runs[run].label, samples[`answers-${run}-${part}`], score]];
      const sample = sampleOf(samples[`questions-${part}`], given, place % chunk, rightFrom);
      const { right } = sample.answers[0];
      return [{ ...sample, task: task.name, outcome: right === null ? "" : right ? "right" : "wrong" }];
    });
  });
};

const answersBehind = (item, entry, column, tasks) => {
  const judged = item.judged[entry.label]?.[column];
  if (judged) return answersOf(judged, 0, judged.index.tasks.map((task) => task.name));
  const place = item.samples.index.runs.findIndex((run) => run.label === entry.label);
  return answersOf(item.samples, place, tasks);
};

// What a score is of: its interval, its count, what is missing, its tasks, their answers.
const openScore = (item, entry, column, score) => {
  const isOwn = column === item.columns[0] && !item.categories.includes(column);
  const tasks = Object.entries(entry.tasks).filter(([, task]) =>
    (isOwn ? task.category !== null : task.category === column));
  const interval = score.low === null ? "" : ` (${score.low.toFixed(3)} – ${score.high.toFixed(3)})`;
  const dialog = make("dialog", { className: "behind", ariaLabel: `${column}, ${entry.label}` });
  const close = make("button", { type: "button", className: "close" }, words.say("close"));
  close.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  dialog.append(make("div", { className: "heading" },
    make("h2", {}, `${column} · ${entry.label}`), close));
  dialog.append(make("p", {}, make("b", {}, fixed(score.mean)), interval,
    score.num_samples ? ` · ${words.say("of_samples", { count: count(score.num_samples) })}` : ""));
  if (score.note) dialog.append(make("p", { className: "warning" }, score.note));
  if (tasks.length) {
    dialog.append(sortableTable(words.say("tasks"), [
      { label: words.say("task") }, { label: words.say("score"), descends: true },
      { label: words.say("samples"), descends: true },
    ], tasks.map(([name, task]) => ({
      cells: [
        { content: short(name), key: short(name) },
        {
          content: task.note && task.mean === null ? task.note
            : scoreText(task.mean, task.low, task.high),
          key: task.mean,
        },
        { content: count(task.num_samples), key: task.num_samples },
      ],
    }))));
  }
  const answers = answersBehind(item, entry, column, tasks.map(([name]) => name));
  dialog.append(make("p", { className: "lead" }, answers.length
    ? words.say("first_samples", { count: count(item.max_samples) }) : words.say("no_samples_here")));
  document.body.append(dialog);
  dialog.showModal();
  if (answers.length) {
    dialog.append(answerList(answers, {
      labels: [words.say("answer")],
      outcomes: ["right", "wrong"].filter((name) => answers.some((one) => one.outcome === name))
        .map((name) => [name, words.say(name)]),
    }));
  }
};

const drawBoard = (item, entries, notes) => {
  const cellOf = (entry, score, index) => {
    if (score.note && !notes.includes(score.note)) notes.push(score.note);
    const mark = score.note ? make("sup", {}, String(notes.indexOf(score.note) + 1)) : null;
    const [shown, half = null] = scoreText(
      score.mean, score.low, score.high, score.maximum > 1 ? 2 : 3);
    const behind = make("button", { type: "button", className: "cell" }, shown, mark, half);
    behind.setAttribute("aria-haspopup", "dialog");
    if (score.num_samples) {
      behind.title = words.say("of_samples", { count: count(score.num_samples) });
    }
    behind.addEventListener("click", () => openScore(item, entry, item.columns[index], score));
    return { content: behind, key: score.mean };
  };
  const rows = entries.map((entry) => ({
    className: entry.role, last: FLOORS.includes(entry.role),
    cells: [
      {
        content: [make("i", { className: `mark ${entry.role}`, ariaHidden: "true" }), entry.label],
        key: entry.label,
      },
      {
        content: entry.rank === null ? MISSING : `${entry.rank}${entry.tested ? "" : "?"}`,
        key: entry.rank,
      },
      ...entry.scores.map((score, index) => cellOf(entry, score, index)),
    ],
  }));
  const counts = item.columns.map((_, index) => {
    const known = entries.map((entry) => entry.scores[index].num_samples).filter(Boolean);
    return [...new Set([Math.min(...known), Math.max(...known)])].filter(Number.isFinite);
  });
  if (counts.some((ends) => ends.length)) rows.push({
    className: "counts", last: true,
    cells: [
      { content: words.say("samples") }, { content: "" },
      ...counts.map((ends) => ({ content: ends.map(count).join("–") })),
    ],
  });
  const columns = [
    { label: words.say("model") }, { label: words.say("rank") },
    ...item.columns.map((label) => ({ label, title: words.category(label), descends: true })),
  ];
  const wanted = columns.findIndex(({ label }) => label === item.sort);
  const sorted = item.sort === "model" ? [0, 1] : [wanted < 0 ? 2 : wanted, -1];
  return sortableTable(`${words.say("title_leaderboard")}, ${item.title}`, columns, rows, {
    className: "scores ranked", sorted: columns.length > 2 ? sorted : null,
  });
};

const drawItem = (item, article) => {
  const place = make("div");
  const box = make("input", { type: "checkbox", checked: item.above_chance });
  const show = () => {
    item.above_chance = box.checked;
    const notes = [];
    const entries = box.checked ? item.entries_above_chance : item.entries;
    const table = drawBoard(item, entries, notes);
    const untested = entries.some((entry) => entry.rank !== null && !entry.tested);
    place.replaceChildren(table,
      notes.length ? make("ol", { className: "footnotes" }, notes.map((note) => make("li", {}, note)))
        : "",
      untested ? make("p", { className: "note" }, words.say("order_alone")) : "",
      box.checked ? make("p", { className: "note" }, words.say("above_chance_means")) : "");
  };
  box.addEventListener("input", show);
  const meansOf = (entries) => JSON.stringify(entries.map((entry) =>
    [entry.label, entry.scores.map((score) => score.mean)]));
  if (meansOf(item.entries) !== meansOf(item.entries_above_chance)) { // none could be guessed
    article.append(make("label", { className: "switch" }, box, ` ${words.say("above_chance")}`));
  }
  article.append(place);
  show();
};
