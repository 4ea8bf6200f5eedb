"""The methods that propose boxes: what does what a section of the config says."""

from pathlib import Path

from segrepro.config.proposals import EdgeBoxes, SelectiveSearch
from segrepro.data.edge_boxes import EdgeBoxesMethod
from segrepro.data.proposal_base import ProposalMethod
from segrepro.data.selective_search import SelectiveSearchMethod
from segrepro.errors import UserError

# name -> its section
METHODS = {section.model_fields["method"].default: section for section in (SelectiveSearch, EdgeBoxes)}


def proposal_method(
    settings: SelectiveSearch | EdgeBoxes, model: Path | None = None, edges: Path | None = None
) -> ProposalMethod:
    """Return the method that a section declares.

    Args:
        settings: the section; its own ``model`` and ``edges`` are what the config fetches or names.
        model: EdgeBoxes: the structured forest's file.
        edges: EdgeBoxes: the folder of edge maps, or ``sobel``.

    Raises:
        UserError: a file that the method needs is missing, unusable, or one too many.
    """
    if isinstance(settings, EdgeBoxes):
        return EdgeBoxesMethod(settings, *(None if path is None else str(path) for path in (model, edges)))
    if model is not None or edges is not None:
        raise UserError(f"{settings.method}: takes neither model nor edges; leave them out.")
    return SelectiveSearchMethod(settings)
