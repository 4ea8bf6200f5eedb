"""Whether files that belong together hold the same pictures: asked before any picture is predicted or scored."""

from collections.abc import Collection, Iterable
from pathlib import Path

from segrepro.errors import UserError
from segrepro.stores.manifests import Example
from segrepro.stores.scores import ScoreReader


def refuse_other_pictures(
    found: Collection[str],
    wanted: Collection[str],
    *,
    found_in: object,
    wanted_in: object,
    remedy: str,
    more_allowed: bool = False,
) -> None:
    """Refuse two places that hold other pictures, or (``more_allowed``) one that holds not all that are wanted.

    The sentence names both places, the first picture that is missing or surplus, how many are, and the remedy.
    """
    pairs = [(set(wanted), wanted_in, set(found), found_in), (set(found), found_in, set(wanted), wanted_in)]
    for here, here_in, there, there_in in pairs[: 1 if more_allowed else 2]:
        if lacking := here - there:
            raise UserError(
                f"{len(lacking)} of the {len(here)} pictures of {here_in} are not in {there_in}, the first is "
                f"'{min(lacking)}'; {remedy}."
            )


def check_whole_pictures(examples: Iterable[Example], manifest: object, *, masks: bool = False) -> None:
    """Refuse a manifest a row of which is no whole picture, or (``masks``) has no mask; the first is named."""
    for example in examples:
        if example.box is not None:
            raise UserError(f"{manifest}: picture '{example.id}' has a box; give a manifest of whole pictures.")
        if masks and example.mask is None:
            raise UserError(f"{manifest}: picture '{example.id}' has no mask; give a split that has ground truth.")


def check_same_pictures(
    reader: ScoreReader, examples: list[Example], manifest: Path, *, masks: bool = True, more_allowed: bool = False
) -> None:
    """Do both checks for a store and the manifest whose pictures it must hold."""
    check_whole_pictures(examples, manifest, masks=masks)
    places = {"found_in": reader.path, "wanted_in": manifest, "remedy": "predict this manifest again"}
    refuse_other_pictures(reader.ids, [example.id for example in examples], **places, more_allowed=more_allowed)


def system_of(store: Path, space: str, examples: list[Example] = (), manifest: Path | None = None) -> str:
    """Return the name of a store's system, if it can be shown in this label space and with these pictures.

    Raises:
        UserError: the store cannot be read, its labels not be mapped to the label space, or its pictures are not those
            of ``examples`` (none: not looked at), rows of ``manifest``.
    """
    with ScoreReader(store) as reader:
        reader.mapping(space)
        if examples:
            check_same_pictures(reader, examples, manifest)
        return reader.system
