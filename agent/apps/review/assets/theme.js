// Before the first paint: the chosen theme, else what the system prefers.
(() => {
  let chosen = null;
  try { chosen = localStorage.getItem("onko-theme"); } catch { /* storage is switched off */ }
  const dark = chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  if (!chosen) matchMedia("(prefers-color-scheme: dark)").addEventListener("change", (event) => {
    document.documentElement.dataset.theme = event.matches ? "dark" : "light";
  });
})();
