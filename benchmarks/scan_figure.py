"""Complete a scan of a mesh from one side, and put the figure into the manual.

    python benchmarks/scan_figure.py --mesh ModelNet10/chair/test/chair_0890.off --run RUN

The scan is the half of 20,000 points of the surface that lies towards one side, as the task cuts
objects in training. RUN is a run of the recipe ``complete-scan``, which has not seen the mesh. The
figure is docs/complete-scan.png.
"""

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import trimesh

import spectral_ssl

FIGURE = Path(__file__).parent.parent / "docs" / "complete-scan.png"
POINTS, MISSING = 20_000, 0.45
SIDE = np.array([0.8, 0.4, 0.2])  # where the missing points lie


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mesh", required=True, type=Path)
    parser.add_argument("--run", required=True, type=Path)
    parser.add_argument("--modes", type=int, default=3)
    arguments = parser.parse_args()
    mesh = trimesh.load(arguments.mesh, force="mesh")
    points, _ = trimesh.sample.sample_surface(mesh, POINTS, seed=0)
    along = points @ SIDE
    with TemporaryDirectory() as folder:
        scan = Path(folder) / f"{arguments.mesh.stem}-scan.ply"
        trimesh.PointCloud(points[along < np.quantile(along, 1 - MISSING)]).export(scan)
        done = spectral_ssl.complete(arguments.run, like=scan, modes=arguments.modes, out=Path(folder) / "done.h5")
        shutil.copyfile(done.with_name(f"{done.stem}-shapes.png"), FIGURE)
    print(FIGURE)


if __name__ == "__main__":
    main()
