"""Find the people in many photos on a Ray cluster: ``python examples/ray_photos.py files PHOTOS ROWS 8``.

Eight workers read the photos in the folder PHOTOS and write Parquet files in ROWS. With ``parquet`` in place of
``files``, PHOTOS is a folder of Parquet files with the columns ``path`` and ``bytes``; with ``webdataset``, of shards.
"""

import sys

import ray

from litehrnet.integrations.ray import find_people

kind, photos, rows, workers = sys.argv[1:]
columns = {"name": "path", "content": "bytes"}
if kind == "parquet":
    dataset = ray.data.read_parquet(photos).select_columns(["path", "bytes"])
elif kind == "webdataset":
    dataset = ray.data.read_webdataset(photos, suffixes=["jpg"], decoder=None)  # which would decode the photos
    columns = {"name": "__key__", "content": "jpg"}
else:
    dataset = ray.data.read_binary_files(photos, include_paths=True)
find_people(dataset, workers=int(workers), **columns).write_parquet(rows, min_rows_per_file=10_000)
