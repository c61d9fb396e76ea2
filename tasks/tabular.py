"""Classification of small tables."""

from polystep.component import component
from tasks.classification import ClassificationTask


@component("tabular", version=1, inert=("title", "data_dir", "device"), variant=("dataset",))
class TabularTask(ClassificationTask):
    """`ClassificationTask` whose data set is part of what a study asks for: its settings serve all of them."""

    family = "tabular"
