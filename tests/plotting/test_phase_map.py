import numpy as np
import pytest
from matplotlib.patches import Rectangle

import convexrelu as cr
from convexrelu.plotting import PhaseCell, phase_map_figure

GOOD, BAD, LOST = "global optimum", "KKT point that is not global", "never fitted the data"


def test_pieces_of_a_cell_are_as_long_as_the_verdicts_are_frequent(tmp_path):
    cells = [
        PhaseCell(width=4, init_scale=1e-3, verdicts=(GOOD, GOOD, BAD, LOST)),
        PhaseCell(width=16, init_scale=1e-3, verdicts=(GOOD,) * 4),
        PhaseCell(width=4, init_scale=1.0, verdicts=()),
    ]
    figure = phase_map_figure(cells, title="t")
    [ax] = figure.axes
    bars = [p for p in ax.patches if isinstance(p, Rectangle) and p.get_fill()]
    assert np.allclose([bar.get_width() / 0.9 for bar in bars], [0.5, 0.25, 0.25, 1.0])
    assert [text.get_text() for text in ax.texts] == ["2 of 4", "4 of 4"]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["4", "16"]
    assert [tick.get_text() for tick in ax.get_yticklabels()] == ["0.001", "1"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [GOOD, BAD, LOST]
    figure.savefig(tmp_path / "map.png")


def test_bad_cells_are_refused():
    cell = PhaseCell(width=4, init_scale=1.0, verdicts=(GOOD,))
    with pytest.raises(cr.InvalidInputError, match="one or more"):
        phase_map_figure([], title="t")
    with pytest.raises(cr.InvalidInputError, match="2 at 1 places"):
        phase_map_figure([cell, cell], title="t")
    with pytest.raises(cr.InvalidInputError, match="'fine'"):
        phase_map_figure([PhaseCell(width=4, init_scale=1.0, verdicts=("fine",))], title="t")
