// The contact sheet: cards from the data in the page, filters, sorting, a closer look. Texts are only ever set as text.
(() => {
  "use strict";
  const items = JSON.parse(document.getElementById("data").textContent);
  items.forEach((item, at) => (item.at = at));
  const grid = document.getElementById("grid");
  const form = document.getElementById("filters");
  const tally = document.getElementById("tally");
  const none = document.getElementById("none");
  const dialog = document.getElementById("closer");
  const AT_ONCE = 60;
  const UNITS = { 1: "", um: "µm", degC: "°C", "MJ/m3": "MJ/m³", "J/m2": "J/m²", "kg/m3": "kg/m³", "W/mK": "W/m·K" };
  const WORDS = { done: "Done", failed: "Failed", waiting: "Waiting", running: "Not finished" };
  const numbers = new Intl.NumberFormat("en", { maximumSignificantDigits: 6 });
  const figure = (value, unit) => `${numbers.format(value)} ${UNITS[unit] ?? unit}`.trim();
  const folded = (text) => text.normalize("NFKD").replace(/[\u0300-\u036f]/g, "").toLowerCase();
  const count = (number, word) => `${numbers.format(number)} ${word}${number === 1 ? "" : "s"}`;
  const duration = (s) => (s < 60 ? `${s.toFixed(1)} s` : s < 3600 ? `${Math.floor(s / 60)} min ${Math.round(s % 60)} s` : `${(s / 3600).toFixed(1)} h`);

  function el(tag, attributes, ...children) {
    const made = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
      else if (value === true) made.setAttribute(name, "");
      else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value);
    }
    made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
    return made;
  }
  const said = (tag, kind, text) => (text ? el(tag, { class: kind || null, dir: "auto" }, text) : null);

  // Palettes: measured colours as wide as their share of the picture, and the words that were asked for.
  function palette(item) {
    if (!item.palette && !item.colours) return null;
    const row = el("p", { class: "palette" });
    if (item.colours) {
      const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
      svg.setAttribute("viewBox", "0 0 1 1");
      svg.setAttribute("preserveAspectRatio", "none");
      svg.setAttribute("role", "img");
      svg.setAttribute("aria-label", item.colours.map(([name]) => name).join(", "));
      const whole = item.colours.reduce((sum, [, , share]) => sum + share, 0) || 1;
      let at = 0;
      for (const [, rgb, share] of item.colours) {
        const bar = document.createElementNS(svg.namespaceURI, "rect");
        for (const [name, value] of Object.entries({ x: at, y: 0, width: share / whole + 0.01, height: 1, fill: `#${rgb}` })) bar.setAttribute(name, value);
        at += share / whole;
        svg.append(bar);
      }
      row.append(svg);
    }
    const words = item.palette || item.colours.map(([name]) => name).join(", ");
    row.append(el("span", { dir: "auto", title: words }, words));
    return row;
  }

  // Cards are made when they are first shown and kept.
  const cards = new Map();
  let sortedBy = "";
  const keyOf = ([name, , unit]) => `${folded(name)} ${unit}`;
  const measured = (item, key) => (item.figures || []).find((one) => keyOf(one) === key);

  function shot(item) {
    const frame = el("div", { class: "shot" });
    if (item.thumb) frame.append(el("img", { src: item.thumb, loading: "lazy", decoding: "async", alt: item.alt || item.title || "" }));
    else frame.append(el("p", { dir: "auto" }, item.reason || (item.state === "done" ? "No picture" : item.brief)));
    if (item.fit) frame.append(el("span", { class: item.fit >= 8 ? "fit good" : "fit", title: `The critic's fit: ${item.fit} of 10` }, "fit ", el("b", {}, String(item.fit))));
    if ((item.pictures || []).length > 1) frame.append(el("span", { class: "several" }, count(item.pictures.length, "picture")));
    return frame;
  }

  function figures(item) {
    const first = sortedBy.startsWith("figure:") ? measured(item, sortedBy.slice(7)) : null;
    const shown = [first, ...(item.figures || []).filter((one) => one !== first)].filter(Boolean).slice(0, 3);
    if (!shown.length) return null;
    return el("dl", { class: "figures" }, shown.map((one) =>
      el("div", { class: one === first ? "sorted" : null }, el("dt", { dir: "auto", title: one[0] }, one[0]), el("dd", {}, figure(one[1], one[2])))));
  }

  function make(item) {
    const foot = item.state === "done" ? item.id : `${WORDS[item.state]} · ${item.id}`;
    return el("li", { class: `card ${item.state}` },
      shot(item),
      el("div", { class: "words" },
        el("button", { class: "open", type: "button", dir: "auto", "data-at": item.at, "aria-haspopup": "dialog" }, item.title || item.brief),
        said("p", "from", (item.sources || []).map(([name]) => name).join(" + ")),
        palette(item),
        figures(item),
        el("p", { class: "foot" }, el("span", { class: `dot ${item.state}` }), el("span", { dir: "auto", title: item.id }, foot))));
  }

  function card(item) {
    const kept = cards.get(item);
    if (kept && !(kept.by !== sortedBy && (item.figures || []).length)) return kept.node;
    const node = make(item);
    cards.set(item, { node, by: sortedBy });
    return node;
  }

  // Which are shown, and in which order. What is below the fold is added as the reader comes near it.
  let shown = items;
  let drawn = 0;
  const fence = document.getElementById("fence");
  function more(upTo) {
    const next = shown.slice(drawn, upTo);
    drawn += next.length;
    grid.append(...next.map(card));
    fence.hidden = drawn >= shown.length;
  }
  const AHEAD = 1500;
  function ahead() {
    const top = fence.hidden ? Infinity : fence.getBoundingClientRect().top;
    if (top < -AHEAD || top > innerHeight + AHEAD) return;
    more(drawn + AT_ONCE);
    requestAnimationFrame(ahead);
  }
  new IntersectionObserver((seen) => seen.some((one) => one.isIntersecting) && ahead(), { rootMargin: `${AHEAD}px` }).observe(fence);

  const text = (item) => folded([item.title, item.summary, item.brief, item.id, item.prompt, item.seen, item.palette, item.reason,
    ...(item.sources || []).flat(), ...(item.uses || []), ...(item.mechanisms || []), ...(item.figures || []).map(([name]) => name)].filter(Boolean).join(" "));
  const haystacks = new Map();
  const haystack = (item) => haystacks.get(item) ?? (haystacks.set(item, text(item)), haystacks.get(item));
  const tests = {
    text: (item, value) => folded(value).split(/\s+/).every((word) => haystack(item).includes(word)),
    inspiration: (item, value) => (item.sources || []).some(([name]) => folded(name) === value),
    program: (item, value) => item.program === value,
    model: (item, value) => item.model === value,
    state: (item, value) => item.state === value,
    fit: (item, value) => (item.fit || 0) >= Number(value),
  };
  const least = (a, b) => (a === undefined) - (b === undefined) || (a > b) - (a < b);
  const most = (a, b) => (a === undefined) - (b === undefined) || (b > a) - (b < a);
  const value = (item, key) => (measured(item, key) || [])[1];
  function order(by) {
    if (by === "fit") return (a, b) => most(a.fit, b.fit);
    if (by === "title") return (a, b) => least(a.title ? folded(a.title) : undefined, b.title ? folded(b.title) : undefined);
    if (by === "seconds") return (a, b) => most(a.seconds, b.seconds);
    if (by.startsWith("figure:")) return (a, b) => most(value(a, by.slice(7)), value(b, by.slice(7)));
    return () => 0;
  }

  const fields = [...form.querySelectorAll("[name]")];
  const unset = (field) => field.value === "";
  function apply(remember = true) {
    const set = fields.filter((field) => field.name in tests && field.value.trim());
    sortedBy = form.elements.sort.value;
    shown = items.filter((item) => set.every((field) => tests[field.name](item, field.value.trim())));
    if (sortedBy) shown.sort(order(sortedBy));
    for (const field of fields) field.classList.toggle("set", !unset(field));
    document.getElementById("clear").hidden = fields.every(unset);
    document.getElementById("more").textContent = set.filter((field) => field.name !== "text").length ? "Filters •" : "Filters";
    tally.textContent = shown.length === items.length ? count(items.length, "item") : `${numbers.format(shown.length)} of ${count(items.length, "item")}`;
    none.hidden = shown.length > 0;
    drawn = 0;
    grid.replaceChildren();
    more(AT_ONCE);
    requestAnimationFrame(ahead);
    if (remember) {
      const kept = new URLSearchParams(fields.filter((field) => !unset(field)).map((field) => [field.name, field.value]));
      history.replaceState(null, "", `${location.pathname}${location.search}${String(kept) ? `#${kept}` : ""}`);
    }
  }

  function choices(name, values, label = (one) => one) {
    const field = form.elements[name];
    const counted = new Map();
    for (const one of values) counted.set(one, (counted.get(one) || 0) + 1);
    const sorted = [...counted].sort((a, b) => b[1] - a[1] || least(String(a[0]), String(b[0]))).slice(0, 400);
    field.append(...sorted.map(([one, number]) => el("option", { value: one }, `${label(one)} (${numbers.format(number)})`)));
    if (counted.size < 2) field.closest("label").hidden = true;
  }

  function fill() {
    const names = new Map();
    for (const [name] of items.flatMap((item) => item.sources || [])) if (!names.has(folded(name))) names.set(folded(name), name);
    choices("inspiration", items.flatMap((item) => (item.sources || []).map(([name]) => folded(name))), (one) => names.get(one));
    choices("program", items.map((item) => item.program).filter(Boolean));
    choices("model", items.map((item) => item.model).filter(Boolean));
    choices("state", items.map((item) => item.state), (one) => WORDS[one]);
    const fits = [...new Set(items.map((item) => item.fit).filter(Boolean))].sort((a, b) => b - a);
    form.elements.fit.append(...fits.map((fit) => el("option", { value: fit }, fit === 10 ? "10" : `${fit} or more`)));
    if (fits.length < 2) form.elements.fit.closest("label").hidden = true;
    if (!fits.length) form.elements.sort.querySelector("[value=fit]").remove();
    const figured = new Map();
    for (const one of items.flatMap((item) => item.figures || [])) {
      const held = figured.get(keyOf(one)) || [0, one[0], one[2]];
      figured.set(keyOf(one), [held[0] + 1, held[1], held[2]]);
    }
    const common = [...figured].filter(([, [number]]) => number > 1).sort((a, b) => b[1][0] - a[1][0]).slice(0, 12);
    form.elements.sort.append(...common.map(([key, [, name, unit]]) => el("option", { value: `figure:${key}` }, `Most ${name}${UNITS[unit] === "" ? "" : `, ${UNITS[unit] ?? unit}`}`)));
    for (const [name, held] of new URLSearchParams(location.hash.slice(1))) {
      const field = form.elements[name];
      if (field && fields.includes(field)) field.value = held;
      if (field && field.value !== held) field.value = "";
    }
  }

  // A closer look: one item with all its pictures; arrows turn to the next one that is shown.
  let looked = -1;
  const pairs = (kind, rows) => el("dl", { class: `pairs ${kind}` }, rows.filter(([, held]) => held !== undefined && held !== "" && held !== null).flatMap(([name, held]) => [el("dt", { dir: "auto" }, name), el("dd", { dir: "auto" }, held)]));
  const part = (title, ...children) => (children.flat().some(Boolean) ? el("section", {}, el("h3", {}, title), ...children) : null);
  const listed = (texts) => ((texts || []).length ? el("ul", {}, texts.map((one) => el("li", { dir: "auto" }, one))) : null);

  function views(item) {
    if (!(item.pictures || []).length) return null;
    const large = el("img", { alt: item.alt || "" });
    const link = el("a", { target: "_blank", rel: "noopener", title: "Open the picture itself" }, large);
    const strip = el("div", { class: "strip" });
    const turn = (at) => {
      large.src = link.href = item.pictures[at][0];
      [...strip.children].forEach((one, place) => one.setAttribute("aria-pressed", String(place === at)));
    };
    if (item.pictures.length > 1) strip.append(...item.pictures.map(([path, seed, round, fit], at) =>
      el("button", { type: "button", title: `seed ${seed}, round ${round}`, onclick: () => turn(at) }, el("img", { src: path, loading: "lazy", alt: `Picture ${at + 1}` }), fit ? `fit ${fit}` : `round ${round}`)));
    turn(item.best || 0);
    return el("div", { class: "views" }, link, item.pictures.length > 1 ? strip : null);
  }

  function about(item) {
    const made = item.pictures && item.pictures[item.best || 0];
    return el("div", {},
      el("p", { class: "kicker" }, item.state === "done" ? "Design" : WORDS[item.state]),
      said("h2", "", item.title || item.brief),
      said("p", "lead", item.summary),
      item.reason ? el("section", {}, said("p", "reason", item.reason), item.again ? el("p", { class: "quiet" }, "It may well succeed another time: studio batch with --retry-failed.") : null) : null,
      part("Learned from", listed((item.sources || []).map(([name, feature]) => (feature ? `${name}: ${feature}` : name)))),
      part("Properties", (item.figures || []).length ? pairs("strong", item.figures.map(([name, held, unit]) => [name, figure(held, unit)])) : null),
      part("Mechanisms", listed(item.mechanisms)),
      part("Uses", (item.uses || []).length ? el("ul", { class: "tags" }, item.uses.map((one) => el("li", { dir: "auto" }, one))) : null),
      part("Picture", said("p", "quiet", item.prompt), palette(item)),
      item.seen ? part(`What the critic sees${item.fit ? `: fit ${item.fit} of 10` : ""}`, said("p", "quiet", item.seen), said("p", "quiet", item.change ? `To change: ${item.change}` : "")) : null,
      item.title ? part("Brief", said("p", "quiet", item.brief)) : null,
      part("How it was made", pairs("", [
        ["Id", item.id], ["Program", item.program], ["Model", item.model], ["Painter", item.painter],
        ["Seed", item.seed === undefined ? "" : String(item.seed)], ["Picture's seed", made ? String(made[1]) : ""],
        ["Rounds", item.rounds ? String(item.rounds) : ""], ["Attempts", item.attempts > 1 ? String(item.attempts) : ""],
        ["Time", item.seconds ? duration(item.seconds) : ""],
        ["Tokens", item.tokens && (item.tokens[0] || item.tokens[1]) ? `${numbers.format(item.tokens[0])} read, ${numbers.format(item.tokens[1])} written` : ""],
        ["Line", item.line ? `${item.file}, ${numbers.format(item.line)}` : ""],
        ["Files", item.folder ? el("a", { href: `${item.folder}/`, target: "_blank", rel: "noopener" }, item.folder) : ""],
      ])));
  }

  function look(at) {
    const item = shown[at];
    if (!item) return;
    looked = at;
    const button = (label, step) => el("button", { type: "button", disabled: !shown[at + step], "aria-keyshortcuts": step < 0 ? "ArrowLeft" : "ArrowRight", onclick: () => look(looked + step) }, label);
    const seen = views(item);
    dialog.replaceChildren(
      el("div", { class: "turnover" }, el("span", { role: "status" }, `${numbers.format(at + 1)} of ${numbers.format(shown.length)}`), button("← Before", -1), button("Next →", 1), el("button", { type: "button", onclick: () => dialog.close() }, "Close")),
      el("div", { class: seen ? "closer" : "closer plain" }, seen, about(item)));
    dialog.setAttribute("aria-label", item.title || item.brief);
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
    dialog.focus();
  }

  const openers = () => [...grid.querySelectorAll(".open")];
  function focus(at) {
    if (at >= drawn) more(at + AT_ONCE);
    const target = openers()[Math.max(0, Math.min(at, shown.length - 1))];
    if (target) target.focus();
  }
  function move(event) {
    const every = openers();
    const at = every.indexOf(document.activeElement);
    const top = (one) => one.closest(".card").offsetTop;
    const wide = Math.max(1, every.findIndex((one) => top(one) > top(every[0])));
    const columns = every.length && top(every[every.length - 1]) === top(every[0]) ? every.length : wide;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns }[event.key];
    if (at < 0 || !step || at + step < 0) return;
    event.preventDefault();
    focus(at + step);
  }

  grid.addEventListener("click", (event) => {
    const opener = event.target.closest(".open");
    if (opener) look(shown.indexOf(items[Number(opener.dataset.at)]));
  });
  grid.addEventListener("keydown", move);
  dialog.addEventListener("close", () => focus(looked));
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close());
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (dialog.open) {
      if (event.key === "ArrowRight") look(looked + 1);
      if (event.key === "ArrowLeft" && looked > 0) look(looked - 1);
    } else if (event.key === "/" && !event.target.closest("input, select, textarea")) {
      event.preventDefault();
      form.elements.text.focus();
    }
  });
  let typing = 0;
  form.addEventListener("input", (event) => {
    clearTimeout(typing);
    typing = setTimeout(apply, event.target.name === "text" ? 120 : 0);
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  document.getElementById("clear").addEventListener("click", () => {
    for (const field of fields) field.value = "";
    apply();
    form.elements.text.focus();
  });
  document.getElementById("more").addEventListener("click", (event) => {
    event.currentTarget.setAttribute("aria-expanded", String(form.parentElement.classList.toggle("opened")));
  });
  document.addEventListener("click", (event) => {
    const named = event.target.closest("[data-id]");
    const item = named && items.find((one) => one.id === named.dataset.id);
    if (!item) return;
    for (const field of fields) field.value = "";
    apply();
    look(shown.indexOf(item));
  });
  document.querySelector("a[href='#reasons']")?.addEventListener("click", (event) => {
    event.preventDefault();
    more(shown.length);
    document.getElementById("reasons").scrollIntoView();
  });
  addEventListener("beforeprint", () => {
    more(shown.length);
    for (const image of grid.querySelectorAll("img")) image.loading = "eager";
  });

  fill();
  form.parentElement.hidden = items.length < 2;
  apply(false);
})();
