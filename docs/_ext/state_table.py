"""The directive `state-table`: a state machine drawn from the table that runs it.

```{state-table} xp2p_trio.sctp.state:TRANSITIONS
```

The table maps `(state, input)` to the next state. What is shown is the same table, and a picture of it where Graphviz
is installed.
"""

from __future__ import annotations

import enum
import importlib
import shutil
from collections.abc import Mapping
from typing import TypeAlias

Table: TypeAlias = Mapping[tuple[object, object], object]


def name(value: object) -> str:
    """How a state or input is written: an enum member by its name, a class by its name."""
    if isinstance(value, enum.Enum):
        return value.name
    return value.__name__ if isinstance(value, type) else str(value)


def load(target: str) -> Table:
    """The table at `module:name`."""
    module, _, attribute = target.partition(":")
    table: object = getattr(importlib.import_module(module), attribute)
    if not isinstance(table, Mapping) or not table:
        raise TypeError(f"{target} is no table of transitions")
    return table


def edges(table: Table) -> dict[tuple[str, str], list[str]]:
    """(from, to) to the inputs that lead there; what stays where it is is left out."""
    result: dict[tuple[str, str], list[str]] = {}
    for (state, symbol), after in table.items():
        if state != after:
            result.setdefault((name(state), name(after)), []).append(name(symbol))
    return result


def graphviz(table: Table) -> str:
    """The table as a Graphviz digraph."""
    lines = []
    for (before, after), symbols in edges(table).items():
        label = "\\n".join(symbols)
        lines.append(f'    "{before}" -> "{after}" [label="{label}"];')
    return "\n".join(
        ["digraph states {", '    node [shape=box, style=rounded, fontname="sans-serif"];', *lines, "}", ""]
    )


def setup(app: object) -> dict[str, bool]:
    """Register the directive."""
    from docutils import nodes
    from sphinx.application import Sphinx
    from sphinx.util.docutils import SphinxDirective

    assert isinstance(app, Sphinx)
    draws = shutil.which("dot") is not None
    if draws:
        app.setup_extension("sphinx.ext.graphviz")
        app.config.graphviz_output_format = "svg"

    class StateTable(SphinxDirective):
        required_arguments = 1

        def run(self) -> list[nodes.Node]:
            table = load(self.arguments[0])
            output: list[nodes.Node] = []
            if draws:
                from sphinx.ext.graphviz import graphviz as picture

                output.append(picture(code=graphviz(table), options={}))
            states: dict[str, list[tuple[str, list[str]]]] = {}
            for (before, after), symbols in edges(table).items():
                states.setdefault(before, []).append((after, symbols))
            grid = nodes.table()
            group = nodes.tgroup(cols=3)
            grid += group
            for width in (25, 45, 30):
                group += nodes.colspec(colwidth=width)
            head = nodes.row()
            for title in ("state", "input", "next state"):
                head += nodes.entry("", nodes.paragraph(text=title))
            group += nodes.thead("", head)
            body = nodes.tbody()
            for before, targets in states.items():
                for index, (after, symbols) in enumerate(targets):
                    row = nodes.row()
                    for text in ("" if index else before, ", ".join(symbols), after):
                        row += nodes.entry("", nodes.paragraph(text=text))
                    body += row
            group += body
            return [*output, grid]

    app.add_directive("state-table", StateTable)
    return {"parallel_read_safe": True}
