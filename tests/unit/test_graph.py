"""What is made of what: parents, ancestors and circles, as the config has them and as JSON says them."""

import subprocess
import sys

import pytest

from segrepro.config import parse_config
from segrepro.errors import UserError
from segrepro.graph import MODEL, PROPOSALS, SYSTEM, WEIGHTS, Graph, graph_of, path_text, walk


def test_a_walk_takes_the_shortest_path_and_every_node_once():
    parents = {"a": ["b", "c"], "b": ["d"], "c": ["e"], "d": ["e"], "e": []}
    assert walk(["a"], parents.__getitem__) == {
        "a": ("a",),
        "b": ("a", "b"),
        "c": ("a", "c"),
        "d": ("a", "b", "d"),
        "e": ("a", "c", "e"),
    }
    assert list(walk(["d", "c"], parents.__getitem__)) == ["d", "c", "e"]
    assert list(walk(["a"], {"a": ["b"], "b": ["a"]}.__getitem__)) == ["a", "b"]  # a circle ends, too


def test_the_published_config_is_followed_from_a_crf_to_weights_and_proposals(merged_config):
    graph = graph_of(parse_config(merged_config("full")))
    ancestors = graph.ancestors("edeconvnet_crf")
    assert list(ancestors)[:2] == [(SYSTEM, "edeconvnet_crf"), (SYSTEM, "edeconvnet")]
    assert path_text(ancestors[WEIGHTS, "vgg16_imagenet"]).startswith("edeconvnet_crf <- edeconvnet <- ")
    assert graph.of_kind(PROPOSALS, "edeconvnet_crf") == ["edge_boxes"]
    assert {"fcn8s", "fcn16s", "fcn32s", "deconvnet_stage2"} <= set(graph.of_kind(MODEL, "edeconvnet_crf"))
    assert graph.of_kind(PROPOSALS, "fcn8s", "deeplabv3_trainaug") == []
    assert [seen.manifest for seen in graph.seen((MODEL, "fcn8s"))] == ["data/manifests/sbd_train.csv"]
    assert graph.seen((PROPOSALS, "edge_boxes")) == []
    assert graph.circle() == ()


def test_a_graph_is_the_same_after_it_was_json(merged_config):
    graph = graph_of(parse_config(merged_config()), manifest="m/{name}.csv", fold_report="r/{system}-{split}.json")
    assert Graph.model_validate_json(graph.model_dump_json()) == graph
    assert graph.splits["voc_val"] == "m/voc_val.csv"
    assert graph.systems["stacking_shared"].fold_reports["voc_val"] == "r/stacking_shared-voc_val.json"


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (
            lambda c: c["models"]["fcn32s"].update(init={"model": "fcn8s"}),
            "models.fcn32s.init.model: the inits run in a circle: fcn32s <- fcn8s <- fcn16s <- fcn32s",
        ),
        (
            lambda c: c["models"]["fcn8s"].update(init={"model": "fcn8s"}),
            "models.fcn8s.init.model: the inits run in a circle: fcn8s <- fcn8s",
        ),
        (
            lambda c: c["systems"]["edeconvnet"]["fusion"].update(members=["fcn8s", "edeconvnet_crf"]),
            "systems.edeconvnet.fusion.members: the members run in a circle: edeconvnet <- edeconvnet_crf <- edecon",
        ),
    ],
)
def test_a_circle_is_told_once_from_its_first_entry_in_the_config(merged_config, change, sentence):
    config = merged_config()
    change(config)
    with pytest.raises(UserError) as caught:
        parse_config(config)
    assert sentence in str(caught.value)
    assert str(caught.value).count("circle") == 1


def test_a_name_that_leads_nowhere_does_not_hide_a_circle(merged_config):
    config = merged_config()
    config["systems"]["edeconvnet"]["fusion"]["members"] = ["ghost", "edeconvnet"]
    with pytest.raises(UserError) as caught:
        parse_config(config)
    assert "'ghost' names no system" in str(caught.value)
    assert "edeconvnet <- edeconvnet" in str(caught.value)


def test_no_network_is_loaded_for_a_walk():
    code = "import sys, segrepro.graph; sys.exit(bool({'tensorflow', 'keras', 'cv2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
