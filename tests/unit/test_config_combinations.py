"""Systems made of systems: members that cannot give what is asked of them are refused before anything runs."""

import pytest

from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.graph import graph_of

STACK = {"kind": "linear", "members": ["deeplabv3_trainaug", "deeplabv3plus_trainaug"]}


def problem(config, **systems):
    """Return the one sentence by which a config with more systems is refused, or "" where it is not."""
    config["systems"] |= {name: {"splits": ["voc_val"], **system} for name, system in systems.items()}
    try:
        parse_config(config)
    except UserError as error:
        message = str(error)
    else:
        message = ""
    assert len(message.splitlines()) <= 1
    return message


def product(*members, **options):
    return {"fusion": {"kind": "release_product", "members": list(members), **options}}


def test_the_released_product_takes_the_published_systems(merged_config):
    for scale in ("sample", "full"):
        assert problem(merged_config(scale), new=product("deconvnet_stage2", "fcn8s")) == ""
    assert problem(merged_config("full"), new=product("deconvnet_stage2", "deeplabv3plus_released_trainaug")) == ""


@pytest.mark.parametrize(
    ("member", "system", "parts"),
    [
        ("deeplabv3_phase2_ms_flip", None, ["averages probabilities", "'deeplabv3_phase2'"]),
        ("windows", {"model": "fcn8s", "prediction": {"window": 65}}, ["averages probabilities", "without 'flip'"]),
        ("edeconvnet", None, ["combination of systems ('fusion')", "kind: product"]),
        ("edeconvnet_crf", None, ["combination of systems ('crf')"]),
        ("stacking_vote", None, ["combination of systems ('fusion')"]),
        ("stacking_linear", None, ["combination of systems ('stacking')"]),
        ("deeplabv3_coco90", None, ["label space 'coco91' and cannot be mapped"]),
        (
            "softmax",
            {"model": "deconvnet_stage2", "proposal_wise": {"proposals": "edge_boxes", "of": "probabilities"}},
            ["aggregates probabilities", "set systems.softmax.proposal_wise.of to scores"],
        ),
    ],
)
def test_members_without_raw_scores_are_refused_by_the_released_product(merged_config, member, system, parts):
    others = {member: system} if system else {}
    message = problem(merged_config("full"), **others, new=product("deconvnet_stage2", member))
    for part in [f"systems.new.fusion.members: '{member}' has no raw scores for 'release_product'", *parts]:
        assert part in message


@pytest.mark.parametrize(("ties", "said"), [(None, True), ("probability", True), ("lowest", False), ("member", False)])
def test_a_vote_over_a_vote_needs_ties_without_probabilities(merged_config, ties, said):
    vote = {"kind": "vote", "members": ["stacking_vote", "fcn8s", "deeplabv3_trainaug"], "ties": ties}
    message = problem(merged_config(), new={"fusion": vote})
    assert bool(message) == said
    if said:
        assert "systems.new.fusion.members: 'stacking_vote' is a vote and has no probabilities to break ties" in message


def test_a_crf_that_stores_labels_is_a_member_of_votes_alone(merged_config):
    refined = {"crf": {"members": ["fcn8s"], "preset": "deconvnet", "store": "labels"}}
    for combined, sentence in {
        "mean": "'refined' stores labels and has no probabilities; remove systems.refined.crf.store",
        "vote": "'refined' stores labels and has no probabilities to break ties by; set 'ties: member'",
    }.items():
        members = ["refined", "fcn8s", "deeplabv3_trainaug"]
        message = problem(merged_config(), refined=refined, new={"fusion": {"kind": combined, "members": members}})
        assert f"systems.new.fusion.members: {sentence}" in message
    vote = {"kind": "vote", "members": members, "ties": "lowest"}
    assert not problem(merged_config(), refined=refined, new={"fusion": vote})
    refined["crf"]["storage_stride"] = 4
    assert "storage_stride: labels are stored at every pixel" in problem(merged_config(), refined=refined)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_stacker_by_folds_over_a_stacker_by_folds_is_refused(merged_config, depth):
    """However deep: the inner answers for other folds come from this fold's labels."""
    between = {
        "mixed": {"fusion": {"kind": "mean", "members": ["stacking_linear", "fcn8s"]}},
        "refined": {"crf": {"members": ["mixed"], "preset": "deconvnet"}},
    }
    member = ["stacking_linear", "mixed", "refined"][depth]
    outer = {"stacking": STACK | {"members": [member, "fcn8s"]}}
    message = problem(merged_config(), **between, new=outer)
    assert "systems.new.stacking.members: 'stacking_linear' is fitted by folds of the same pictures" in message
    assert "systems.stacking_linear.stacking.fit_on" in message


def test_a_stacker_over_one_that_is_fitted_on_other_pictures_is_allowed(merged_config):
    config = merged_config()
    members = [*STACK["members"], "fcn8s"]
    for member in members:
        config["systems"][member]["splits"].append("voc_train")
    inner = {"stacking": STACK | {"fit_on": "voc_train"}, "splits": ["voc_val"]}
    assert problem(config, inner=inner, new={"stacking": STACK | {"members": ["inner", "fcn8s"]}}) == ""
    # and over one by folds, where it is fitted on other pictures itself
    splits = ["voc_val", "voc_train"]
    outer = {"stacking": STACK | {"members": ["folds", "fcn8s"], "fit_on": "voc_train"}}
    assert problem(config, folds={"stacking": STACK, "splits": splits}, new=outer) == ""


def ranked(config, *, scored_on=("voc_val", "voc_train"), **options):
    """Add a vote whose ties go to the member with the highest mIoU on other pictures."""
    members = ["deeplabv3_trainaug", "deeplabv3plus_trainaug", "deeplabv3_coco20"]
    for member in members:
        config["systems"][member]["splits"] = list(scored_on)
    return {"fusion": {"kind": "vote", "members": members, "ties": "miou", **options}}


def test_pictures_that_rank_the_members_of_a_vote_count_as_tuned_on(merged_config):
    config = merged_config()
    vote = ranked(config, ties_from="voc_train")
    assert problem(config, new=vote) == ""
    found = graph_of(parse_config(config))
    assert [pictures.name for pictures in found.systems["new"].tuned_on] == ["voc_train"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "fusion.ties_from: 'ties: miou' needs it"),
        ({"ties": "lowest", "ties_from": "voc_train"}, "fusion.ties_from: 'ties: miou' needs it, and no other takes"),
        ({"ties_from": "voc_val"}, "fusion.ties_from: 'voc_val' is scored too"),
        ({"ties_from": "voc_trian"}, "fusion.ties_from: 'voc_trian' names no dataset"),
        ({"ties_from": "coco90"}, "fusion.ties_from: 'coco90' has other labels"),
        (
            {"ties_from": "voc_train", "scored_on": ["voc_val"]},
            "fusion.members: 'deeplabv3_trainaug' is not scored on 'voc_train'",
        ),
    ],
)
def test_a_ranking_that_cannot_be_is_refused_by_its_key(merged_config, options, said):
    config = merged_config()
    config["systems"]["new"] = {"splits": ["voc_val"], **ranked(config, **options)}
    with pytest.raises(UserError) as caught:
        parse_config(config)
    assert f"systems.new.{said}" in str(caught.value)
