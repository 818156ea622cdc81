"""Find the people in many photos with Spark: ``spark-submit examples/spark_photos.py files PHOTOS ROWS``.

The executors read the photos in the folder PHOTOS and write Parquet files in ROWS. With ``parquet`` in place of
``files``, PHOTOS is a folder of Parquet files with the columns ``path`` and ``content``; with ``webdataset``, of
shards.
"""

import sys

from pyspark.sql import SparkSession

from litehrnet.integrations.spark import find_people, photos_in_shards

kind, where, rows = sys.argv[1:]
spark = SparkSession.builder.config("spark.sql.execution.arrow.maxRecordsPerBatch", 64).getOrCreate()
if kind == "parquet":
    photos = spark.read.parquet(where)
elif kind == "webdataset":
    photos = photos_in_shards(spark.read.format("binaryFile").load(where))
else:
    photos = spark.read.format("binaryFile").load(where)
find_people(photos).write.parquet(rows)
