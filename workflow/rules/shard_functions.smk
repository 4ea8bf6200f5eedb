# How many jobs make which score store; the rules are in shards.smk.
scattergather:
    shards=CONFIG.runtime.shards,


SHARED = [*WHOLE, *BOX_BY_BOX, *REFINED]


def shards_record(system, split):
    """The file that says how many shards a store was made in; none for one that was made at once."""
    return f"{RESULTS}/shards/{system}/{split}.count"


def shard_count(system, split):
    """How many jobs make a score store: as many as made it before, or as the config says."""
    record = shards_record(system, split)
    if os.path.exists(record):
        with open(record) as file:
            count = file.read().strip()
        if not count.isdecimal() or int(count) < 1:
            raise WorkflowError(
                f"{record}: '{count}' is no number of shards; delete this file and the score store {RESULTS}/scores/"
                f"{system}/{split}.h5."
            )
        return int(count)
    if os.path.exists(f"{RESULTS}/scores/{system}/{split}.h5"):
        return 1
    return len(gather.shards("{scatteritem}"))


def known_stores():
    """(system, split) pairs of the stores that are there, or were once made in shards."""
    stores = glob_wildcards(f"{RESULTS}/scores/{{system}}/{{split}}.h5")
    records = glob_wildcards(shards_record("{system}", "{split}"))
    return sorted({*zip(*stores), *zip(*records)})


def gathered():
    """The constraint on the system of a store (by what follows in its path): one that is made in shards."""
    counts = {pair: shard_count(*pair) for pair in known_stores()}
    if len(gather.shards("{scatteritem}")) > 1:
        at_once = ["/".join(pair) for pair, count in counts.items() if count == 1]
        return rf"(?!(?:{one_of(at_once)})\.h5$)(?:{one_of(SHARED)})"
    shared = ["/".join(pair) for pair, count in counts.items() if count > 1]
    return rf"(?=(?:{one_of(shared)})\.h5$)(?:{one_of(SHARED)})"


def parts_of(wildcards):
    """The shards of a score store."""
    count = shard_count(wildcards.system, wildcards.split)
    folder = f"{RESULTS}/shards/{wildcards.system}/{wildcards.split}"
    return [f"{folder}/{number}-of-{count}.h5" for number in range(1, count + 1)]


def shard_option(wildcards):
    """The option of a job that does one shard; none for a job that does all."""
    item = wildcards.get("scatteritem")
    return f"--shard {item.replace('-of-', '/')}" if item else ""
