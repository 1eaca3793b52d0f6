"""Images with boxes in the layouts they are published in: VOC, COCO, Parquet."""
