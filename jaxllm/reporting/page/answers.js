// A list of answers: question, gold and one or two answers side by side, filtered and searched.
"use strict";

/* items: [{ task, id, prompt, gold, outcome, answers: [{ text, right, score, output }] }]
   labels: what the answers' columns are called; outcomes: [[value, label]] of the second filter. */
const answerList = (items, { labels, outcomes }) => {
  const PAGE = 20;
  const tasks = [...new Set(items.map((item) => item.task))];
  const state = { task: "", outcome: "", search: "" };
  const list = make("ol", { className: "cards" });
  const told = make("p", { className: "count", role: "status" });
  const more = make("button", { type: "button", className: "more" }, words.say("show_more"));
  let matching = [];
  let shown = 0;

  const card = (item) => sampleCard({
    ...item, task: short(item.task),
    answers: item.answers.map((one, index) => ({ label: labels[index], ...one })),
  });

  const showMore = () => {
    list.append(...matching.slice(shown, shown + PAGE).map(card));
    showPromptEnds(list);
    shown = Math.min(matching.length, shown + PAGE);
    more.hidden = shown === matching.length;
  };

  const holds = (item, search) =>
    [item.prompt, item.gold, item.id, ...item.answers.flatMap((one) => [one.text, one.output ?? ""])]
      .some((text) => text.toLowerCase().includes(search));

  const filter = () => {
    const search = state.search.trim().toLowerCase();
    matching = items.filter((item) => (!state.task || item.task === state.task)
      && (!state.outcome || item.outcome === state.outcome) && (!search || holds(item, search)));
    shown = 0;
    list.replaceChildren();
    told.textContent = words.say("matching", { some: count(matching.length), all: count(items.length) });
    showMore();
  };

  const changing = (name) => (value) => {
    state[name] = value;
    filter();
  };
  const input = make("input", { type: "search", placeholder: words.say("search_where") });
  input.addEventListener("input", () => changing("search")(input.value));
  more.addEventListener("click", showMore);
  const all = ["", words.say("all")];
  const form = make("form", { className: "filters", autocomplete: "off" },
    tasks.length > 1 ? choice(words.say("task"), [all, ...tasks.map((task) => [task, short(task)])],
      "", changing("task")) : [],
    outcomes.length ? choice(words.say("outcome"), [all, ...outcomes], "", changing("outcome")) : [],
    make("label", {}, `${words.say("search")} `, input));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
  return make("div", { className: "answers" }, form, told, list, more);
};
