"""What the audit and provenance read, by what systems are made of."""

from segrepro.plan.experiment import Plan
from segrepro.provenance.origin import experiment_sha256, origin


def seen_by(plan: Plan, *systems: str) -> list[str]:
    """Return the lists of pictures that systems and their ancestors were trained, fitted or tuned on."""
    nodes = {node for name in systems for node in plan.graph.ancestors(name)}
    return sorted({seen.manifest for node in nodes for seen in plan.graph.seen(node) if seen.manifest})


def audited_manifests(plan: Plan) -> list[str]:
    """Return the lists of pictures that the systems have seen, and those that they are scored on."""
    return sorted({*seen_by(plan, *plan.graph.systems), *plan.graph.splits.values()})


def fold_reports(plan: Plan) -> list[str]:
    """Return the reports of stackers that were fitted by folds of what they are scored on."""
    return [file for system in plan.graph.systems.values() for file in system.fold_reports.values()]


def origin_inputs(plan: Plan, *pairs: tuple[str, str]) -> dict[str, list[str]]:
    """Return what the provenance of (system, split) pairs is read from: the files of each option."""
    origins = [origin(plan.config, plan.graph, *pair) for pair in pairs]
    files = sorted({file for entry in origins for file in entry.files})
    datasets = sorted({name for entry in origins for name in entry.datasets})
    models = sorted({name for entry in origins for name in entry.models})
    return {
        "checksums": [f"{plan.results}/checksums/{file}.json" for file in files],
        "datasets": [f"{plan.results}/checks/{name}.json" for name in datasets],
        "made": [plan.model(name, "made.json") for name in models],
    }


def origin_options(plan: Plan, system: str, split: str) -> str:
    """Return the options that record the provenance of a result that is computed from one score store."""
    return _origin_options(plan, config_sha256(plan, system, split), (system, split))


def experiment_options(plan: Plan) -> str:
    """Return the options that record the provenance of all that is scored."""
    sha256 = experiment_sha256([origin(plan.config, plan.graph, *pair) for pair in plan.scored()])
    return _origin_options(plan, sha256, *plan.scored())


def _origin_options(plan: Plan, sha256: str, *pairs: tuple[str, str]) -> str:
    files = " ".join(f"--{key} {' '.join(names)}" for key, names in origin_inputs(plan, *pairs).items())
    return f"--config-sha256 {sha256} --seed {plan.config.seed} {files}"


def config_sha256(plan: Plan, system: str, split: str) -> str:
    """Return the hash of the part of the config that a system's scores depend on."""
    return origin(plan.config, plan.graph, system, split).config_sha256
