"""What a run's folder holds, by the names of the files."""

# The resolved settings, and what the run is: who learns from whom, on what, with what.
SETTINGS, FACTS = "settings.yaml", "run.json"
# One JSON object a line, of the kinds that RECORDS names; and what came out, only there when the run has finished.
LOG, SUMMARY = "metrics.jsonl", "summary.json"
RECORDS = ("steps", "epoch", "weights", "rates", "gradients", "selection", "compile")
# The student after the last epoch, and that of the best epoch on held-out images, where the run has some.
STUDENT, BEST = "student.safetensors", "best.safetensors"
# The fingerprints of the files of weights that the run began with.
WEIGHTS = "weights.json"
# What networks made of some test images, for the report; the objects that a detector found, drawn.
SEEN, DETECTIONS = "seen.npz", "detections.jpg"
# Only where data.mislabel gave some images a wrong label: which.
MISLABELLED = "mislabelled.json"
# Of its settings these change where files lie, what computes, how often something is written, or whom the teacher's
# answers come from: never what is learnt. Never a bit of it on one kind of device, but for stored answers in a compiled
# step, which rounds otherwise.
MAY_DIFFER = (
    "data.folder",
    "data.download",
    "data.workers",
    "run.device",
    "run.log_every",
    "run.gradients_every",
    "run.eval_every",
    "run.checkpoint_every",
    "run.trackers",
    "run.teacher_cache",
    "run.teacher_cache_gb",
)
