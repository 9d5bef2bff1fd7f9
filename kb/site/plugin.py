"""The mkdocs plugin: hands a vault's notes to mkdocs as pages, with everything that kb.pages makes of them.

mkdocs reads no note itself: text and front matter come from the library, which has parsed them (and cached that) with
the rules of `kb check`. Index pages exist in memory only.
"""

from __future__ import annotations

import json
import posixpath
import re
from functools import partial
from html import escape
from pathlib import Path
from typing import Any, Literal
from urllib.parse import unquote

import jinja2
from mkdocs.config import config_options
from mkdocs.config.base import Config
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.plugins import BasePlugin, event_priority, get_plugin_logger
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.nav import Navigation
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url
from mkdocs.utils.templates import TemplateContext

from kb.checks.links import LINK_CHECKS
from kb.ids import title_key
from kb.library import Library
from kb.note import FOREIGN, PAGE, Note
from kb.pages import dashboard, generated_pages, in_order, nav, note_context, visible
from kb.pages.claim_pages import Shown, figures, reproductions, section
from kb.pages.listing import front_matter
from kb.pages.public import PublicLibrary
from kb.problem import KbError, Problem
from kb.site import defaults
from kb.site.formulas import MathExtension, math_html
from kb.site.lists import ListExtension
from kb.site.report import site_problems
from kb.site.safety import safe_html
from kb.site.tables import TableExtension
from kb.site.vault import Vault
from kb.site.wikilinks import WikilinkExtension

log = get_plugin_logger("kb")
_FIGURE = re.compile(r'(src|href)="kb:([^"]+)"')  # a picture of a run, by its path on the site
_AS_WRITTEN = re.compile(r"(<(?:pre|script|style|textarea)\b.*?</(?:pre|script|style|textarea)>)", re.S)
_INDENTED = re.compile(r"\n\s+")
_MD_HREF = re.compile(r'href="(?![a-z][a-z0-9+.-]*:|/)([^"#]+\.md)(#[^"]*)?"')


class KbConfig(Config):  # type: ignore[no-untyped-call]
    problems = config_options.Choice(("warn", "info", "ignore"), default="warn")  # warn: `--strict` fails on them
    offline = config_options.Type(bool, default=True)  # a page may load nothing from another host


class KbPlugin(BasePlugin[KbConfig]):  # type: ignore[no-untyped-call]
    """One build reads the library once, in on_config; the rest looks things up in it."""

    public: PublicLibrary
    shown: list[Shown]  # the reproductions
    vault: Vault
    files: Files
    env: jinja2.Environment

    def on_startup(self, *, command: Literal["build", "gh-deploy", "serve"], dirty: bool) -> None:
        """Being here keeps the plugin, and what it holds, over the rebuilds of `mkdocs serve`."""

    def on_config(self, config: MkDocsConfig) -> MkDocsConfig:
        root = Path(config.config_file_path or "mkdocs.yml").resolve().parent
        if Path(config.docs_dir).resolve() != (root / "notes").resolve():
            raise PluginError(f"kb: docs_dir is {config.docs_dir}; write `docs_dir: notes` in {root / 'mkdocs.yml'}")
        try:
            library = Library(root)
        except KbError as error:
            raise PluginError(f"kb: {error}") from None
        try:
            self.public = visible(library)
            self.shown = reproductions(self.public, library.results)
            papers = [paper for paper in library.results.papers.values() if paper.own]
            found = [*library.problems, *(p for links in LINK_CHECKS for p in links(library))]
            found += [p for paper in papers for p in paper.problems]
            self.problems: list[Problem] = found
            self.public.backlinks, self.public.reading, self.public.waiting  # noqa: B018  # the last that need the index
        except KbError as error:
            raise PluginError(f"kb: {error}") from None
        finally:  # while it is open its log only grows, and `kb serve` runs for days
            library.index.close()
        self.vault = Vault(self.public)
        defaults.apply(config)
        slugify = config.mdx_configs.get("toc", {}).get("slugify") or _toc_slugify
        links = WikilinkExtension(self.vault, partial(slugify, sep="-"))
        own = [ListExtension(), MathExtension(), TableExtension(), links]
        config.markdown_extensions += own  # type: ignore[arg-type]  # mkdocs hands them on as they are
        return config

    def on_files(self, files: Files, *, config: MkDocsConfig) -> Files:
        for file in list(files.documentation_pages()):
            if f"notes/{file.src_uri}" not in self.public.notes:  # private, or gone since the library was read
                files.remove(file)
            elif self.public.notes[f"notes/{file.src_uri}"].kind != PAGE:
                file.inclusion = InclusionLevel.NOT_IN_NAV
        others = {f.src_uri: f for f in files.media_files()}
        for uri in self.public.private_assets(list(others)):
            files.remove(others[uri])
        self._add_generated(files, config)
        self.files = files
        self.vault.know(files)
        if config.nav is None:
            guide = [f.src_uri for f in files.documentation_pages() if f.src_uri.startswith("guide/")]
            config.nav = nav(in_order(guide, self.public.notes.get("notes/guide/index.md")), self.shown)
        self._report()
        return files

    def _add_generated(self, files: Files, config: MkDocsConfig) -> None:
        taken = {file.dest_uri: file.src_uri for file in files}
        generated = generated_pages(self.public, self.shown)
        if files.get_file_from_path("index.md") is None:
            generated["index.md"] = front_matter(config.site_name, "toc", "navigation") + dashboard(self.public)
        for uri, path in figures(self.shown).items():
            files.append(File.generated(config, uri, abs_src_path=str(path)))
        for uri, text in generated.items():
            file = File.generated(config, uri, content=text, inclusion=InclusionLevel.NOT_IN_NAV)
            if file.dest_uri in taken:
                log.info("notes/%s stands where the page %s would be made", taken[file.dest_uri], uri)
            else:
                files.append(file)

    def _report(self) -> None:
        if self.config.problems == "ignore":
            return
        say = log.warning if self.config.problems == "warn" else log.info
        for problem in sorted({*self.problems, *site_problems(self.public, self.vault)}):
            if problem.level != "info":
                say("%s", problem)

    # One page

    def _note(self, page: Page) -> Note | None:
        return self.public.notes.get(f"notes/{page.file.src_uri}")

    def on_pre_page(self, page: Page, *, config: MkDocsConfig, files: Files) -> Page:
        self.vault.current = page.file.src_uri
        return page

    def on_page_read_source(self, *, page: Page, config: MkDocsConfig) -> str | None:
        note = self._note(page)
        if note is None:
            return None  # a generated page holds its own
        meta = {key: note.meta[key] for key in FOREIGN & note.meta.keys() if key not in ("template", "search", "icon")}
        if meta.get("description"):  # the theme writes it as it is into the page's head
            meta["description"] = escape(" ".join(_texts(meta["description"])))
        if _is_icon(config, icon := str(note.meta.get("icon") or "")):
            meta["icon"] = icon
        meta["title"] = escape(note.title, quote=False)
        if note.kind != PAGE:
            meta["hide"] = list(dict.fromkeys([*_texts(note.meta.get("hide")), "navigation"]))
        body = _without_title(note)
        if mine := [one for one in self.shown if one.note.path == note.path]:
            body += "\n\n" + section(mine)
        if page.file.src_uri == "index.md":
            meta["hide"] = ["toc", "navigation"]
            body += "\n\n" + dashboard(self.public)
        head = "\n".join(f"{key}: {json.dumps(value, ensure_ascii=False)}" for key, value in meta.items())
        return f"---\n{head}\n---\n\n{body}"

    def on_page_content(self, html: str, *, page: Page, config: MkDocsConfig, files: Files) -> str:
        html = _FIGURE.sub(lambda m: f'{m[1]}="{self._url(page, m[2])}"', html) if self.shown else html
        return safe_html(_MD_HREF.sub(partial(self._address, page), html))

    def _address(self, page: Page, m: re.Match[str]) -> str:
        """The URL of a `.md` file that HTML names; in Markdown mkdocs has done it already."""
        uri = posixpath.normpath(posixpath.join(posixpath.dirname(page.file.src_uri), unquote(m[1])))
        file = self.files.get_file_from_path(uri)
        return f'href="{file.url_relative_to(page.file)}{m[2] or ""}"' if file else m[0]

    def on_env(self, env: jinja2.Environment, *, config: MkDocsConfig, files: Files) -> jinja2.Environment:
        env.filters["kb_math"] = math_html
        self.env = env
        return env

    @event_priority(50)  # before the search reads the page's content: who wrote a paper can be searched for
    def on_page_context(
        self, context: TemplateContext, *, page: Page, config: MkDocsConfig, nav: Navigation
    ) -> TemplateContext:
        note = self._note(page)
        shown: dict[str, Any] = {"kb_url": partial(self._url, page), "kb_offline": self.config.offline}
        if note is not None and note.kind != PAGE:
            shown |= {"kb": note_context(self.public, note), "kb_title": math_html(note.title)}
            card = self.env.get_template("partials/kb-card.html").render({**context, **shown})
            page.content = card + (page.content or "")
        shown["kb_math"] = "kb-math" in (page.content or "") or "$" in str([note and note.title, shown.get("kb")])
        context.update(shown)  # type: ignore[typeddict-item]  # mkdocs names its own keys alone
        return context

    def on_post_page(self, output: str, *, page: Page, config: MkDocsConfig) -> str:
        """Without the white space of the templates, a quarter of an ordinary page."""
        parts = _AS_WRITTEN.split(output)
        parts[::2] = [_INDENTED.sub("\n", part) for part in parts[::2]]
        return "".join(parts)

    @event_priority(-100)  # after the search has written its index
    def on_post_build(self, *, config: MkDocsConfig) -> None:
        """The search index as a script besides: a page opened from disk may not fetch, and Material looks for this."""
        index = Path(config.site_dir) / "search/search_index.json"
        if index.is_file():
            index.with_suffix(".js").write_text(f"var __index = {index.read_text('utf-8')}", "utf-8")

    def _url(self, page: Page, uri: str) -> str:
        file = self.files.get_file_from_path(uri)
        return get_relative_url(file.url, page.url) if file else "#"


def _toc_slugify(value: str, sep: str) -> str:
    from markdown.extensions.toc import slugify

    return slugify(value, sep)


def _is_icon(config: MkDocsConfig, name: str) -> bool:
    """Whether the theme has an icon of this name; one that it has not would end the build."""
    plain = re.fullmatch(r"[\w-]+(/[\w-]+)*", name)
    return bool(plain) and any((Path(folder) / ".icons" / f"{name}.svg").is_file() for folder in config.theme.dirs)


def _texts(value: Any) -> list[str]:
    return [str(v) for v in value] if isinstance(value, list) else [str(value)] if value else []


def _without_title(note: Note) -> str:
    """The body without a first heading that only says the title again: the page has it above the card."""
    m = re.match(r"\s*#[ \t]+(.+?)[ \t]*#*[ \t]*(?:\n|\Z)", note.body)
    return note.body[m.end() :] if m and title_key(m[1]) == title_key(note.title) else note.body
