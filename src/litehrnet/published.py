"""Parameters and FLOPs as published, to print beside computed ones: the papers' tables (docs/equivalence.md)."""

PUBLISHED = {
    ("lite_hrnet_18", (192, 256)): ("1.1M", "205.2M"),
    ("lite_hrnet_18", (288, 384)): ("1.1M", "461.6M"),
    ("lite_hrnet_18", (256, 256)): ("1.1M", "273.4M"),
    ("lite_hrnet_30", (192, 256)): ("1.8M", "319.2M"),
    ("lite_hrnet_30", (288, 384)): ("1.8M", "717.8M"),
    ("lite_hrnet_30", (256, 256)): ("1.8M", "425.3M"),
    ("naive_lite_hrnet_18", (192, 256)): ("0.7M", "194.8M"),
    ("naive_lite_hrnet_18", (256, 256)): ("0.7M", "259.6M"),
    ("wider_naive_lite_hrnet_18", (192, 256)): ("1.3M", "311.1M"),
    ("wider_naive_lite_hrnet_18", (256, 256)): ("1.3M", "418.7M"),
    ("dite_hrnet_18", (192, 256)): ("1.1M", "209.8M"),
    ("dite_hrnet_18", (288, 384)): ("1.1M", "471.8M"),
    ("dite_hrnet_18", (256, 256)): ("1.1M", "279.5M"),
    ("dite_hrnet_30", (192, 256)): ("1.8M", "329.8M"),
    ("dite_hrnet_30", (288, 384)): ("1.8M", "741.7M"),
    ("dite_hrnet_30", (256, 256)): ("1.8M", "439.5M"),
    ("small_hrnet_w16", (192, 256)): ("1.3M", "0.54G"),
    ("small_hrnet_w16", (288, 384)): ("1.3M", "1.21G"),
    ("small_hrnet_w16", (256, 256)): ("1.3M", "0.7G"),
    ("mobilenetv2", (192, 256)): ("9.6M", "1.48G"),
    ("mobilenetv2", (288, 384)): ("9.6M", "3.33G"),
    ("mobilenetv2", (256, 256)): ("9.6M", "1.9G"),
    ("mobilenetv3", (256, 256)): ("8.7M", "1.8G"),
    ("shufflenetv2", (192, 256)): ("7.6M", "1.28G"),
    ("shufflenetv2", (288, 384)): ("7.6M", "2.87G"),
    ("shufflenetv2", (256, 256)): ("7.6M", "1.7G"),
}
"""(parameters, FLOPs) by variant and (width, height) of the image. M stands for 2^20 FLOPs, G for 2^30.

256x256 is MPII with 16 keypoints, the others are COCO with 17.
"""
