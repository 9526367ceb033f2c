"""What a dry run found, in a few lines."""

from typing import Any

from spectral_ssl.ground.time_left import in_words


def print_prep_estimate(found: dict[str, Any]) -> None:
    """What ``estimate_prep`` gives."""
    splits = ", ".join(f"{count} {split}" for split, count in found["splits"].items() if count)
    points = ", with their clouds" if found["keeps_points"] else ""
    print(f"prep {found['dataset']}: {found['objects']} objects ({splits}) -> {found['out']}")
    print(f"  {found['basis']} maps of shape {tuple(found['shape'])}{points}: {found['megabytes']:g} MB of", end=" ")
    print(f"{found['megabytes_free']} MB free")
    if found["exists"]:
        print("  the file exists: it would be refused without --overwrite")
    if found["unfinished"]:
        print("  unfinished work lies there: it would be gone on with, and takes less than this")
    each = f"{1000 * found['seconds_each']:.3g} ms an object on one core, measured on {found['measured']}"
    workers = found["workers"]
    processes = (
        f"the Dask workers of {workers}" if isinstance(workers, str) else f"{workers} process{'es' * (workers != 1)}"
    )
    print(f"  about {in_words(found['seconds'])} with {processes} ({each})")
    if found["not_usable"]:
        print(f"  {found['not_usable']} of the {found['measured']} cannot be used")


def print_pretrain_estimate(found: dict[str, Any]) -> None:
    """What ``estimate_pretrain`` gives."""
    if found["prep"] is not None:
        print("the data is not prepared yet; that comes first:")
        print_prep_estimate(found["prep"])
        print("then the training: ask again once the map file is there")
        return
    print(f"pretrain {found['method']} on {found['task']}: {found['maps']} maps of {found['data']}")
    print(f"  {found['parameters']:,} parameters, {found['epochs']} epochs of batches of {found['batch_size']}", end="")
    print(f": {found['steps']} steps; a checkpoint of {found['megabytes']:g} MB, kept twice")
    before = f", {in_words(found['seconds_before'])} before the first" if found["seconds_before"] >= 1 else ""
    print(f"  about {in_words(found['seconds'])}", end=" ")
    print(f"({1000 * found['seconds_each']:.3g} ms a step, measured on {found['measured']}{before})")
    if found["stopped_by_limit"]:
        print("  the limit of time ends it before its last epoch")
