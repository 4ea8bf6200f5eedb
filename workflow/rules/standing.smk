# Results whose records in .snakemake are gone count as up to date: they are compared with the config once a run.
from base64 import urlsafe_b64encode
from functools import cache

from snakemake.io import IOFile

from segrepro.provenance.standing import refuse_other_results


def declared_config():
    """The config as the page shows it: what was asked for, but not where archives lie or how a run goes."""
    return {
        key: value
        for key, value in config.items()
        if key not in ("runtime", "archives_dir")
    }


def is_unrecorded(path):
    """Whether a file stands there of which Snakemake knows neither how it was made, nor that it is half-made."""
    if not os.path.exists(path) or workflow.persistence.metadata(IOFile(path)):
        return False
    half_made = urlsafe_b64encode(path.encode()).decode()
    return not os.path.exists(f".snakemake/incomplete/{half_made}")


@cache
def compare_standing():
    """Compare, when jobs are planned or run; who forces jobs, or touches files, has said what is meant."""
    asked = workflow.dag_settings
    if (
        not workflow.is_main_process
        or workflow.executor_plugin is None
        or workflow.touch
        or asked.forceall
        or asked.forcerun
    ):
        return
    try:
        refuse_other_results(
            Path(RESULTS),
            specs={name: model_spec(CONFIG, name) for name in CONFIG.models},
            hashes={pair: config_sha256(*pair) for pair in scored()},
            config=declared_config(),
            unrecorded=is_unrecorded,
        )
    except UserError as error:
        raise WorkflowError(str(error))


def standing_as_declared(wildcards):
    """No input: every manifest, from which all results are made, waits for the comparison."""
    compare_standing()
    return []
