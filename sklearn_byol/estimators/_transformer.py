"""BYOLTransformer: images without labels in, representations out."""

import os
from collections.abc import Callable, Sequence
from dataclasses import KW_ONLY, dataclass
from numbers import Integral, Real
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.base import ClassNamePrefixFeaturesOutMixin, TransformerMixin
from sklearn.utils import Tags
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted
from skorch.callbacks import Callback
from torch import Generator, Tensor, nn
from torch.optim import Optimizer

from sklearn_byol.estimators._base import BYOLEstimator
from sklearn_byol.estimators._fingerprint import describe_parameters
from sklearn_byol.estimators._fitting import (
    OF_NETWORKS,
    Fit,
    draw_seed,
    fit_encoder,
    learned_callbacks,
    reader_of,
    rows_of,
)
from sklearn_byol.estimators._labels import warn_of_marks
from sklearn_byol.estimators._saving import encoder_arrays
from sklearn_byol.images._resizing import CROP, PAD, STRETCH
from sklearn_byol.networks._freezing import Freeze
from sklearn_byol.networks._pretrained import Source
from sklearn_byol.networks._weights_file import LARGEST_SIZE
from sklearn_byol.training._device import PRECISIONS, seeded_torch
from sklearn_byol.training._optimizers import OPTIMIZERS
from sklearn_byol.training._plan import KEEP, RAISE
from sklearn_byol.views._pair import views_for
from sklearn_byol.views._random_views import RandomViews

AUTO = StrOptions({"auto"})
COUNT = Interval(Integral, 1, None, closed="left")
WIDTH = Interval(Integral, 1, 2**20, closed="both")  # more is a slip, and no memory
LAYERS = Interval(Integral, None, None, closed="neither")
SIDE = Interval(Integral, 1, LARGEST_SIZE, closed="both")
NOT_NEGATIVE = Interval(Real, 0, None, closed="left")


@dataclass(repr=False, eq=False)
class BYOLTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, BYOLEstimator):
    """Learn image representations without labels, by Bootstrap Your Own Latent.

    Two randomly changed copies of each image, its views, go through an online network
    and through a target network, a slow average of the online one. The online network
    learns to predict, from one view, what the target network makes of the other. What
    the encoder has learned on the way serves a classifier that sees few labels.

    Parameters
    ----------
    encoder : str, nn.Module or callable, default="auto"
        The network that is kept. "auto" is a small residual network sized to the image;
        from 16 pixels on its projector begins with a stage that only training has.
        The name of a torchvision classifier, such as "resnet18", or "timm/NAME" takes
        that network without its classification head. A module is copied, a function
        without arguments is called; both must turn normalised images of shape
        (n_images, n_channels, height, width) into vectors (n_images, n_dims) or feature
        maps (n_images, n_maps, map_height, map_width). The `encoder_` of a fitted
        transformer is taken with its normalisation and readout, and trained further.
    weights : "pretrained", str, PathLike, tuple or None, default=None
        Weights that the encoder begins with. "pretrained" takes those of torchvision or
        timm for a named encoder, from their caches or from the network, and says of a
        module that its own have been trained already. A path is that of a state dict,
        by itself or in a checkpoint, of torch or, with an ending in .safetensors, of
        safetensors; nothing else is unpickled. Names are matched behind any prefix, in
        modules that hold the network deeper too, and heads are left out; a pair of path
        and prefix chooses one of several networks in a file. Named encoders keep the
        stem of the weights, and gray images go into all three of their channels. None
        is random weights, or those of a module, of which nothing is known.
    normalization : "auto", "imagenet" or pair of array-likes, default="auto"
        Mean and standard deviation that the network is used to, of pixels in [0, 1]:
        each a number, or one for each channel, three of gray images that go into three
        channels. "auto" takes those of published weights, or of the metadata of a file
        of safetensors ("mean" and "std"); else for other weights of three channels
        ImageNet's, and for random weights those of the images.
    input_size : int, "auto" or None, default="auto"
        Pixels that the shorter side of images is brought to inside the encoder, after
        views are drawn, bilinearly; None leaves them as they are. "auto" is 160 for
        smaller images and a named encoder with the stem of its weights, and the size
        that a transformer is made for. It is what another's `encoder_` has, and else
        None. Time grows with the square of it.
    views : str, RandomViews, callable or a pair of these, default="auto"
        How views are drawn: a preset of `RandomViews`, strengths of your own, or a
        function from a float batch (n, n_channels, height, width) in [0, 1] to a batch
        of the same shape. A transform of torchvision draws once for all images it is
        given, so it is applied to one image at a time; inside a function of your own,
        call it image by image yourself. A function is called once on four images of
        noise before training, to check what it returns; whether it draws for each image
        is not checked. To search over strengths, pass a `RandomViews`. Views say what
        does not matter in your images: look at them first. "auto" is that preset, but
        "mild" for "natural" and "gray" where the encoder has been trained already, and
        so it is as the preset of a `RandomViews`.
    image_shape : tuple of int, default=None
        The size of an image in pixels: (height, width), (height, width, n_channels) or
        (n_channels, height, width). Rows fold to it: it is needed for rows of colour
        images, rows whose length is not a square number, and images whose axes can be
        read in two ways. Files and other images of different sizes are brought to it;
        without channels each image keeps its own, but that a gray one among images in
        colour gets three equal ones. The bands or pages of a TIFF are as many as it
        says.
    resize_mode : {"crop", "pad", "stretch"}, default="crop"
        How images that are decoded are brought to `image_shape`, with antialiasing.
        "crop" resizes the shorter side and cuts the middle out; "pad" resizes the
        longer side and repeats the pixels at the edges; "stretch" resizes both. Where
        "crop" leaves less than half of an image an `ImagesWarning` says so.
    pixel_range : "auto" or pair of array-likes, default="auto"
        The values of X that count as 0 and as 1, each a number, or one for each
        channel; what lies beyond is clipped. "auto" is [0, 255] for bytes, and else
        learned from up to 1,024 images of fit: [0, 1], [-1, 1], [0, 255] or [0, 65535]
        where that holds them and a quarter of it is reached, else from the smallest
        value to the largest. Channels whose own range is less than a quarter of that
        have one each, as reflectances beside radar in decibels, unless they are three
        of a known range, which are colours. A thousandth of the pixels at each end does
        not decide by itself if it is far from all others, and neither does a value that
        repeats far from them, which likely marks pixels that are missing; a
        `PixelRangeWarning` says so. Where a training continues, by `warm_start` or
        `partial_fit`, the range of the first call stays.
    readout : int or "auto", default="auto"
        Cells on each side of the grid that the last feature map is averaged over, at
        least 1: a representation has readout ** 2 numbers for each of its channels.
        1 is the global average of the paper. "auto" is, for the "auto" encoder, 3 from
        16 pixels on, for gray images 4, and 2 from 8 pixels on; else 1.
    hog : int or "auto", default="auto"
        Cells on each side of the grid of histograms of oriented gradients that go
        beside what is learned, 9 numbers per cell (Dalal and Triggs 2005); at least 0,
        which leaves them out. They tell where edges of which direction are, of which
        BYOL keeps little, and have no part in training. "auto" is 7 for the "auto"
        encoder from 16 pixels on, and 10 for gray images from 28 on; what another's
        `encoder_` or a file of `to_safetensors` has; else 0.
    mirror : float or "auto", default="auto"
        Share of the mirror image in each representation, left to right, from 0 to 0.5:
        that many times the representation of the mirror image is added to the rest of
        the image's own. What only tells them apart counts less by it, and is gone at
        0.5: state 0 where left is told from right, as in letters. It has no part in
        training; `transform` takes twice as long with it. "auto" is 0.25 for the "auto"
        encoder from 16 pixels on, unless `views` says that images are not mirrored, as
        those for gray images do (`horizontal_flip`); what another's `encoder_` or a
        file of `to_safetensors` has; else 0.
    unit_variance : bool or "auto", default="auto"
        Whether representations are scaled, so that a classifier takes them without a
        StandardScaler, which learns a deviation of each column from the few rows that
        have labels. First, from 16 pixels on, what is learned is divided by its length,
        image by image, so that contrast counts for less. Then it is multiplied by one
        number, and the gradients beside it by another, so that the variances of their
        columns are 1 on average, over up to 256 images of fit. What is not trained, by
        `max_epochs=0`, and `partial_fit` after its first call keep the numbers that are
        there. "auto" is True for the "auto" encoder and where there are gradients, what
        another's `encoder_` or a file of `to_safetensors` has, and else False.
    projection_dim : int, default=256
        Length of what is predicted, from 1 to 2 ** 20.
    hidden_dim : int, default=1024
        Width of the hidden layer of both heads, from 1 to 2 ** 20; the paper's is 4096.
    momentum : float or "auto", default="auto"
        How slowly the target network follows the online network at the first step, in
        [0, 1]; it rises to 1 by the last step. Short trainings need a lower value:
        "auto" takes 0.9 up to 200 steps, 0.95 at 400 and 0.99 from 2,000 on.
    optimizer : {"adamw", "sgd", "lars"} or callable, default="adamw"
        AdamW, SGD with a momentum of 0.9, LARS, or what returns an optimizer of torch
        when called with parameters, `lr` and `weight_decay`, such as a class of
        torch.optim.
    lr : float or "auto", default="auto"
        The largest learning rate, above 0; it falls to 0 on a cosine. For batches of
        128 images "auto" is 3e-3 for "adamw", 0.06 for "sgd" and 0.5 for "lars"; it
        grows with the root of the batch for "adamw", else with the batch. A learning
        rate of a paper is meant for its optimizer, and often to be multiplied by
        batch_size / 256. With an encoder that has been trained already, by `weights` or
        as another's `encoder_`, "auto" is a third of it.
    encoder_lr : float or "auto", default="auto"
        The largest learning rate of the encoder, above 0, where `lr` is that of its
        heads. "auto" is `lr`, or a fifteenth of it for an encoder that has been trained
        already: new heads begin at random and would spoil what it knows. A callback
        that schedules the learning rate decides over both.
    encoder_mode : {"auto", "train", "eval"}, default="auto"
        The mode of the encoder while it learns. With "eval" its batch norm keeps the
        statistics that it has, and dropout drops nothing. "auto" is "eval" for an
        encoder that has been trained already, else "train".
    freeze : int, str, sequence of str or None, default=None
        Layers of the encoder that stay as they are to the bit, batch norm's statistics
        included: names of its modules, as `named_modules` has them, or patterns of such
        names, such as "layer1" or "blocks.[0-5]*"; all that lies inside is meant. An
        int freezes so many layers from the beginning, of those with weights of their
        own, or with a minus sign all but so many. They learn again where training is
        over. Parameters of a module whose requires_grad is False are frozen without it.
    min_similarity : float or "auto", default="auto"
        How similar representations must stay to those of the beginning, in [0, 1]:
        linear CKA of up to 256 images. In the end the encoder is taken back as far as
        that takes, by averaging its weights with the first ones, since views that are
        wrong for the images make it unlearn what it knew. "auto" is 0.95 for an encoder
        that has been trained already, else 0, which takes nothing back.
    weight_decay : float or "auto", default="auto"
        Decay of the weights, at least 0; biases and norm parameters do not decay.
        "auto" is 1e-4 for "adamw" and "sgd", 1e-6 for "lars", else 0.
    warmup_epochs : float or "auto", default="auto"
        Epochs in which the learning rate rises to `lr`, at least 0. "auto" is a tenth
        of `max_epochs`, 10 at most.
    batch_size : int, default=128
        Images of a step, of all processes together where many train; at least 2.
        Batches are split evenly, differ by one image at most, and are no larger than
        this, but for three images instead of two and one.
    max_epochs : int or "auto", default="auto"
        How many times training goes through all images. "auto" is 100, and 10 with an
        encoder that has been trained already. 0 trains nothing and leaves the encoder
        as it begins, with `weights` as a transformer that is frozen.
    callbacks : sequence of skorch.callbacks.Callback, default=None
        Callbacks, or pairs of a name and a callback. Each fit makes new ones of the
        same parameters, which are in `callbacks_` then; one that cannot be made anew,
        such as with a list that it makes in `__init__`, runs itself.
        `set_params(callbacks__EarlyStopping__patience=3)` sets parameters, in a grid
        too. They may monitor `train_loss`, `spread`, `effective_rank`, `lr`,
        `momentum`, and what others write, such as `knn_accuracy` of
        `sklearn_byol.callbacks.ProbeCallback`; all are in `history_`, `train_loss` as
        `loss`. `train_loss_best`, `spread_best`, `effective_rank_best` and
        `knn_accuracy_best` say whether an epoch is the best so far, for skorch's
        Checkpoint. With skorch's LRScheduler the learning rate is left to it.
    device : str, default="auto"
        "auto" takes CUDA, then MPS, then the CPU; or a torch device such as "cuda:1".
        "auto" and "cuda" give each of many processes the GPU of its LOCAL_RANK.
    precision : {"auto", "float32", "bfloat16", "float16"}, default="auto"
        What the products of training are computed in. "auto" takes bfloat16 on CUDA
        devices and CPUs that have instructions for it, float16 on older CUDA
        devices with tensor cores, else float32; and float32 on CPUs for depthwise
        networks, and where maps come down to a pixel. With float16 the loss is scaled,
        and steps whose gradients overflow are left out. Weights are float32 in each
        case.
    transform_precision : str, default="float32"
        What the products of `transform` are computed in: as `precision`, but "auto"
        takes the faster type only where the rows of the first 32 images are, within a
        hundredth of their length, those of float32; depthwise networks seldom are.
    n_jobs : int, default=None
        Threads that decode images, as joblib counts them; None is one, -1 one per core.
        What a Dataset computes in Python gains nothing from threads.
    cache : str or PathLike, default=None
        A folder where decoded images are kept, for images that do not fit into memory
        and for later fits of the same files: they are found again while path, size and
        time of change of each are the same. None keeps them in memory if they take half
        of what is free; more are decoded anew in each epoch, a batch ahead of training.
    on_error : {"raise", "skip"}, default="raise"
        What happens to images that cannot be decoded, are missing from a list or a
        column, or hold values that are no numbers. "skip" leaves them out of fit, with
        their names in `skipped_`, and gives them a row of NaN in transform.
    checkpoint : str or PathLike, default=None
        A folder, no link, where the state of the training is written, the last two
        files of it. A fit that was cut off resumes from the newest at the next call
        with the same data and parameters, to the same weights bit for bit on one
        machine with one number of threads and processes; one that was not is found
        finished. Other data or parameters are an error, so leave it out of searches.
        Callbacks begin anew, but for EarlyStopping. One training may use it at a time.
    checkpoint_minutes : float, default=10
        Least time between two writes, at least 0; the end of training is written too.
    on_interrupt : {"raise", "keep"}, default="raise"
        What Ctrl-C does to a training. "raise" lets KeyboardInterrupt through, once the
        last whole epoch is in `checkpoint`, if there is one; the encoder of an earlier
        fit stays. "keep" ends the training, and what there is then is fitted, with an
        `InterruptWarning`; where many processes train together it does not.
    warm_start : bool, default=False
        Whether fit continues what was trained before, up to `max_epochs` in all:
        raise it to train for longer. The learning rate is that of a training of that
        length, so it rises again first. Saved models hold the state of the training and
        are twenty times as large. After a fit without it heads and optimizer are new.
    random_state : int, RandomState or None, default=None
        Draws first weights, order of images and views. An int gives the same bits on
        one machine with one number of threads; CUDA needs torch's deterministic
        algorithms. None follows numpy's global state; torch's is left as it is.
    verbose : int, default=0
        1 shows a bar with epoch, loss, spread, images per second and time left.

    Attributes
    ----------
    encoder_ : nn.Module
        The trained encoder in evaluation mode. It takes images in [0, 1] of shape
        (n_images, n_channels, height, width) and normalises them itself.
    history_ : dict of str to list of float
        One number per epoch: `epoch`, from 1; `loss` (in [0, 8]; a low loss alone says
        nothing, collapse has the lowest); `spread` of the normalised projections (about
        1 is healthy, 0 is collapsed); `effective_rank` of the projections of the last
        batch (from 1, collapsed, to the smaller of its images and `projection_dim`);
        `lr` and `momentum` at the end of the epoch; `seconds`, `images_per_second`. An
        encoder that has been trained already, or is not trained at all, has a row for
        epoch 0: what up to 16 batches give before the first step. It does not know
        of `min_similarity`, which takes the encoder back after the last epoch.
    n_iter_ : int
        Epochs trained.
    callbacks_ : list of (str, skorch.callbacks.Callback)
        The callbacks that ran, by their names, with what they have collected: those of
        `callbacks` made anew, or themselves where that is not possible. Not saved.
    lr_, encoder_lr_, weight_decay_, momentum_, warmup_epochs_ : float
        What was taken for the parameters of these names.
    encoder_mode_ : {"train", "eval"}
        The mode of the encoder while it learned.
    frozen_layers_ : list of str
        Names of the layers of `encoder_` that stayed as they were, the outermost ones.
    trained_share_ : float
        How far the encoder has gone from its first weights to the trained ones, in
        [0, 1]; less than 1 where `min_similarity` has taken it back.
    input_size_ : int or None
        Pixels of the shorter side inside the encoder, None where images are left.
    views_ : RandomViews, callable or a pair of these
        What views were drawn by: presets are chosen and all strengths given.
    image_shape_ : tuple of int (n_channels, height, width)
        Shape of one image.
    files_ : list of str
        Paths of the images of X that were read, where X is a folder or holds paths.
    skipped_ : list of str
        Names of images that could not be decoded; empty unless on_error="skip".
    pixel_range_ : tuple of float (low, high)
        The values of X that count as 0 and 1; what lies beyond is clipped. Where each
        channel has its own, the lowest and the highest of all. Images of another type
        of numbers that lie beyond by the length of the range are refused, and those of
        the same type, but for integers, if a tenth of the pixels of one lies beyond by
        twelve times the length: they are on another scale.
    channel_ranges_ : ndarray of shape (n_channels, 2)
        The same for each channel.
    n_features_in_ : int
        Features of X: the values of one image, n_channels * height * width, or 1 where
        X was a column of images: paths, PIL images, a folder or a Dataset.
    feature_names_in_ : ndarray of str of shape (`n_features_in_`,)
        Names of the features, where X had names: a frame of pixels, or of one column.

    Notes
    -----
    On CUDA, steps are recorded as CUDA graphs once three of a batch size have been
    made, and replayed: the same bits, for small images in a fraction of the time. This
    takes an `encoder` that is "auto" or the name of a ResNet of torchvision,
    `optimizer` "adamw" or "sgd", `views` without callables, one process, no `callbacks`
    but this library's and skorch's Checkpoint, EarlyStopping, EpochTimer and PrintLog,
    and room on the GPU for twice what a step takes. All else is launched kernel by
    kernel: a callback of your own, even an idle one, turns recording off.

    References
    ----------
    Grill et al. (2020), Bootstrap your own latent, arXiv 2006.07733.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from sklearn_byol import BYOLTransformer
    >>> X, _ = load_digits(return_X_y=True)
    >>> byol = BYOLTransformer(max_epochs=1, random_state=0).fit(X)
    >>> byol.transform(X).shape
    (1797, 512)
    """

    _parameter_constraints: ClassVar[dict[str, list[Any]]] = {
        "encoder": [str, nn.Module, callable],
        "weights": [str, os.PathLike, tuple, None],
        "normalization": [StrOptions({"auto", "imagenet"}), tuple, list, np.ndarray],
        "input_size": [AUTO, SIDE, None],
        "views": [str, RandomViews, tuple, list, callable],
        "image_shape": [tuple, list, None],
        "resize_mode": [StrOptions({CROP, PAD, STRETCH})],
        "pixel_range": [AUTO, tuple, list, np.ndarray],
        "readout": [AUTO, COUNT],
        "hog": [AUTO, Interval(Integral, 0, None, closed="left")],
        "mirror": [AUTO, Interval(Real, 0, 0.5, closed="both")],
        "unit_variance": [AUTO, "boolean"],
        "projection_dim": [WIDTH],
        "hidden_dim": [WIDTH],
        "momentum": [AUTO, Interval(Real, 0, 1, closed="both")],
        "optimizer": [StrOptions(set(OPTIMIZERS)), callable],
        "lr": [AUTO, Interval(Real, 0, None, closed="neither")],
        "encoder_lr": [AUTO, Interval(Real, 0, None, closed="neither")],
        "encoder_mode": [StrOptions({"auto", "train", "eval"})],
        "freeze": [LAYERS, str, list, tuple, None],
        "min_similarity": [AUTO, Interval(Real, 0, 1, closed="both")],
        "weight_decay": [AUTO, NOT_NEGATIVE],
        "warmup_epochs": [AUTO, NOT_NEGATIVE],
        "batch_size": [Interval(Integral, 2, None, closed="left")],
        "max_epochs": [AUTO, Interval(Integral, 0, None, closed="left")],
        "callbacks": [list, tuple, None],
        "device": [str],
        "precision": [StrOptions({"auto", *PRECISIONS})],
        "transform_precision": [StrOptions({"auto", *PRECISIONS})],
        "n_jobs": [COUNT, Interval(Integral, None, -1, closed="right"), None],
        "cache": [str, os.PathLike, None],
        "on_error": [StrOptions({"raise", "skip"})],
        "checkpoint": [str, os.PathLike, None],
        "checkpoint_minutes": [NOT_NEGATIVE],
        "on_interrupt": [StrOptions({RAISE, KEEP})],
        "warm_start": ["boolean"],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }
    # Requested where metadata is routed, unless the user says otherwise.
    __metadata_request__fit: ClassVar[dict[str, bool]] = {"X_unlabeled": True}

    encoder: str | nn.Module | Callable[[], nn.Module] = "auto"
    _: KW_ONLY
    weights: Source | None = None
    normalization: Any = "auto"
    input_size: int | str | None = "auto"
    views: Any = "auto"
    image_shape: tuple[int, ...] | None = None
    resize_mode: str = CROP
    pixel_range: Any = "auto"
    readout: int | str = "auto"
    hog: int | str = "auto"
    mirror: float | str = "auto"
    unit_variance: bool | str = "auto"
    projection_dim: int = 256
    hidden_dim: int = 1024
    momentum: float | str = "auto"
    optimizer: str | Callable[..., Optimizer] = "adamw"
    lr: float | str = "auto"
    encoder_lr: float | str = "auto"
    encoder_mode: str = "auto"
    freeze: Freeze = None
    min_similarity: float | str = "auto"
    weight_decay: float | str = "auto"
    warmup_epochs: float | str = "auto"
    batch_size: int = 128
    max_epochs: int | str = "auto"
    callbacks: Sequence[Callback | tuple[str, Callback]] | None = None
    device: str = "auto"
    precision: str = "auto"
    transform_precision: str = "float32"
    n_jobs: int | None = None
    cache: str | os.PathLike[str] | None = None
    on_error: str = "raise"
    checkpoint: str | os.PathLike[str] | None = None
    checkpoint_minutes: float = 10.0
    on_interrupt: str = RAISE
    warm_start: bool = False
    random_state: int | np.random.RandomState | None = None
    verbose: int = 0

    def fit(self, X: object, y: object = None, X_unlabeled: object = None) -> Self:
        """Train an encoder on images; labels are not used.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Two images or more. Arrays of any real dtype and any range of values, not
            copied as a whole: rows of shape (n_samples, n_features), gray images
            (n_samples, height, width), or images (n_samples, height, width, n_channels)
            or (n_samples, n_channels, height, width). Or a folder, read with all below
            it in the order of `list_images`; a list, array, Series or one-column frame
            with paths, PIL images or arrays of different sizes; a map-style Dataset of
            images or of pairs (image, label), read once, so that what it draws at
            random is drawn once. EXIF orientation is applied; palettes and CMYK become
            RGB, transparency white; gray files keep 16 and 32 bits.
        y : object, default=None
            Ignored, but for a `LabelsWarning` where it marks unlabelled images.
        X_unlabeled : same as X, default=None
            Further images to train on, of the same shape or decoded to it. Requested by
            default where metadata is routed; in cross-validation wrap it in
            `UnlabeledPool`.

        Returns
        -------
        BYOLTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or X is not as described, before any training.
        UnreadableImagesError
            If images cannot be decoded, before any training.
        TypeError
            If X is sparse or holds what is no number, or `views` or `callbacks` are of
            no kind that is described.
        FloatingPointError
            If the loss is not finite at some step.

        Warns
        -----
        CollapseWarning
            If projections have hardly any spread or few directions at the end, or
            representations have lost half of the directions that they had before
            training, or have little in common with those; if a parameter is known to
            end so.
        EncoderWarning
            If the encoder ends in the head of a classifier, or has nothing to train.
        InterruptWarning
            If Ctrl-C has ended training and `on_interrupt` is "keep".
        LabelsWarning
            If y marks unlabelled images, by -1, None or NaN, which a classifier that
            follows in a pipeline would treat as a class or refuse.
        PoolWarning
            If `X_unlabeled` has as many images as X and is no `UnlabeledPool`.
        SmallImageWarning
            If rows have fewer than 64 features.
        """
        warn_of_marks(y)
        goes_on = self.warm_start and self.__sklearn_is_fitted__()
        return self._fit(X, X_unlabeled, goes_on=goes_on)

    def partial_fit(self, X: object, y: object = None) -> Self:
        """Train for one more pass over these images, with what was trained before.

        The training has no end: after a warm-up, which "auto" makes 100 steps, learning
        rate and momentum stay `lr` and `momentum`, and what is set for them between two
        calls is taken at the next. Only the state of the training is kept, so that
        memory does not grow with the images that were seen. Statistics of the channels
        and the range of values are those of the first call. After a `fit` that has kept
        no state, for lack of `warm_start`, the encoder is trained further with new
        heads. `checkpoint` has no part in it: save the estimator.

        Parameters
        ----------
        X : same as in fit
            Two images or more; after the first call of the same shape and range.
        y : None
            Ignored.

        Returns
        -------
        BYOLTransformer
            The fitted transformer.

        Raises
        ------
        ValueError
            If a parameter or X is not as described, or X or the networks are not those
            of the first call; what was trained before is still there.
        """
        goes_on = self.__sklearn_is_fitted__()
        return self._fit(X, goes_on=goes_on, is_partial=True)

    def _fit(
        self,
        X: object,
        X_unlabeled: object = None,
        *,
        goes_on: bool,
        is_partial: bool = False,
    ) -> Self:
        """Fit a twin; what was fitted before stays until that is done."""
        twin = self._twin(is_fitted=goes_on)
        self.__dict__.pop("_look", None)  # has gone to the twin
        try:
            fit = fit_encoder(twin, X, X_unlabeled, is_partial=is_partial)
            twin._take(fit)
        except BaseException as error:
            self._note_what_is_left(error)
            raise
        return self._become(twin)

    def _take(self, fit: Fit) -> Self:
        """Set all that fit has learned."""
        self.callbacks_ = learned_callbacks(fit.training.net)
        self.encoder_ = fit.encoder
        self.history_, self.n_iter_ = fit.history, len(fit.training.net.history)
        self.views_ = fit.views
        plan, schedule = fit.training.plan, fit.training.plan.schedule
        self.lr_, self.weight_decay_ = schedule.lr, schedule.weight_decay
        self.encoder_lr_ = schedule.encoder_lr
        self.encoder_mode_ = "eval" if plan.is_held else "train"
        self.frozen_layers_ = list(plan.frozen)
        self.trained_share_ = fit.share
        self.input_size_ = fit.specification.side
        self.momentum_, self.warmup_epochs_ = schedule.momentum, schedule.warmup_epochs
        self.image_shape_ = fit.fitted.layout.shape
        low, high = fit.fitted.channel_ranges.T
        self.pixel_range_ = float(low.min()), float(high.max())
        self.n_features_in_ = fit.fitted.n_features
        self.skipped_ = fit.skipped
        self.__dict__.pop("files_", None)
        if fit.files is not None:
            self.files_ = fit.files
        self._arrays = encoder_arrays(fit.encoder)
        self._fitted, self._n_features_out = fit.fitted, plan.representation_dim
        self._networks = describe_parameters(self, OF_NETWORKS)
        self._specification = fit.specification
        if fit.state is not None:
            self._state = fit.state
        return self

    def transform(self, X: object) -> NDArray[np.float32]:
        """Return the representations of images.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images as fit takes them. Arrays have the shape and range of values that fit
            has seen, as rows or images in any order of axes; others are decoded to
            `image_shape_`, a few at a time.

        Returns
        -------
        ndarray of shape (n_samples, n_dims), float32
            One row per image, in the order of X; NaN where an image was skipped.

        Raises
        ------
        ValueError
            If the images have another shape, number of channels or range of values than
            those of fit.
        UnreadableImagesError
            If images cannot be decoded and `on_error` is "raise".
        sklearn.exceptions.NotFittedError
            If fit was not called.

        Warns
        -----
        DeviceWarning
            If `device` is not there; the best that is there is taken.
        """
        return rows_of(self, X, self)

    def read_images(self, X: object, indices: ArrayLike | None = None) -> Tensor:
        """Return images as `encoder_` takes them.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images as transform takes them.
        indices : array-like of int, default=None
            Which images of X to return, in this order; None returns all of them.

        Returns
        -------
        Tensor of shape (n_images, n_channels, height, width)
            The images in [0, 1], float32, on the CPU.

        Raises
        ------
        ValueError
            If the images have another shape, number of channels or range of values than
            those of fit.
        UnreadableImagesError
            If one of them cannot be decoded, also where `on_error` is "skip".
        sklearn.exceptions.NotFittedError
            If fit was not called.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_byol import BYOLTransformer
        >>> X = np.random.default_rng(0).random((20, 8, 8))
        >>> byol = BYOLTransformer(max_epochs=1, random_state=0).fit(X)
        >>> byol.read_images(X, [3, 1]).shape
        torch.Size([2, 1, 8, 8])
        """
        check_is_fitted(self)
        images = reader_of(self).stream(X)
        chosen = np.arange(len(images)) if indices is None else np.asarray(indices)
        return images[chosen]

    def sample_views(
        self, X: object, random_state: int | np.random.RandomState | None = None
    ) -> tuple[Tensor, Tensor]:
        """Draw two views of each image, as training does.

        Parameters
        ----------
        X : array-like, Tensor, path, sequence of images or Dataset
            Images as transform takes them.
        random_state : int, RandomState or None, default=None
            Where to draw from: an int gives the same views at each call.

        Returns
        -------
        view_1 : Tensor of shape (n_images, n_channels, view_height, view_width)
            Views in [0, 1], float32, on the device of `encoder_`, of the size that
            `views_` has.
        view_2 : Tensor of shape (n_images, n_channels, view_height, view_width)
            Other views of the same images.

        Raises
        ------
        ValueError
            If the images have another shape, number of channels or range of values than
            those of fit.
        UnreadableImagesError
            If one of them cannot be decoded, also where `on_error` is "skip".
        sklearn.exceptions.NotFittedError
            If fit was not called.

        Examples
        --------
        >>> import numpy as np
        >>> from sklearn_byol import BYOLTransformer
        >>> X = np.random.default_rng(0).random((20, 8, 8))
        >>> byol = BYOLTransformer(max_epochs=1, random_state=0).fit(X)
        >>> view_1, view_2 = byol.sample_views(X[:5], random_state=0)
        >>> byol.encoder_(view_1).shape
        torch.Size([5, 512])
        """
        images = self.read_images(X)
        seed = draw_seed(random_state)
        device = next(iter(self.encoder_.state_dict().values())).device
        # Callables may draw from torch's global state, which is put back.
        with seeded_torch(seed, device):
            pair, _ = views_for(self.views_, self.image_shape_)
            generator = Generator(device).manual_seed(seed)
            with torch.no_grad():
                return pair(images.to(device), generator)

    def __sklearn_tags__(self) -> Tags:
        """Say that float32 comes out and that images may come in."""
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float32"]
        return tags
