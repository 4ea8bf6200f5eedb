# What holds for every rule above when its jobs are submitted again.


def growing(megabytes):
    """The memory of a job as Snakemake asks for it: as much again at each attempt."""
    return lambda wildcards, attempt: megabytes * attempt


# A job that a cluster ends for its memory is submitted again by `retries` (profiles/slurm) and must not ask for the same.
# Snakemake has no such setting for all rules at once. What the profile or --set-resources says of a rule is in it by
# now, and grows too.
for each in workflow.rules:
    memory = each.resources.get("mem_mb")
    if memory is not None and isinstance(memory.raw, int):
        each.resources["mem_mb"] = growing(memory.raw)
