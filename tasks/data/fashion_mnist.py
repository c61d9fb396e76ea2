"""Fashion-MNIST: 60000 training and 10000 test images of ten kinds of clothing, 28 x 28 pixels.

Source: Xiao, Rasul, Vollgraf, "Fashion-MNIST", arXiv 1708.07747. Mean and standard deviation are the rounded values
that the PolyStep paper normalises with.
"""

from tasks.data.debian_package import DebianPackage
from tasks.data.idx_dataset import IdxDataset
from tasks.data.sources import Mirror
from tasks.data.verified_file import VerifiedFile

FASHION_MNIST = IdxDataset(
    name="fashion_mnist",
    train_images=VerifiedFile(
        "train-images-idx3-ubyte", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"
    ),
    train_labels=VerifiedFile(
        "train-labels-idx1-ubyte", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"
    ),
    test_images=VerifiedFile(
        "t10k-images-idx3-ubyte", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"
    ),
    test_labels=VerifiedFile(
        "t10k-labels-idx1-ubyte", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"
    ),
    classes=10,
    mean=0.2860,
    std=0.3530,
    sources=(
        Mirror("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"),
        Mirror("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/"),
        DebianPackage("dataset-fashion-mnist", folder="usr/share/datasets/fashion-mnist"),
    ),
)
