"""The report: a model before and after as one HTML file, as Markdown and as JSON.

``gather`` measures and compares, ``content`` is what it finds; the other modules only show that.
"""
