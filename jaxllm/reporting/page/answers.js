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

  // Text of models and questions: text only, in whichever direction it is written.
  const words_of = (text, className = "text") =>
    make("p", { className, lang: "ja", dir: "auto" }, text || words.say("empty_answer"));

  const answer = (label, { text, right, score, output }) => {
    const isGraded = score !== null && (right === null || (score > 0 && score < 1));
    const graded = isGraded ? score.toFixed(2) : "";
    const verdict = right === null ? graded
      : make("span", { className: `outcome ${right ? "right" : "wrong"}` },
        `${right ? "✓" : "✗"} ${words.say(right ? "right" : "wrong")}${graded && ` · ${graded}`}`);
    return make("div", {}, make("h4", {}, label, " ", verdict), words_of(text),
      output === undefined || output === text ? null
        : make("details", {}, make("summary", {}, words.say("whole_output")),
          words_of(output, "text prompt")));
  };

  const card = (item) => {
    const prompt = words_of(item.prompt, "text prompt");
    prompt.tabIndex = 0;
    return make("li", {}, make("h3", {}, `${short(item.task)} · ${item.id}`),
      make("div", { className: `pair of-${labels.length}` },
        make("div", { className: "asked" }, make("h4", {}, words.say("question")), prompt),
        make("div", {}, make("h4", {}, words.say("gold")), words_of(item.gold)),
        item.answers.map((one, index) => answer(labels[index], one))));
  };

  const showMore = () => {
    const cards = matching.slice(shown, shown + PAGE).map(card);
    list.append(...cards);
    // A prompt's end is what was asked; shots stand before it.
    requestAnimationFrame(() => cards.forEach((one) => {
      const prompt = one.querySelector(".asked .prompt");
      prompt.scrollTop = prompt.scrollHeight;
    }));
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
    choice(words.say("task"), [all, ...tasks.map((task) => [task, short(task)])], "", changing("task")),
    outcomes.length ? choice(words.say("outcome"), [all, ...outcomes], "", changing("outcome")) : [],
    make("label", {}, `${words.say("search")} `, input));
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();
  return make("div", { className: "answers" }, form, told, list, more);
};
