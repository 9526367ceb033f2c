"""List the content of an HDF5 file in the manner of h5dump: ``python benchmarks/list_hdf5.py FILE``."""

import argparse
from pathlib import Path

import h5py

LONGEST = 100


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    with h5py.File(parser.parse_args().file) as file:
        for name, value in sorted(file.attrs.items()):
            text = " ".join(str(value).split())
            print(f"attribute {name:18} {text[:LONGEST]}{'...' if len(text) > LONGEST else ''}")

        def show(name: str, value: h5py.Dataset | h5py.Group) -> None:
            if isinstance(value, h5py.Dataset):
                kind = "string" if h5py.check_string_dtype(value.dtype) else str(value.dtype)
                print(f"/{name:17} {value.shape!s:22} {kind:10} chunks {value.chunks}")

        file.visititems(show)


if __name__ == "__main__":
    main()
