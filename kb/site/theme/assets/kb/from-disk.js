// On a site opened from disk nobody turns the address of a folder into that of its page: do so before a link is followed.
const toPage = (event) => {
  const link = event.target.closest?.("a[href]");
  if (link?.protocol === "file:" && link.pathname.endsWith("/")) link.pathname += "index.html";
};
for (const name of ["click", "auxclick", "contextmenu", "dragstart"]) addEventListener(name, toPage, true);
