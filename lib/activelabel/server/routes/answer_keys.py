"""The meaning of each key in the JSON of `GET /info/` and other answers; source of `docs/reference/answers.md`.

Keys are paths: `.` leads into an object, `[]` into each entry of a list, and a name in braces stands for any
name, such as that of a model. The keys below a path that ends in `.*` are described elsewhere.
"""

_MODEL_KEYS = {
    "version": "number of the model version",
    "metrics": "metrics on the current validation cases, else those of its own training",
    "metrics.{metric}": "`dice`, or `dice_NAME` of one structure; null where nothing could be judged",
    "trained_on": "how many labels it has learnt from",
    "validation_cases": "how many validation cases its metrics come from",
    "place": "its place among the models judged by the same cases, from 1; null if it was not judged",
    "compared": "how many models were judged by the same cases",
    "in_use": "whether it is in use",
}
_FILE_KEYS = {
    "chosen_by": "who chose the model in use; null where it is the best",
    "file": "its file in the project's folder `models`",
    "sha256": "SHA-256 of the file",
}
_SKIP_KEYS = {
    "id": "id of the image",
    "kind": "`not now` or `cannot be annotated`",
    "reason": "the annotator's reason",
    "annotator": "who skipped it",
    "when": "time of the skip, in ISO 8601",
}
_DRAFT_KEYS = {
    "version": "number of the draft's version",
    "saved": "when it was saved, in ISO 8601",
    "why": "why it is a draft and not finished",
}


def _below(path: str, keys: dict[str, str]) -> dict[str, str]:
    return {f"{path}.{key}": meaning for key, meaning in keys.items()}


_OF_THE_HOST = {
    "name": "name of the app: `activelabel`",
    "description": "title of the recipe, progress and the model in use, in sentences",
    "version": "version of activelabel",
    "labels": "names of the structures, in the order of their values from 1",
    "models": "the models that can segment",
    "models.{model}": "a model: `segmentation`, or `uncertainty`, which shows where the model in use is uncertain",
    "models.{model}.type": "kind of model, in the host's words",
    "models.{model}.labels": "structures that it draws, with their values",
    "models.{model}.labels.{structure}": "value of the structure in the mask",
    "models.{model}.dimension": "3",
    "models.{model}.description": "what it is, with the model version in use",
    "models.{model}.config": "options that a client may send with an inference",
    "models.{model}.config.{option}": "default of the option; for a choice all values, the default first",
    "trainers": "the trainers: `segmentation`, and `proxy` where the recipe has a proxy task",
    "trainers.{trainer}": "a trainer",
    "trainers.{trainer}.description": "what it trains",
    "trainers.{trainer}.config": "options that a client may send with a training",
    "trainers.{trainer}.config.{option}": "default of the option; for a choice all values, the default first",
    "trainers.{trainer}.labels": "names of the structures that it learns",
    "strategies": "the strategies, the recipe's own first",
    "strategies.{strategy}": "a strategy",
    "strategies.{strategy}.description": "what it asks for, and what it needs",
    "strategies.{strategy}.config": "options that a client may send with the request",
    "strategies.{strategy}.config.{option}": "default of the option; for a choice all values, the default first",
    "scoring": "the scoring methods: one for each measure, and `proxy` where the recipe has a proxy task",
    "scoring.{method}": "a scoring method",
    "scoring.{method}.description": "what it scores",
    "train_stats": "statistics of the latest training of each trainer",
    "train_stats.{trainer}": "statistics of a trainer",
    "train_stats.{trainer}.rank": "the host's number of the training process",
    "train_stats.{trainer}.epoch": "how many epochs are over",
    "train_stats.{trainer}.total_epochs": "how many epochs the training has",
    "train_stats.{trainer}.current_epoch": "the running epoch, or the last one",
    "train_stats.{trainer}.current_iteration": "the running step, or the last one",
    "train_stats.{trainer}.total_iterations": "steps of an epoch",
    "train_stats.{trainer}.start_ts": "when the training began, in seconds since 1970",
    "train_stats.{trainer}.total_time": "duration of the training; absent while it runs",
    "train_stats.{trainer}.seconds_left": "how long the rest takes at this pace, null before the first step; "
    "absent after its end",
    "train_stats.{trainer}.current_time": "time since the start of the training; absent after its end",
    "train_stats.{trainer}.best_metric": "validation Dice of the model in use; during a training the best so far",
    "train_stats.{trainer}.train": "metrics on the last patches of each epoch",
    "train_stats.{trainer}.train.*": "the host's keys: `metrics`, `key_metric_name`, `best_metric` and its epoch",
    "train_stats.{trainer}.eval": "metrics on the validation cases during the training",
    "train_stats.{trainer}.eval.*": "the host's keys: `metrics`, `key_metric_name`, `best_metric` and its epoch",
    "train_stats.{trainer}.validation": "metrics of the trained model on each validation case",
    "train_stats.{trainer}.validation.{image}": "metrics on one case",
    "train_stats.{trainer}.validation.{image}.{structure}": "Dice of one structure",
    "train_stats.{trainer}.model": "the model in use",
    **_below("train_stats.{trainer}.model", _MODEL_KEYS),
    "train_stats.{trainer}.newest_model": "the model that was published last",
    **_below("train_stats.{trainer}.newest_model", _MODEL_KEYS),
    "train_stats.{trainer}.standing": "which model is in use and why, in a sentence",
    "datastore": "counts of images and labels",
    "datastore.total": "how many images there are",
    "datastore.completed": "how many images have a final label, of any number of slices",
    "datastore.label_tags": "labels by tag",
    "datastore.label_tags.{tag}": "how many labels have the tag",
    "datastore.annotated_slices": "how many slices are annotated",
    "datastore.annotated_volumes": "how many volumes are annotated completely",
    "datastore.partly_annotated_volumes": "how many volumes are annotated in part",
}
_PROGRESS = {
    "images": "images whose file exists",
    "training": "images to train on",
    "validation": "images that measure models",
    "annotated": "volumes annotated completely",
    "partly_annotated": "volumes of which some slices are annotated",
    "annotated_slices": "annotated slices of all volumes",
    "foreground_slices": "annotated slices with foreground",
    "leased": "images that an annotator holds now",
    "unreadable": "images that cannot be used",
    "latest_model": "version of the model published last; null before the first",
    "model_in_use": "version of the model in use; null before the first",
    "scored": "images that the model in use has scored",
    "new_annotations": "labels that the latest model has not seen and that the next training uses",
    "new_training_annotations": "new annotations of training images",
    "new_training_slices": "slices of the new annotations that the latest model has not seen",
}
_EFFORT = {
    "slices": "slices that final labels cover",
    "foreground_slices": "covered slices with foreground",
    "patients": "patients whose images are annotated",
    "units": "effort of chlebus2022: 1 for a foreground slice asked for by itself, 1/3 for one of a whole volume",
    "timed_queries": "answered queries whose time is known",
    "active_queries": "timed queries of which a client has said the active time",
    "seconds_per_query": "mean time of a timed query: the active time where it is known, else until its label came; "
    "null if there are none",
}
_EFFORT_OF_SECOND = {
    "slices": "slices that second readings cover",
    "patients": "patients whose images were read twice",
}
_AUTOPILOT = {
    "due": "work that is due: `training` or `scoring`, of the model or the proxy model; null for none",
    "rests": "whether the autopilot rests after several failures",
    "waits_for": "the next step and its condition, in a sentence",
    "labels": "labels until the next model",
    "labels.unit": "`volumes` or `slices`",
    "labels.training": "training labels that the latest model has not seen",
    "labels.training_wanted": "how many new training labels make a training due",
    "labels.validation": "annotated validation cases",
    "labels.validation_wanted": "validation cases in all",
}
_TRUST = {
    "last": "rank correlation of uncertainty and errors for each of the last labels",
    "mean": "mean of these correlations; null if there are none",
    "labels": "how many labels were compared in all",
    "trusted": "whether strategies use uncertainty without a warning",
}
_ADVICE = {
    "unit": "what labels are counted in: `volumes` or `slices`",
    "learning_curve": "a point for each model of the task",
    "learning_curve[].model_version": "version of the model",
    "learning_curve[].in_use": "whether it is in use",
    "learning_curve[].volumes": "volumes of its labels",
    "learning_curve[].slices": "slices of its labels",
    "learning_curve[].foreground_slices": "slices of its labels with foreground",
    "learning_curve[].validation_cases": "validation cases that judged it",
    "learning_curve[].{metric}": "`dice`, or `dice_NAME` of one structure; null where nothing could be judged",
    "forecast": "expected effect of the next labels; null before a model was measured",
    "forecast.at": "effort to which the forecast looks ahead",
    "forecast.expected": "expected mean Dice at that effort; with too few points null, like all keys below except `n`",
    "forecast.low": "lower end of its 95 % interval",
    "forecast.high": "upper end of its 95 % interval",
    "forecast.gain_expected": "expected gain over the current curve",
    "forecast.gain_low": "lower end of its 95 % interval",
    "forecast.gain_high": "upper end of its 95 % interval",
    "forecast.n": "points of the curve that the forecast comes from",
    "forecast.sentence": "the forecast in a sentence",
    "seconds_ahead": "expected time for the labels until the next model, by the time that labels took; null if unknown",
    "sentence": "advice whether to continue annotating, in a sentence",
}

INFO: dict[str, str] = {
    **_OF_THE_HOST,
    "settings": "every setting with the value in force; no password",
    "settings.*": "see [settings](settings.md)",
    "recipe": "the recipe in force, with the changes by settings",
    "recipe.*": "see [recipes](recipes.md)",
    "progress": "progress of the project",
    **_below("progress", _PROGRESS),
    "passed_over": "files of the studies folder that are not used: one line a reason",
    "standing": "which model is in use and why, in a sentence",
    "model": "the model in use; null before the first",
    **_below("model", _MODEL_KEYS | _FILE_KEYS),
    "newest_model": "the model that was published last; null before the first",
    **_below("newest_model", _MODEL_KEYS | _FILE_KEYS),
    "autopilot": "state of the autopilot",
    **_below("autopilot", _AUTOPILOT),
    "effort": "annotation effort of the final labels",
    **_below("effort", _EFFORT),
    "effort.second_readings": "annotation effort of second readings, which comes on top",
    **_below("effort.second_readings", {**_EFFORT, **_EFFORT_OF_SECOND}),
    "project": "what tells the project from all others, whatever its address; it stays for good",
    "set_aside": "images that cannot be used",
    "set_aside.{image}": "why the image cannot be used",
    "modality": "modality of the images; null while it is unknown",
    "modality.name": "`CT`, `MR`, … or `other`",
    "modality.reason": "how the modality was determined",
    "modality.intensity": "how intensities are prepared: `window` or `zscore`, or a list with one for each channel",
    "modality.differing": "images whose intensities differ from those of the others",
    "modality.differing.{image}": "how the image differs",
    "uncertainty": "whether the model's uncertainty correlates with its errors",
    **_below("uncertainty", _TRUST),
    "doubt": "the same as `uncertainty`, under the name that it had in earlier versions",
    **_below("doubt", _TRUST),
    "advice": "advice whether to continue annotating",
    **_below("advice", _ADVICE),
    "cases": "drafts, skipped cases, cases set aside, labels that equal a model's mask, and review",
    "cases.drafts": "open drafts",
    "cases.drafts[].id": "id of the image",
    "cases.drafts[].annotator": "whose draft it is; null for who reads the case blind, to whom `why` is empty",
    **_below("cases.drafts[]", _DRAFT_KEYS),
    "cases.not_now": "cases that somebody skipped for now",
    **_below("cases.not_now[]", _SKIP_KEYS),
    "cases.cannot_be_annotated": "cases that no strategy asks for",
    **_below("cases.cannot_be_annotated[]", _SKIP_KEYS),
    "cases.review": "review of final labels",
    "cases.review.required": "whether only approved labels are learnt from: `--conf review`",
    "cases.review.waiting": "final labels about which nobody has decided",
    "cases.review.approved": "final labels that a reviewer has approved",
    "cases.review.returned": "final labels that a reviewer has returned",
    "cases.readings": "second readings: `--conf readers 2`",
    "cases.readings.wanted": "cases that two annotators are to read",
    "cases.readings.read_twice": "cases that were read twice",
    "cases.readings.to_decide": "images whose readings differ, and about which a reviewer has to decide",
    "cases.readings.structures": "agreement by structure, on the mean over the cases in which either reading has it",
    "cases.readings.structures.{structure}": "agreement about one structure",
    "cases.readings.structures.{structure}.cases": "how many cases",
    "cases.readings.structures.{structure}.dice": "mean Dice",
    "cases.readings.structures.{structure}.distance_mm": "mean distance of the surfaces; null where both have none",
    "cases.unchanged_from_model": "labels that are exactly what a model drew",
    "cases.unchanged_from_model.training": "how many such labels of training images",
    "cases.unchanged_from_model.validation": "how many such labels of validation images",
}
"""The answer to `GET /info/`."""

INFO_OF_A_PACS: dict[str, str] = {
    "datastore.pacs": "address of the PACS",
    "datastore.pacs_problem": "why the PACS cannot be asked now; null if it can",
    "datastore.pacs_refused": "segmentations of the PACS that are not used as labels",
    "datastore.pacs_refused.{series}": "why the segmentation is not used",
}
"""Further keys of `GET /info/` if the studies are those of a PACS."""

NEXT_SAMPLE: dict[str, str] = {
    "id": "id of the image",
    "name": "file name of the image",
    "path": "path of the image's file on the server",
    "ts": "when the image was first seen, in seconds since 1970",
    "PatientID": "name of the case for people: patient or image, slices to draw, and `draft` for one's own draft",
    "query": "the slices or the volume to annotate",
    "query.kind": "`volume` or `slices`",
    "query.axis": "axis of the image's array along which slices are counted; only for slices",
    "query.plane": "plane of the slices: `axial`, `coronal` or `sagittal`; only for slices",
    "query.slices": "indices of the slices along `axis`, from 0; only for slices",
    "query.positions_mm": "position of each of them in mm, as viewers show it; only for slices",
    "query.towards": "letter of the side towards which positions grow: `L`, `A` or `S`; only for slices",
    "role": "`training` or `validation`",
    "score": "score by which the case was chosen; null if no score was used",
    "strategy": "strategy that chose the case",
    "model_version": "model version by which the case was chosen; null for none",
    "reason": "why the case was chosen, in a sentence",
    "expires": "until when the case is reserved for this annotator, in ISO 8601",
    "draft": "the annotator's own draft, with which the case opens; only if there is one",
    **_below("draft", _DRAFT_KEYS),
    "skipped": "the case that this request skipped; only if it skipped one",
    **_below("skipped", _SKIP_KEYS),
}
"""The answer to `POST /activelearning/{strategy}`; an empty object if no case is left."""

SAVED_LABEL: dict[str, str] = {
    "image": "id of the image",
    "label": "id of the label, which is that of the image",
    "state": "`finished` if it counts, `draft` if not; only for the tag `final`",
    "coverage": "the rule by which its slices count ([rules](../slices.md#what-comes-back)); only if it counts",
    "message": "why the label is a draft and what to do, or that it equals a model's mask; only in these cases",
    "unchanged_from": "version of the model that drew exactly this label; only if one did",
}
"""The answer to `PUT /datastore/label`."""

LABEL_PARAMS: dict[str, str] = {
    "client_id": "name of the annotator, where nobody has to log in",
    "finished": "true or false: whether the label counts; without it the setting `finished_by` decides",
    "confirmed": "true: the annotator has checked the label, and it is right although it equals a model's mask",
    "unanswered": "true, with a draft: it was sent as finished, and no answer came; if it is here, no draft is kept",
    "annotated_slices": "indices of the slices that are annotated, from 0 along the image's slice axis",
    "label_info": 'names of the mask\'s values in their order: `[{"name": "liver", "idx": 1}]`',
}
"""Keys in `params` of `PUT /datastore/label`. Other keys are kept beside the label."""

NEXT_SAMPLE_PARAMS: dict[str, str] = {
    "client_id": "name of the annotator, where nobody has to log in",
    "skip": "skip the case that the annotator holds: `not now` or `cannot be annotated`",
    "reason": "reason of the skip, in one line",
    "skip this case": "the same as `skip`, from the form that viewers show",
    "reason to skip it": "the same as `reason`, from the form that viewers show",
}
"""Keys in the body of `POST /activelearning/{strategy}`."""
