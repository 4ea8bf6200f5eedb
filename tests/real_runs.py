"""What the runs on real pictures have in common."""

import hashlib
import io
import shutil
import tarfile
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


def cut_val(whole: Path, folder: Path, every: int) -> int:
    """Copy the subset ``whole``, but of VOC's val only one of ``every`` pictures and those that SBD has too.

    Returns:
        How many are left.
    """
    shutil.copytree(whole, folder)
    folder.chmod(0o755)
    sbd, voc = folder / "benchmark.tgz", folder / "VOCtrainval_11-May-2012.tar"
    with tarfile.open(sbd) as archive:
        in_sbd = {id for name in ("train", "val") for id in _ids(archive, f"benchmark_RELEASE/dataset/{name}.txt")}
    lists = "VOCdevkit/VOC2012/ImageSets/Segmentation/{}.txt".format
    with tarfile.open(whole / voc.name) as archive:
        val, train = _ids(archive, lists("val")), _ids(archive, lists("train"))
        kept = sorted({*val[::every], *in_sbd.intersection(val)})
        texts = {lists("val"): kept, lists("trainval"): sorted([*train, *kept])}
        voc.unlink()
        with tarfile.open(voc, "w") as cut:
            for member in archive:
                content = archive.extractfile(member)
                if member.name in texts:
                    text = "".join(f"{id}\n" for id in texts[member.name]).encode()
                    member.size, content = len(text), io.BytesIO(text)
                cut.addfile(member, content)
    sums = folder / "SHA256SUMS"
    lines = [line.split() for line in sums.read_text().splitlines()]
    sums.chmod(0o644)
    sums.write_text(
        "".join(f"{hashlib.sha256((folder / name).read_bytes()).hexdigest()}  {name}\n" for _, name in lines)
    )
    return len(kept)


def _ids(archive: tarfile.TarFile, name: str) -> list[str]:
    return archive.extractfile(name).read().decode().split()
