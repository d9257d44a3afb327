// The library: pages that follow, the sheet of a design, what is put away, a picture that is dropped for its recipe.
(() => {
  const one = (selector, root) => (root || document).querySelector(selector);
  const all = (selector, root) => [...(root || document).querySelectorAll(selector)];
  const page = () => document.getElementById("library");
  const MOST_BYTES = 20_000_000, LONG = 6000, KEPT = "studio-draft";

  // What follows stands behind what is there
  const more = async (link) => {
    if (link.getAttribute("aria-busy") === "true") return;
    link.setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/desk/library/more?" + link.dataset.more, { cache: "no-store" });
      const box = document.createElement("template");
      box.innerHTML = await answer.text();
      if (!answer.ok) return window.studioSay(box.content.textContent.trim() || "More cannot be shown just now.", true);
      const fresh = all(".tile", box.content);
      one(".tiles", page()).append(...fresh);
      link.closest("nav").replaceWith(one("nav", box.content) || "");
      window.studioSay(fresh.length + " more.");
      one("a, button", fresh[0])?.focus({ preventScroll: true });
    } catch { window.studioSay("Studio does not answer; press again when it does.", true); }
    finally { link.removeAttribute("aria-busy"); }
  };

  // The sheet of a design or a picture
  let opener = null;
  const open = (button) => {
    const dialog = one("#library-sheet"), query = new URLSearchParams({ run: button.dataset.of });
    if (button.dataset.name) query.set("picture", button.dataset.name);
    const holder = document.createElement("div");
    holder.dataset.read = button.dataset.opens; holder.dataset.every = "0"; holder.dataset.query = query;
    holder.innerHTML = '<p class="loading" role="status">It is coming …</p>';
    one(".sheet-body", dialog).replaceChildren(holder);
    if (dialog.open) return;
    opener = button;
    dialog.showModal();
  };
  document.addEventListener("close", (event) => {
    if (event.target.id !== "library-sheet") return;
    one(".sheet-body", event.target).replaceChildren();
    (opener && opener.isConnected ? opener : one("#library-found"))?.focus({ preventScroll: true });
  }, true);

  // What is put away, brought back or deleted leaves the page
  document.addEventListener("studio:done", (event) => {
    const told = event.target.dataset;
    if (!page() || !/^library\/(bin|restore|delete)$/.test(told.do)) return;
    const dialog = one("#library-sheet");
    for (const tile of all(".tile", page())) if (tile.dataset.of === told.run) tile.remove();
    if (dialog.open) dialog.close();
    if (!one(".tile", page())) window.studioRefresh(["library"]);
    one("#library-found")?.focus({ preventScroll: true });
  });

  document.addEventListener("click", (event) => {
    if (!page() || !event.target.closest) return;
    const plain = !(event.ctrlKey || event.metaKey || event.shiftKey || event.button);
    const link = event.target.closest("a[data-more], a[data-seeks]");
    if (link && plain) {
      event.preventDefault();
      if (link.dataset.more) return more(link);
      history.pushState(null, "", link.href);
      return window.studioRefresh(["library", "library/filters"]);
    }
    const button = event.target.closest("button");
    if (button && button.dataset.opens) open(button);
    else if (button && button.dataset.shuts !== undefined) one("#library-sheet").close();
  });

  // Days are typed in parts, so they are looked for when they are left
  document.addEventListener("change", (event) => {
    if (page() && event.target.type === "date" && event.target.closest("form[data-seek]")) event.stopPropagation();
  }, true);
  document.addEventListener("focusout", (event) => {
    const field = event.target;
    if (page() && field.type === "date" && field.value !== field.defaultValue && field.isConnected) field.form?.requestSubmit();
  });

  // A picture that is dropped, or chosen, leads to the form that its recipe fills
  const wrong = (line) => {
    const told = one("#library-drop .error");
    told.textContent = line; told.hidden = !line;
    one("#library-drop").removeAttribute("aria-busy");
  };
  const form = (recipe) => {
    const query = new URLSearchParams({ new: "1" });
    if (recipe.run) {
      query.set("from", recipe.run); query.set("picture", recipe.picture); query.set("take", "all");
      return query;
    }
    query.set("recipe", recipe.source);
    for (const name of ["seed", "width", "height", "steps", "model", "adapter", "adapter_scale"]) {
      if (recipe[name] !== null && recipe[name] !== "") query.set(name, recipe[name]);
    }
    if (recipe.negative) query.set("negative", "1");
    if (encodeURIComponent(recipe.prompt).length < LONG) query.set("brief", recipe.prompt);
    else try { sessionStorage.setItem(KEPT, JSON.stringify({ brief: recipe.prompt.slice(0, 8000), sources: "" })); } catch { /* private windows may refuse */ }
    return query;
  };
  const take = async (files) => {
    wrong("");
    if (files.length !== 1) return wrong(files.length ? "Drop one picture at a time." : "Drop a PNG file from a folder of yours; a picture of another page carries no recipe.");
    if (files[0].size > MOST_BYTES) return wrong("That file is too large: a picture has at most 20 MB.");
    one("#library-drop").setAttribute("aria-busy", "true");
    try {
      const answer = await fetch("/drop", { method: "POST", headers: { "Content-Type": "image/png" }, body: files[0] });
      if (answer.status === 401) return location.reload();
      const text = await answer.text();
      let told = {};
      try { told = JSON.parse(text); } catch { told = { error: text }; }
      if (!answer.ok || told.error) {
        const line = String(told.error || told.detail || "That did not work (" + answer.status + ")").slice(0, 300);
        return wrong(line.charAt(0).toUpperCase() + line.slice(1).replace(/\.?$/, "."));
      }
      location.assign("/?" + form(told));
    } catch { wrong("Studio does not answer; nothing was sent. Try again when it does."); }
  };
  let over = 0;
  const files = (event) => page() && [...(event.dataTransfer?.types || [])].includes("Files");
  const mark = (by) => { over = Math.max(0, by ? over + by : 0); one("#library-drop")?.classList.toggle("over", over > 0); };
  document.addEventListener("dragenter", (event) => { if (files(event)) { event.preventDefault(); mark(1); } });
  document.addEventListener("dragleave", (event) => { if (files(event)) mark(-1); });
  document.addEventListener("dragover", (event) => { if (files(event)) event.preventDefault(); });
  document.addEventListener("drop", (event) => { if (files(event)) { event.preventDefault(); mark(0); take([...event.dataTransfer.files]); } });
  document.addEventListener("change", (event) => {
    if (event.target.id !== "library-file") return;
    take([...event.target.files]);
    event.target.value = "";
  });
})();
