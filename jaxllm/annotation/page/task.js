// One task on the page: the conversation to read, and the panel to rate it. Every text that anybody
// wrote goes in as text, never as HTML.

export const element = (tag, className = "", text) => {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
};

const textBox = (text, say) => {
  if (!text) return element("p", "text empty", say("empty"));
  const box = element("p", "text", text);
  box.dir = "auto";
  return box;
};

const labelled = (tag, className, title, text, say) => {
  const box = element(tag, className);
  box.append(element("h2", "", title), textBox(text, say));
  return box;
};

const drawTurn = (turn, number, isRated, task, say) => {
  const box = element("section", isRated ? "turn" : "turn earlier");
  if (task.turns.length > 1) box.append(element("p", "count", say("turn", { turn: number })));
  turn.messages.forEach(({ role, content }) => {
    box.append(labelled("div", `message ${role}`, say(`role_${role}`), content, say));
  });
  if (isRated && turn.reference) {
    const details = element("details", "reference");
    details.append(element("summary", "", say("reference")), textBox(turn.reference, say));
    box.append(details);
  }
  const names = turn.answers.length > 1 ? ["answer_a", "answer_b"] : ["answer"];
  const answers = element("div", `answers of-${turn.answers.length}`);
  turn.answers.forEach((text, index) => {
    answers.append(labelled("article", "answer", say(names[index]), text, say));
  });
  box.append(answers);
  return box;
};

export const drawConversation = (task, say) => {
  const turns = task.turns.map((turn, index) =>
    drawTurn(turn, index + 1, index === task.turns.length - 1, task, say),
  );
  if (turns.length < 2) return turns;
  // What was said before stays at hand, folded up.
  const before = element("details", "before");
  before.append(element("summary", "", say("earlier")), ...turns.slice(0, -1));
  return [before, turns.at(-1)];
};

// The choices of each axis. `onRate(axis, value)` is called for each that is made.
export class Panel {
  #study;
  #ratings;
  #onRate;
  #rows = new Map();
  #current;

  constructor(box, study, ratings, say, onRate) {
    this.#study = study;
    this.#ratings = { ...ratings };
    this.#onRate = onRate;
    const rows = study.axes.map((axis) => this.#row(axis, say));
    box.replaceChildren(...(study.kind === "rating" ? [this.#ends(say)] : []), ...rows);
    this.#mark(this.missing()[0] ?? study.axes[0]);
  }

  missing() {
    return this.#study.axes.filter((axis) => !(axis in this.#ratings));
  }

  // Chooses for the marked axis by the place of the choice, 1 being the leftmost; 0 cannot judge.
  // Focus goes on to the next axis that is not rated, and past the last one to `end`.
  press(place, end) {
    const value = place === 0 ? this.#study.cannot_judge : this.#study.values[place - 1];
    const axis = this.#current;
    this.#rows.get(axis).querySelector(`input[value="${value}"]`).checked = true;
    this.#rate(axis, value);
    const after = this.#study.axes.slice(this.#study.axes.indexOf(axis) + 1);
    const missing = this.missing();
    const following = after.find((name) => missing.includes(name)) ?? missing[0];
    if (following) this.focus(following);
    else end.focus();
  }

  focus(axis = this.#current) {
    this.#mark(axis);
    const row = this.#rows.get(axis);
    (row.querySelector("input:checked") ?? row.querySelector("input")).focus();
  }

  #rate(axis, value) {
    this.#ratings[axis] = value;
    this.#rows.get(axis).classList.add("rated");
    this.#onRate(axis, value);
  }

  #mark(axis) {
    this.#current = axis;
    this.#rows.forEach((row, name) => row.classList.toggle("current", name === axis));
  }

  // What the lowest and the highest points mean.
  #ends(say) {
    const line = element("p", "ends");
    [this.#study.values[0], this.#study.values.at(-1)].forEach((value) => {
      line.append(element("span", "", `${value} ${say(`value_${value}`)}`));
    });
    return line;
  }

  #row(axis, say) {
    const row = element("fieldset", axis in this.#ratings ? "rated" : "");
    const title = element("legend", "", say(axis));
    title.append(element("small", "", say(`${axis}_about`)));
    const choices = element("div", "choices");
    [...this.#study.values, this.#study.cannot_judge].forEach((value) => {
      choices.append(this.#choice(axis, value, say));
    });
    row.append(title, choices);
    row.addEventListener("focusin", () => this.#mark(axis));
    row.addEventListener("change", ({ target }) => this.#rate(axis, target.value));
    this.#rows.set(axis, row);
    return row;
  }

  #choice(axis, value, say) {
    const words = say(`value_${value}`);
    const isNumber = /^\d$/.test(value);
    const label = element("label", value === this.#study.cannot_judge ? "cannot" : "");
    const input = element("input");
    Object.assign(input, { type: "radio", name: axis, value });
    input.checked = this.#ratings[axis] === value;
    if (isNumber) {
      input.setAttribute("aria-label", `${value}, ${words}`);
      label.title = words;
    }
    label.append(input, element("span", "", isNumber ? value : words));
    return label;
  }
}
