"""What the runs on real pictures have in common."""

from pathlib import Path

from segrepro.report.measured_on import NOTES, REMARKS


def assert_called_real(run: Path) -> None:
    """Page and tables say that the pictures are real; the sample scale, over which the configs are laid, has others."""
    page = (run / "results/report/index.html").read_text()
    assert REMARKS["real_sample"] in page
    assert not (run / "results/figures/sample.png").exists()
    for text in (page, *(path.read_text() for path in (run / "results/tables").rglob("*.md"))):
        assert "generated" not in text.lower()
    assert NOTES["real_sample"] in (run / "results/tables/miou.md").read_text()
