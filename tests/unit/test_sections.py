"""One declaration per setting: from a section to a verb's options, from these to the section, and to a command."""

import argparse
import shlex
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args

import pytest
from pydantic import Field, create_model, model_validator

from segrepro.config import Config, model_spec, parse_config
from segrepro.config.digest import system_sha256
from segrepro.errors import UserError
from segrepro.options import add_options, as_options, check_values, section_of
from segrepro.plan import Plan, systems
from segrepro.schema import Positive, Section


class Sail(Section):
    """A section with every kind of field that has an option."""

    kind: Literal["main", "jib"] = Field(description="which")
    reefs: Literal[1, 2] | None = Field(None, description="null: none")
    area: Positive = Field(30, description="m2, 100 % cotton")
    angles: list[Annotated[float, Field(gt=0, le=90)]] = Field([45.0, 60.5], description="degrees")
    wet: bool = Field(False, description="after rain")
    maker: str = Field("A & Co", description="who made it")
    owners: list[str] = Field([], description="in order")

    @model_validator(mode="after")
    def _jibs(self) -> "Sail":
        if self.kind == "jib" and self.reefs:
            raise ValueError("reefs: has no meaning for 'kind: jib'; remove it")
        return self


def parsed(*words: str, section: type[Section] = Sail, leave_out: tuple[str, ...] = ()) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser, section, leave_out)
    args = parser.parse_args(words)
    check_values(parser, args)
    return args


@pytest.mark.parametrize(
    "sail",
    [
        Sail(kind="jib"),
        Sail(kind="main", reefs=2, area=1, angles=[1.0], wet=True, maker="it's", owners=["a", "b"]),
        Sail(kind="main", angles=[], owners=[]),
    ],
)
def test_the_command_of_a_section_gives_that_section(sail):
    assert section_of(parsed(*shlex.split(as_options(sail))), Sail) == sail


def test_every_key_is_in_the_command_but_what_is_null_or_left_out():
    text = as_options(Sail(kind="jib"), leave_out=["owners"])
    assert text == "--kind jib --area 30 --angles 45.0 60.5 --no-wet --maker 'A & Co'"


def test_defaults_and_help_are_those_of_the_section(capsys):
    assert section_of(parsed("--kind", "jib"), Sail) == Sail(kind="jib")
    with pytest.raises(SystemExit):
        parsed("--help")
    told = " ".join(capsys.readouterr().out.split())
    for words in ("--kind {main,jib}", "not given: none", "100 % cotton (default: 30)", "degrees (default: 45.0 60.5)"):
        assert words in told


def test_fields_without_a_default_are_required(capsys):
    with pytest.raises(SystemExit, match="2"):
        parsed()
    assert "required: --kind" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--kind spinnaker", "--kind is spinnaker; give main or jib."),
        ("--kind jib --reefs 3", "--reefs is 3; give 1 or 2."),
        ("--kind jib --area 0", "--area is 0; give a whole number from 1 to 2147483647."),
        ("--kind jib --angles 10 91", "--angles is 91.0; give a number above 0 to 90."),
        ("--kind jib --reefs 1", "--reefs: has no meaning for 'kind: jib'; remove it."),
        ("--kind jib --owners a a", "--owners: 'a' is named twice; name it once."),
    ],
)
def test_what_a_section_refuses_is_refused_of_its_option(words, sentence):
    with pytest.raises(UserError) as told:
        section_of(parsed(*words.split()), Sail)
    assert str(told.value) == sentence


def test_fields_that_are_left_out_are_given_by_the_verb():
    args = parsed("--area", "7", leave_out=("kind", "owners"))
    assert section_of(args, Sail, kind="jib", owners=["c"]) == Sail(kind="jib", area=7, owners=["c"])


def sections(kind: Any = Config) -> Iterator[type[Section]]:
    """Yield every section of the config."""
    if isinstance(kind, type) and issubclass(kind, Section):
        yield kind
        for field in kind.model_fields.values():
            yield from sections(field.annotation)
    else:
        for part in get_args(kind):
            yield from sections(part)


def has_option(section: type[Section], name: str) -> bool:
    try:
        add_options(argparse.ArgumentParser(), section, leave_out=set(section.model_fields) - {name})
    except TypeError:
        return False
    return True


SECTIONS = list(dict.fromkeys(sections()))
FIELDS = [(section, name) for section in SECTIONS for name in section.model_fields if has_option(section, name)]


def test_only_sections_and_tables_of_them_have_no_option():
    without = {f"{section.__name__}.{name}" for section in SECTIONS for name in section.model_fields} - {
        f"{section.__name__}.{name}" for section, name in FIELDS
    }
    assert {name for name in without if not name.startswith(("Config.", "Archives.", "System.", "Figures."))} == {
        *("EdgeBoxes.model", "Model.repeat", "Model.examples", "Model.init"),
        *("Crf.search", "Server.per_class", "Grid.ids", "Runtime.fetch"),
    }


def other_than(default: Any) -> Any:
    return [*default, 7] if isinstance(default, list) else not default if isinstance(default, bool) else "other"


def with_default(section: type[Section], name: str, value: Any) -> Section:
    """Return a section of defaults, unchecked, of which one is another."""
    changed = create_model("Changed", __base__=section, **{name: (section.model_fields[name].annotation, value)})
    return changed.model_construct()


@pytest.mark.parametrize("section", SECTIONS, ids=lambda section: section.__name__)
def test_another_default_is_another_command(section):
    for name in [name for owner, name in FIELDS if owner is section and not section.model_fields[name].is_required()]:
        default = section.model_fields[name].default
        value = other_than(default)
        others = set(section.model_fields) - {name}
        now, then = (as_options(with_default(section, name, each), others) for each in (default, value))
        assert now != then, name


def test_null_is_the_default_of_whatever_can_be_null():
    for section, name in FIELDS:
        field = section.model_fields[name]
        if type(None) in get_args(field.annotation):
            assert field.is_required() or field.default is None, (section, name)


# ---- another default of the config: another command, another digest, another spec

TUNED = "deeplabv3_phase2_ms_flip_crf_tuned"
# system, its section, what makes the options of its verb, and the keys that reach the verb as files or not at all
SYSTEMS = [
    ("deeplabv3_trainaug", "prediction", systems.prediction_options, set()),
    ("deconvnet_stage2", "proposal_wise", systems.prediction_options, set()),
    ("edeconvnet", "fusion", systems.fusion_options, {"members", "ties_from"}),
    ("stacking_shared", "stacking", systems.stacking_options, {"members", "fit_on", "fit_pictures"}),
    ("edeconvnet_crf", "crf", systems.crf_options, {"members"}),
]


def others_of(section: Section) -> Iterator[tuple[str, Section]]:
    """Yield copies of a section, in each of which one default, and hence one value, is another."""
    for name, field in type(section).model_fields.items():
        value = None if field.is_required() else other_than(field.default)
        if value not in (None, getattr(section, name)) and (section.__class__, name) in FIELDS:
            yield name, with_default(type(section), name, value).model_copy(update={**vars(section), name: value})


def replaced(config: Config, table: str, name: str, entry: Section) -> Config:
    return config.model_copy(update={table: {**getattr(config, table), name: entry}})


@pytest.mark.parametrize(("system", "key", "options_of", "as_files"), SYSTEMS)
@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # that a value is of another type
def test_another_default_of_a_system_is_another_command_and_another_digest(
    merged_config, system, key, options_of, as_files
):
    config = parse_config(merged_config("full"))
    entry = config.systems[system]
    for name, section in others_of(getattr(entry, key)):
        if name == "proposals":  # names another entry of the config
            continue
        changed = replaced(config, "systems", system, entry.model_copy(update={key: section}))
        assert system_sha256(changed, system) != system_sha256(config, system), name
        if name not in as_files:
            assert options_of(Plan(changed), system) != options_of(Plan(config), system), name


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")
def test_another_default_of_a_search_is_another_command_and_another_digest(merged_config):
    config = parse_config(merged_config("full"))
    entry = config.systems[TUNED]
    for name, search in others_of(entry.crf.search):
        crf = entry.crf.model_copy(update={"search": search})
        changed = replaced(config, "systems", TUNED, entry.model_copy(update={"crf": crf}))
        assert system_sha256(changed, TUNED) != system_sha256(config, TUNED), name
        assert systems.search_options(Plan(changed), TUNED) != systems.search_options(Plan(config), TUNED), name


def test_a_spec_has_every_key_of_its_network_and_protocol(merged_config):
    """So another default of either is another spec, and its models are trained again."""
    config = parse_config(merged_config("full"))
    for name, model in config.models.items():
        spec = model_spec(config, name).plain()
        for key, table in (("network", config.networks), ("protocol", config.protocols)):
            if (used := getattr(model, key)) is not None:
                assert spec[key] == table[used].model_dump(mode="json"), name
                assert spec[key].keys() == type(table[used]).model_fields.keys(), name
