"""Warnings and errors of the library, one class for each kind."""

import inspect
import warnings

__all__ = [
    "CheckpointWarning",
    "CollapseWarning",
    "DeviceWarning",
    "EncoderWarning",
    "ImagesWarning",
    "InterruptWarning",
    "LabelsWarning",
    "PixelRangeWarning",
    "PoolWarning",
    "SmallImageWarning",
    "UnreadableImagesError",
    "VersionWarning",
    "ViewsWarning",
    "WeightsWarning",
    "warn",
]


class CheckpointWarning(UserWarning):
    """A checkpoint could not be written, or one that was found is damaged.

    Training continues: from the checkpoint before a damaged one, and without a new one
    where none could be written.
    """


class CollapseWarning(UserWarning):
    """Training ended with projections that hardly differ from image to image.

    Collapse is the trivial optimum of BYOL: an encoder that sees nothing agrees with
    itself perfectly, so a low loss does not show it. The spread of the projections
    does.
    """


class DeviceWarning(UserWarning):
    """A fitted transformer asks for a device that this machine does not have.

    Its representations are computed on the best device that is there instead.
    """


class EncoderWarning(UserWarning):
    """An encoder is used otherwise than it was likely meant.

    It ends in the head of a classifier, whose outputs would be the representations, or
    it has no layer that may learn, so that nothing is trained.
    """


class ImagesWarning(UserWarning):
    """Some of what was given is passed over, or read otherwise than it is.

    Files of a folder whose endings are not those of images, large parts of images that
    are cut away, bits of channels that Pillow does not keep, or gray images that get
    equal channels because others are in colour.
    """


class InterruptWarning(UserWarning):
    """A training was ended by Ctrl-C, and what there was then is kept.

    Only where `on_interrupt` is "keep"; else Ctrl-C is an error.
    """


class LabelsWarning(UserWarning):
    """What -1 means in y may be another thing than was meant.

    Labels are -1 and 1 only, and -1 may have been meant to mark unlabelled images:
    `BYOLClassifier` treats them as two classes, as elsewhere in scikit-learn, and
    `LabeledTestSplit` treats -1 as the mark. Or y marks unlabelled images in the `fit`
    of `BYOLTransformer`, which ignores y, while a classifier behind it in a pipeline
    would treat -1 as a class of its own, and NaN or None as an error.
    """


class PixelRangeWarning(UserWarning):
    """Some pixels are far from all others, or all pixels of a channel are the same.

    Those that are far do not decide the range of values that counts as 0 to 1, and are
    clipped to it. A channel that is constant tells nothing.
    """


class PoolWarning(UserWarning):
    """Unlabelled images are as many as X, as if cross-validation had cut them.

    Cross-validation slices whatever has the length of X. `UnlabeledPool` keeps it from
    that.
    """


class SmallImageWarning(UserWarning):
    """Rows have so few features that they are hardly images.

    Views of fewer than 64 pixels cannot be cropped or turned in a way that means
    something, so the representation is of no use for tabular data.
    """


class UnreadableImagesError(ValueError):
    """Some images are missing, broken, or of another kind than the others.

    Its text names the first of them, why each cannot be read, and what to do.
    """


class VersionWarning(UserWarning):
    """An estimator was saved by other versions of the library, or of torch.

    Its weights are the same numbers; what is computed from them may differ.
    """


class ViewsWarning(UserWarning):
    """A view was asked for that these images cannot have, or that is drawn per batch.

    Saturation, hue and grayscale need the three channels of an RGB image. A transform
    of torchvision draws once per batch, and is applied to one image at a time instead.
    """


class WeightsWarning(UserWarning):
    """Weights of another training do not reach all of the encoder, or go beyond it.

    What is not among them begins at random, and layers that the encoder lacks are left
    out; both are rarely meant. Also said where a training from weights went too far,
    and the encoder has those weights again.
    """


PASSED_ON = {__name__.partition(".")[0], "sklearn"}  # whose frames lie between


def warn(message: str, category: type[Warning]) -> None:
    """Warn in the name of the first caller outside of this package and scikit-learn.

    Parameters
    ----------
    message : str
        What to say.
    category : type of Warning
        One of `sklearn_byol.exceptions`.
    """
    frame, level = inspect.currentframe(), 1
    while frame and frame.f_globals.get("__name__", "").partition(".")[0] in PASSED_ON:
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)
