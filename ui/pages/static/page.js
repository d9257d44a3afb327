// The page's address and a few touches that need the browser: the run in the address, the talk's scrolling, a closer look.
window.studioRun = () => new URLSearchParams(location.search).get("run") || "";

window.studioAddress = (run) => {
  if (run && run !== studioRun()) history.replaceState(null, "", "?run=" + encodeURIComponent(run));
};

(() => {
  let follow = true;
  const keepUp = () => {
    const talk = document.querySelector("#talk .scroll");
    if (talk && follow && talk.querySelector(".live")) talk.scrollTop = talk.scrollHeight;
  };
  new MutationObserver(keepUp).observe(document.documentElement, { childList: true, subtree: true, characterData: true });
  document.addEventListener("scroll", (event) => {
    const talk = event.target;
    if (talk.matches && talk.matches("#talk .scroll")) {
      follow = talk.scrollTop + talk.clientHeight > talk.scrollHeight - 60;
    }
  }, true);

  document.addEventListener("click", (event) => {
    const link = event.target.closest && event.target.closest("a[data-zoom]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    const dialog = document.createElement("dialog");
    const image = document.createElement("img");
    const small = link.querySelector("img");
    image.src = link.href;
    image.alt = small ? small.alt : "";
    dialog.className = "zoom";
    dialog.setAttribute("aria-label", "Picture, larger; press Escape to close");
    dialog.append(image);
    dialog.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
    document.body.append(dialog);
    dialog.showModal();
  });
})();
