"""TABLES: every table, by name."""

from understudy.experiments.ab_replication import AB_REPLICATION
from understudy.experiments.ab_table1 import AB_TABLE1
from understudy.experiments.ab_table2 import AB_TABLE2
from understudy.experiments.ab_table3 import AB_TABLE3
from understudy.experiments.ab_table4 import AB_TABLE4
from understudy.experiments.ab_table5 import AB_TABLE5
from understudy.experiments.ab_table6 import AB_TABLE6
from understudy.experiments.ab_table7 import AB_TABLE7
from understudy.experiments.ab_table8 import AB_TABLE8
from understudy.experiments.best import BEST_TABLE
from understudy.experiments.cars32_hdhe import CARS32_HDHE
from understudy.experiments.faces38_selective import FACES38_SELECTIVE
from understudy.experiments.finetune_layer_pruning import FINETUNE_LAYER_PRUNING
from understudy.experiments.frontier import FRONTIER
from understudy.experiments.hdhe_retrieval import HDHE_RETRIEVAL
from understudy.experiments.methods_digits import METHODS_DIGITS
from understudy.experiments.methods_small_data import METHODS_SMALL_DATA
from understudy.experiments.nst_table1 import NST_TABLE1
from understudy.experiments.nst_table2 import NST_TABLE2
from understudy.experiments.nst_table3 import NST_TABLE3
from understudy.experiments.nst_table4 import NST_TABLE4
from understudy.experiments.overhaul_cifar100 import OVERHAUL_CIFAR100
from understudy.experiments.overhaul_imagenet import OVERHAUL_IMAGENET
from understudy.experiments.row import Table
from understudy.experiments.scenes15_mobilenet import SCENES15_MOBILENET
from understudy.experiments.scenes15_transfer import SCENES15_TRANSFER
from understudy.experiments.voc07mini_detection import VOC07MINI_DETECTION

PUBLISHED = (
    AB_TABLE1,
    AB_TABLE2,
    AB_TABLE3,
    AB_TABLE4,
    AB_TABLE5,
    AB_TABLE6,
    AB_TABLE7,
    AB_TABLE8,
    AB_REPLICATION,
    OVERHAUL_CIFAR100,
    OVERHAUL_IMAGENET,
    NST_TABLE1,
    NST_TABLE2,
    NST_TABLE3,
    NST_TABLE4,
    FINETUNE_LAYER_PRUNING,
    HDHE_RETRIEVAL,
)
OWN = (
    METHODS_SMALL_DATA,
    METHODS_DIGITS,
    FRONTIER,
    BEST_TABLE,
    SCENES15_MOBILENET,
    SCENES15_TRANSFER,
    FACES38_SELECTIVE,
    CARS32_HDHE,
    VOC07MINI_DETECTION,
)

# One table per file; their names are those of the files of measured numbers.
TABLES: dict[str, Table] = {table.name: table for table in (*PUBLISHED, *OWN)}
