"""Results whose records in .snakemake are gone are not up to date whatever the config says."""

import yaml

from segrepro.config import model_spec, parse_config
from workflow_runs import planned, snakemake

MODEL = "deeplabv3_trainaug"


def test_a_changed_config_stops_where_only_the_files_know_what_made_them(tmp_path, merged_config):
    spec = model_spec(parse_config(merged_config()), MODEL)
    path = tmp_path / "results/models" / MODEL / "spec.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(yaml.safe_dump(spec.plain()))
    assert planned(tmp_path)["train"] > 1  # the spec is of this config
    done = snakemake(tmp_path, "--dry-run", overlay={"seed": 7})
    assert done.returncode == 1
    assert f"results/models/{MODEL}/spec.yaml: was made by another config: seed was 0 and is 7 now" in done.stdout
    forced = planned(tmp_path, "--forcerun", "spec", overlay={"seed": 7})  # who forces jobs says what is meant
    assert forced["train"] > 1
