// One sample as a card: question and gold, and one answer or two side by side.
// Every text goes in as text, never as markup.
"use strict";

// A sample out of its pieces, at a place of their chunk. `runs`: [label, answers or null, score].
// An answer is null where the run was not asked; `ownPrompt` where it was asked in another way.
const sampleOf = ({ beginning, questions }, runs, at, rightFrom) => {
  const [id, rest, gold] = questions[at];
  const isJudged = rightFrom === null; // whole answers, of which nothing was extracted
  const answers = runs.map(([label, piece, score]) => {
    const given = piece?.answers[at] ?? null;
    if (given === null) return { label, right: null, text: null };
    const [output, prediction, finish, ownRest] = given;
    return {
      label, score, output, finish, text: isJudged ? output : prediction ?? output,
      right: score === null || isJudged ? null : score >= rightFrom,
      ownPrompt: ownRest === undefined ? null : piece.beginning + ownRest,
    };
  });
  const own = answers.map((one) => one.ownPrompt);
  // Where all were asked in the same other way, that is the question.
  const [first] = own;
  const isShared = typeof first === "string" && own.every((prompt) => prompt === first);
  if (isShared) answers.forEach((one) => (one.ownPrompt = null));
  return { id, gold, answers, prompt: isShared ? first : beginning + rest };
};

// Text of models and questions, in whichever direction it is written.
const textOf = (text, className = "text") =>
  make("p", { className, lang: "ja", dir: "auto" }, text || words.say("empty_answer"));

const unfolding = (title, ...content) =>
  make("details", {}, make("summary", {}, title), ...content);

// A prompt's end is what was asked; shots stand before it.
const showPromptEnds = (list) => requestAnimationFrame(() =>
  list.querySelectorAll(".asked .prompt").forEach((one) => (one.scrollTop = one.scrollHeight)));

// sample: { task, id, metric, prompt, gold, answers }
const sampleCard = (() => {
  const toGold = (text, gold) => {
    if (!text || !gold || text === gold) return null;
    const pieces = difference(text, gold);
    if (pieces === null) return null;
    const tags = { same: "span", only: "del", other: "ins" };
    return [
      make("h4", {}, words.say("to_gold")),
      make("p", { className: "text difference", lang: "ja" },
        pieces.map(([kind, part]) => make(tags[kind], {}, part))),
    ];
  };

  const answer = (gold, { label, text, right, score, output, finish, ownPrompt }) => {
    if (text === null) {
      return make("div", {}, make("h4", {}, label),
        make("p", { className: "note" }, words.say("not_asked")));
    }
    const isGraded = score !== null && (right === null || (score > 0 && score < 1));
    const graded = isGraded ? score.toFixed(2) : "";
    const verdict = right === null ? graded
      : make("span", { className: `outcome ${right ? "right" : "wrong"}` },
        `${right ? "✓" : "✗"} ${words.say(right ? "right" : "wrong")}${graded && ` · ${graded}`}`);
    return make("div", {}, make("h4", {}, label, " ", verdict), textOf(text), toGold(text, gold),
      output === undefined || output === text ? null
        : unfolding(words.say("whole_output"), textOf(output, "text prompt")),
      typeof ownPrompt !== "string" ? null
        : unfolding(words.say("own_prompt"), textOf(ownPrompt, "text prompt")),
      finish === "length"
        ? make("p", { className: "note" }, words.say("stopped_at_limit")) : null);
  };

  return ({ task, id, metric, prompt, gold, answers }) => {
    const asked = textOf(prompt, "text prompt");
    Object.assign(asked, { tabIndex: 0, role: "group", ariaLabel: words.say("question") });
    return make("li", { tabIndex: -1 },
      make("h3", {}, [task, id, metric].filter(Boolean).join(" · ")),
      make("div", { className: `pair of-${answers.length}` },
        make("div", { className: "asked" }, make("h4", {}, words.say("question")), asked),
        // Questions that a judge reads the answers to may have no gold one.
        gold || answers.some((one) => one.right !== null)
          ? make("div", { className: "gold" }, make("h4", {}, words.say("gold")), textOf(gold))
          : null,
        answers.map((one) => answer(gold, one))));
  };
})();
