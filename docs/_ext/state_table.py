"""The directive `state-table`: a state machine shown from the table that runs it.

```{state-table} xp2p_trio.peer.state:TRANSITIONS
```

The table maps `(state, input)` to the next state, or each state to a mapping of inputs. A cell that is no state, such
as "refused", is shown only where no cell is one; a cell that changes nothing is left out. Where Graphviz is installed
there is a picture as well.
"""

from __future__ import annotations

import enum
import importlib
import shutil
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

Edges: TypeAlias = dict[tuple[str, str], list[str]]

DRAWS = shutil.which("dot") is not None


def name(value: object) -> str:
    """How a state is written: an enum member by its name."""
    return value.name if isinstance(value, enum.Enum) else str(value)


def words(value: object) -> str:
    """How an input is written: by its description if that is what its value is."""
    return value.value if isinstance(value, enum.Enum) and isinstance(value.value, str) else name(value)


def cells(table: Mapping[object, object]) -> Iterator[tuple[object, str, object]]:
    """State, input and outcome of each cell."""
    for key, after in table.items():
        if isinstance(after, Mapping):
            yield from ((key, words(symbol), outcome) for symbol, outcome in after.items())
        elif isinstance(key, tuple):
            yield key[0], " ".join(map(words, key[1:])), after


def edges(table: Mapping[object, object]) -> Edges:
    """(state, outcome) to the inputs that lead there."""
    found = list(cells(table))
    has_steps = any(type(after) is type(before) for before, _, after in found)
    result: Edges = {}
    for before, symbol, after in found:
        if not has_steps or (type(after) is type(before) and after != before):
            result.setdefault((name(before), name(after)), []).append(symbol)
    return result


def graphviz(found: Edges) -> str:
    """The edges as a Graphviz digraph."""
    lines = []
    for (before, after), symbols in found.items():
        label = "\\n".join(symbols)
        lines.append(f'    "{before}" -> "{after}" [label="{label}"];')
    return "\n".join(["digraph states {", "    node [shape=box, style=rounded];", *lines, "}", ""])


class StateTable(SphinxDirective):
    """See above."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Load the table and show it."""
        module, _, attribute = self.arguments[0].partition(":")
        found = edges(getattr(importlib.import_module(module), attribute))
        if not found:
            raise self.error(f"{self.arguments[0]} is no table of a state machine")
        return [*self._picture(found), self._table(found)]

    @staticmethod
    def _picture(found: Edges) -> list[nodes.Node]:
        if not DRAWS:
            return []
        from sphinx.ext.graphviz import graphviz as picture

        return [picture(code=graphviz(found), options={})]

    @staticmethod
    def _table(found: Edges) -> nodes.table:
        table = nodes.table()
        group = nodes.tgroup(cols=3)
        table += group
        for width in (25, 50, 25):
            group += nodes.colspec(colwidth=width)
        titles = (nodes.entry("", nodes.paragraph(text=title)) for title in ("state", "input", "outcome"))
        group += nodes.thead("", nodes.row("", *titles))
        body = nodes.tbody()
        shown = ""
        for (before, after), symbols in found.items():
            texts = ("" if before == shown else before, "; ".join(symbols), after)
            body += nodes.row("", *(nodes.entry("", nodes.paragraph(text=text)) for text in texts))
            shown = before
        group += body
        return table


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    if DRAWS:
        app.setup_extension("sphinx.ext.graphviz")
        app.config.graphviz_output_format = "svg"
    app.add_directive("state-table", StateTable)
    return {"parallel_read_safe": True}
