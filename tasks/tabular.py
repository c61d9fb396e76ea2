"""Classification of small tables."""

from polystep.component import component
from tasks.classification import ClassificationTask


@component("tabular", version=1, inert=("title", "data_dir", "device"), variant=("dataset",))
class TabularTask(ClassificationTask):
    """`ClassificationTask` whose data set says which problem it is, as a size does: the settings of a study serve them all."""

    family = "tabular"
