"""The site: a mkdocs plugin, Python-Markdown extensions and a theme over the pure functions of kb.pages."""
