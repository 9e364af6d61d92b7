"""All figures of a certificate, as plain dictionaries that plotly.js draws."""

from typing import TYPE_CHECKING

from brenier.certify.page._defect_figures import growth_figure, interval_figure
from brenier.certify.page._plotly import Spec
from brenier.certify.page._point_figures import clouds_figure, map_figure
from brenier.certify.page._views import Views
from brenier.certify.page._witness_figures import asymmetry_figure, asymmetry_histogram, ring_figure

if TYPE_CHECKING:
    from brenier.certify import Certificate


def certificate_figures(certificate: "Certificate", views: Views) -> dict[str, Spec]:
    """All figures of a certificate by name; those that it has no data for are left out."""
    c, d = certificate, certificate.samples["x"].shape[1]
    drawn = {
        "interval": interval_figure(c.defect, c.how.get("tolerance")),
        "map": map_figure(c.samples["x"], c.samples["tx"], views),
    }
    # On the line every derivative is symmetric: there is nothing to see.
    if c.asymmetry is not None and d > 1:
        drawn["asymmetry"] = asymmetry_figure(c.asymmetry, c.ring, views)
        drawn["histogram"] = asymmetry_histogram(c.asymmetry)
    if c.ring is not None and c.ring.proven and d > 1:
        drawn["ring"] = ring_figure(c.ring)
    drawn["clouds"] = clouds_figure(c.samples, views)
    if c.defect.growth:
        drawn["growth"] = growth_figure(c.defect)
    return drawn


class NumberedFigures:
    """Figures in their order on the page: each gets the next number."""

    def __init__(self, drawn: dict[str, Spec], views: Views):
        self.drawn, self.views, self.count = drawn, views, 0

    def __call__(self, name: str, caption: str) -> str:
        """The figure with its number and its caption (HTML), and lists to choose axes from."""
        self.count += 1
        layout = self.drawn[name]["layout"]
        choices = _axis_choices(self.views.labels) if layout.get("meta") else ""
        return (
            f'<figure>{choices}<div class="plot" data-figure="{name}" '
            f'style="height:{layout["height"]}px"></div>'
            f"<figcaption><b>Figure {self.count}.</b> {caption}</figcaption></figure>"
        )


def _axis_choices(labels: list[str]) -> str:
    """Two lists to choose the horizontal and the vertical axis from."""
    lists = []
    for axis, name in enumerate(("horizontal", "vertical")):
        options = "".join(
            f'<option value="{i}"{" selected" * (i == axis)}>{label}</option>'
            for i, label in enumerate(labels)
        )
        lists.append(f'<label>{name} <select data-axis="{axis}">{options}</select></label>')
    return f'<div class="choices">{"".join(lists)}</div>'
