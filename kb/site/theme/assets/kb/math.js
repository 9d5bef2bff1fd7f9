// Draws every formula. Where KaTeX cannot read one, its TeX stays on the page with the reason as a tooltip.
for (const element of document.querySelectorAll(".kb-math")) {
  const tex = element.textContent;
  try {
    katex.render(tex, element, {
      displayMode: element.classList.contains("kb-math--display"),
      maxExpand: 1000,
    });
    if (element.scrollWidth > element.clientWidth && element.clientWidth) element.tabIndex = 0; // to scroll by keyboard
  } catch (error) {
    element.textContent = tex;
    element.title = error.message;
    element.classList.add("kb-math--failed");
  }
}
