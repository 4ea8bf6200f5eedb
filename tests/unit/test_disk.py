"""Room for a run: what its jobs are to write, and the refusal where a disk has less."""

from types import SimpleNamespace

import pytest
from snakemake.exceptions import WorkflowError

from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.plan import Plan, snake
from segrepro.plan.disk import check_room, written
from segrepro.plan.stores import stores_made

GB = 10**9


@pytest.fixture
def plan(merged_config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return lambda scale, **keys: Plan(parse_config(merged_config(scale) | keys))


def whole_run(plan):
    """All jobs of a run that write much, as `check_room` takes them."""
    rules = [("predict", plan.predicted), ("fuse", plan.fused), ("stack", plan.stacked), ("crf", plan.refined)]
    rule_of = {name: rule for rule, names in rules for name in names}
    jobs = [("train", {"model": name}, [plan.model(name)]) for name in plan.trained]
    jobs += [("import_weights", {"model": name}, [plan.model(name)]) for name in plan.imported]
    for system, split in stores_made(plan):
        jobs.append((rule_of[system], {"system": system, "split": split}, [plan.scores(system, split)]))
    for archive in plan.config.archives.given:
        jobs.append(("fetch", {"archive": archive.file}, [f"{plan.data}/downloads/{archive.file}"]))
    return jobs


@pytest.mark.parametrize(
    ("scale", "least", "most"),
    # docs/cost.md: archives, stores, models; the sample's run takes 0.2 GB
    [("full", 70, 110), ("small", 10, 25), ("released", 3, 5), ("sample", 0.05, 0.5)],
)
def test_a_disk_without_room_for_a_whole_scale_is_refused_and_a_large_one_is_not(plan, tmp_path, scale, least, most):
    made = plan(scale)
    jobs = whole_run(made)
    check_room(made, jobs, free=lambda folder: int(most * GB))
    with pytest.raises(UserError) as refused:
        check_room(made, jobs, free=lambda folder: int(least * GB))
    message = str(refused.value)
    assert message.startswith(f"{tmp_path}: this run is to write about ")
    assert f"but {least:.2f} GB are free; make room" in message
    assert "score stores" in message
    assert "\n" not in message


def test_where_nothing_is_to_be_made_no_disk_is_asked(plan):
    def asked(folder):
        raise AssertionError(folder)

    check_room(plan("full"), [], free=asked)
    check_room(plan("full"), [("evaluate", {"system": "fcn8s", "split": "voc_val"}, ["a.json"])], free=asked)


def test_what_stands_and_what_has_arrived_need_no_room_again(plan, tmp_path):
    made = plan("released")
    archive = made.config.archives.voc2012_trainval
    jobs = [("fetch", {"archive": archive.file}, [f"data/downloads/{archive.file}"])]
    with pytest.raises(UserError, match=r"write about 2\.00 GB there \(archives and weights 2\.00\), but 1\.00 GB"):
        check_room(made, jobs, free=lambda folder: GB)
    partial = tmp_path / f"data/downloads/{archive.file}.partial"
    partial.parent.mkdir(parents=True)
    with partial.open("wb") as stream:
        stream.truncate(3 * GB // 2)  # a hole, which takes no room here
    check_room(made, jobs, free=lambda folder: GB)


def test_an_archive_that_is_linked_from_the_users_folder_takes_no_room(plan, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/VOCtrainval_11-May-2012.tar").touch()
    made = plan("released", archives_dir=str(tmp_path / "mine"))
    assert written(made, "fetch", {"archive": "VOCtrainval_11-May-2012.tar"}) is None
    assert written(plan("released"), "fetch", {"archive": "VOCtrainval_11-May-2012.tar"}).bytes == 1999639040


def test_shards_share_a_store(plan):
    made, of = plan("small"), {"system": "fcn8s", "split": "voc_val"}
    whole = written(made, "predict", of).bytes
    assert written(made, "predict_shard", of | {"scatteritem": "2-of-8"}).bytes == whole / 8


def test_marginals_of_a_crf_take_many_times_the_room_of_its_labels(plan):
    of = {"system": "stacking_mean_crf", "split": "voc_val"}
    assert written(plan("full"), "crf", of).bytes > 100 * written(plan("small"), "crf", of).bytes


def workflow_of(jobs, **options):
    jobs = [SimpleNamespace(rule=SimpleNamespace(name=r), wildcards_dict=w, output=o) for r, w, o in jobs]
    return SimpleNamespace(touch=options.get("touch", False), dag=SimpleNamespace(needrun_jobs=lambda: jobs))


def test_snakemake_is_refused_in_words_unless_the_config_trusts_the_disk(plan, merged_config, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: SimpleNamespace(free=GB))
    made = plan("small")
    jobs = whole_run(made)
    with pytest.raises(WorkflowError, match=r"but 1\.00 GB are free"):
        snake.check_disk(workflow_of(jobs), made)
    snake.check_disk(workflow_of(jobs, touch=True), made)
    runtime = merged_config("small")["runtime"] | {"check_room": False}
    snake.check_disk(workflow_of(jobs), plan("small", runtime=runtime))
