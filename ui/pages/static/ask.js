// The form that asks for a design: sources as chips with suggestions, presets with what they take, the seed's lock.
(() => {
  const one = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const form = () => one("form[data-studio-form]");
  const KEPT = "studio-draft";

  // Sources
  const names = () => all("[data-chosen] .chip", form()).map((chip) => chip.dataset.name);
  const write = () => { one('input[type=hidden][name="inspirations"]', form()).value = names().join(", "); keep(); };
  const add = (text) => {
    for (const name of text.split(/[,;\n]/).map((each) => each.trim()).filter(Boolean)) {
      if (names().some((other) => other.toLowerCase() === name.toLowerCase())) continue;
      const chip = document.createElement("span"), button = document.createElement("button");
      chip.className = "chip"; chip.dataset.name = name; chip.textContent = name;
      button.type = "button"; button.className = "bare"; button.textContent = "×";
      button.setAttribute("aria-label", "Remove " + name);
      chip.append(button);
      one("[data-chosen]", form()).append(chip);
    }
    write();
  };
  window.studioFill = (brief, sources) => {
    if (!form()) return;
    one("#ask").open = true;
    one("#ask-brief").value = brief;
    one("[data-chosen]", form()).replaceChildren();
    add(sources);
    one("#ask-brief").dispatchEvent(new Event("input", { bubbles: true }));
    one("#ask-brief").focus();
  };

  let asking = 0, pause = 0;
  const list = () => one("#ask-suggestions"), box = () => one("#ask-inspirations");
  const close = () => { list().hidden = true; box().setAttribute("aria-expanded", "false"); box().removeAttribute("aria-activedescendant"); };
  const suggest = async (words) => {
    const mine = ++asking;
    try {
      const answer = await fetch("/desk/run/suggest?words=" + encodeURIComponent(words.slice(0, 1500)));
      if (mine !== asking || !answer.ok) return;
      list().innerHTML = await answer.text();
      list().hidden = false;
      box().setAttribute("aria-expanded", "true");
    } catch { close(); }
  };
  const mark = (by) => {
    const options = all("[role=option]", list()), at = options.findIndex((each) => each.getAttribute("aria-selected") === "true");
    if (!options.length) return;
    const next = options[(at + by + options.length + (at < 0 && by < 0 ? 1 : 0)) % options.length];
    options.forEach((each) => each.setAttribute("aria-selected", String(each === next)));
    box().setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
  };
  const pick = (option) => { add(option.dataset.name); box().value = ""; close(); box().focus(); };

  document.addEventListener("input", (event) => {
    if (!form() || !form().contains(event.target)) return;
    if (event.target === box()) {
      clearTimeout(pause);
      if (/[,;]\s*$/.test(box().value)) { add(box().value); box().value = ""; close(); }
      else pause = setTimeout(() => (box().value.trim() ? suggest(box().value) : close()), 180);
    }
    if (event.target.name === "seed") one('[name="keep_seed"]', form()).checked = Boolean(event.target.value.trim());
    if (["images", "rounds", "review"].includes(event.target.name)) which();
    expect(); keep();
  });
  document.addEventListener("keydown", (event) => {
    if (!form() || !form().contains(event.target)) return;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) { event.preventDefault(); form().requestSubmit(); return; }
    if (event.target !== box()) return;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      if (list().hidden) suggest(box().value.trim() || one("#ask-brief").value); else mark(event.key === "ArrowDown" ? 1 : -1);
    } else if (event.key === "Enter") {
      event.preventDefault();
      const marked = one('[aria-selected="true"]', list());
      if (!list().hidden && marked) pick(marked);
      else if (box().value.trim()) { add(box().value); box().value = ""; close(); }
    } else if (event.key === "Escape" && !list().hidden) { event.preventDefault(); close(); }
    else if (event.key === "Backspace" && !box().value) { const chips = all("[data-chosen] .chip", form()); chips[chips.length - 1]?.remove(); write(); }
  });
  document.addEventListener("mousedown", (event) => {
    if (!form()) return;
    const option = event.target.closest && event.target.closest("#ask-suggestions [role=option]");
    if (option) { event.preventDefault(); pick(option); }
    else if (event.target !== box() && !(event.target.closest && event.target.closest("[data-suggest], #ask-suggestions"))) close();
  });
  document.addEventListener("focusout", (event) => { if (event.target === box()) setTimeout(() => { if (form() && document.activeElement !== box() && !one("[data-suggest]:focus", form())) close(); }, 150); });
  document.addEventListener("click", (event) => {
    if (!form() || !event.target.closest) return;
    const remove = event.target.closest("[data-chosen] .chip button");
    if (remove) { remove.parentElement.remove(); write(); box().focus(); }
    if (event.target.closest("[data-suggest]")) { suggest(one("#ask-brief").value); box().focus(); }
  });

  // How much, and how long that takes here
  const number = (name) => Number(one('[name="' + name + '"]', form()).value);
  const about = (seconds) => seconds < 10 ? "a few seconds" : seconds < 90 ? "about " + Math.round(seconds / 10) * 10 + " seconds" :
    seconds < 5400 ? "about " + Math.round(seconds / 60) + " minutes" : "about " + (seconds / 3600).toFixed(1) + " hours";
  const expected = (images, rounds, review) => {
    const pace = form().dataset, turns = Number(one("#ask-program").selectedOptions[0]?.dataset.turns || 3) + (review ? 2 : 0);
    if (!pace.paceTurn || !pace.pacePicture || !(images > 0) || !(rounds > 0)) return "";
    const painted = images * (Number(pace.pacePicture) + Number(pace.paceCritique)) + Number(pace.pacePrompt);
    return about(turns * Number(pace.paceTurn) + Number(pace.paceDesign) + rounds * painted);
  };
  const expect = () => {
    for (const radio of all('[name="preset"]', form())) {
      const line = expected(Number(radio.dataset.images), Number(radio.dataset.rounds), radio.dataset.review);
      one("[data-expected]", radio.parentElement).textContent = line || "not yet measured here";
    }
    const line = expected(number("images"), number("rounds"), one('[name="review"]', form()).checked);
    one("[data-total]", form()).textContent = line ? "Takes " + line + " here" + (number("rounds") > 1 ? " at most." : ".") : "";
  };
  const which = () => {
    const review = one('[name="review"]', form()).checked;
    for (const radio of all('[name="preset"]', form())) {
      radio.checked = Number(radio.dataset.images) === number("images") && Number(radio.dataset.rounds) === number("rounds") && Boolean(radio.dataset.review) === review;
    }
  };
  document.addEventListener("change", (event) => {
    if (!form() || !form().contains(event.target)) return;
    if (event.target.name === "preset") {
      for (const name of ["images", "rounds"]) {
        const field = one('[name="' + name + '"]', form());
        field.value = event.target.dataset[name];
        field.dispatchEvent(new Event("input", { bubbles: true }));
      }
      one('[name="review"]', form()).checked = Boolean(event.target.dataset.review);
      which();
    }
    if (event.target.name === "program") one("#ask-program-about").textContent = event.target.selectedOptions[0].dataset.about;
    expect();
  });

  // What is typed and not yet asked for survives a refresh
  const keep = () => { try { sessionStorage.setItem(KEPT, JSON.stringify({ brief: one("#ask-brief").value, sources: names().join(", ") })); } catch { /* private windows may refuse */ } };
  document.addEventListener("studio:read", (event) => {
    if (event.target.dataset.read !== "run/form" || !form()) return;
    try {
      const kept = JSON.parse(sessionStorage.getItem(KEPT) || "null");
      if (kept && !one("#ask-brief").value && !names().length) { one("#ask-brief").value = kept.brief || ""; add(kept.sources || ""); }
    } catch { /* as above */ }
    expect();
  });
  document.addEventListener("studio:done", (event) => {
    if (event.target.dataset.studioForm === undefined) return;
    if (box().value.trim()) { add(box().value); box().value = ""; }
    try { sessionStorage.removeItem(KEPT); } catch { /* as above */ }
  });
})();
