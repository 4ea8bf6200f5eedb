"""What tables need of the config beyond numbers: how its systems are made and compared, and the VOC server's answers.

The workflow writes `Systems` as JSON from the resolved config; `segrepro table` reads it.
"""

from pathlib import Path

from pydantic import Field

from segrepro.config import Config
from segrepro.config.digest import system_digest
from segrepro.config.tables import Ablation, Server
from segrepro.graph import MODEL, SYSTEM, Graph, graph_of
from segrepro.json_files import read_model
from segrepro.schema import Section


class SystemFacts(Section):
    """What tables need of a system."""

    name: str
    spec: str = Field(description="hash of its lineage's settings")
    settings: str = Field("", description="the same without the seed")
    trained: bool = Field(
        True,
        description="whether anything in its making was trained or fitted here; else it is the same with every seed",
    )
    refines: str | None = Field(None, description="of a CRF: the system that it refines")
    server: Server | None = Field(None, description="what the VOC server answered")


class Question(Ablation):
    """An ablation with its name."""

    name: str


class Systems(Section):
    """All systems and ablations, in the config's order."""

    systems: list[SystemFacts] = Field([], description="all of them")
    ablations: list[Question] = Field([], description="what is compared with what")

    @property
    def crfs(self) -> dict[str, str]:
        """The system that each CRF refines."""
        return {system.name: system.refines for system in self.systems if system.refines}

    @property
    def answers(self) -> dict[str, Server]:
        """The VOC server's answers, by system."""
        return {system.name: system.server for system in self.systems if system.server}


def systems_of(config: Config) -> Systems:
    """Collect what the tables need from a resolved config."""
    graph, without_seed = graph_of(config), config.model_copy(update={"seed": 0})
    return Systems(
        systems=[
            SystemFacts(
                name=name,
                spec=system_digest(config, name),
                settings=system_digest(without_seed, name),
                trained=_is_trained(config, graph, name),
                refines=system.members[0] if system.crf else None,
                server=system.server,
            )
            for name, system in config.systems.items()
        ],
        ablations=[Question(name=name, **ablation.model_dump()) for name, ablation in config.ablations.items()],
    )


def _is_trained(config: Config, graph: Graph, name: str) -> bool:
    models, systems = graph.of_kind(MODEL, name), graph.of_kind(SYSTEM, name)
    return any(config.models[model].train for model in models) or any(config.systems[each].stacking for each in systems)


def read_systems(path: Path) -> Systems:
    """Read what the workflow wrote; a `UserError` where the file is missing or of another form."""
    return read_model(path, Systems, "make it with the workflow, which writes it from config.yaml")
