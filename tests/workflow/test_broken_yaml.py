"""What a user sees whose config file is broken before any key can be looked at."""

import pytest

from workflow_runs import snakemake


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("models: [unclosed\n  a: b: c\n", "not valid JSON or YAML"),
        ("- a\n- b\n", "with keys at top level"),
        ("seed: 1\nseed: 2\n", "mine.yaml, line 2: key 'seed' comes twice in one mapping"),
        ("scale: [sample]\n", "config: scale: use full, released, sample or small, not ['sample']"),
    ],
    ids=["unclosed bracket", "a list", "a key twice", "scale of another type"],
)
def test_a_broken_config_file_is_refused_in_words(tmp_path, text, sentence):
    file = tmp_path / "mine.yaml"
    file.write_text(text)
    done = snakemake(tmp_path, "--dry-run", overlay=file)
    assert done.returncode == 1
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout
    assert not (tmp_path / "data").exists()
