"""From X and the parameters of an estimator to a trained encoder."""

import os
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Generator, Tensor, nn

from sklearn_byol.estimators._fingerprint import describe_parameters, fingerprint
from sklearn_byol.estimators._saving import EncoderSpecification, encoder_arrays
from sklearn_byol.exceptions import PoolWarning, warn
from sklearn_byol.images import (
    Fitted,
    Images,
    JoinedImages,
    Reader,
    Source,
    StreamedImages,
    channel_statistics,
)
from sklearn_byol.model_selection import UnlabeledPool
from sklearn_byol.networks import (
    is_complete,
    pretrained_start,
    representation_dim,
)
from sklearn_byol.training import (
    Checkpoints,
    State,
    Training,
    TrainingSettings,
    check_callbacks,
    draws_globally,
    join,
    resolve_device,
    seeded_torch,
    warn_of_risks,
)
from sklearn_byol.views import views_for

__all__ = ["AllImages", "ReadsImages", "ShowsImages", "TrainsEncoder"]

AllImages = Images | StreamedImages | JoinedImages


class ReadsImages:
    """Reads X by the parameters of the estimator and keeps what later X must be like.

    Sets `image_shape_`, `pixel_range_`, `n_features_in_`, `skipped_`, and `files_`
    where images are files.
    """

    image_shape: tuple[int, ...] | None
    n_jobs: int | None
    cache: str | os.PathLike[str] | None
    on_error: str
    _fitted: Fitted

    def _reader(self) -> Reader:
        """Take the parameters."""
        return Reader(self, self.image_shape, self.n_jobs, self.cache, self.on_error)

    def _read(self, X: Any, X_unlabeled: Any, *, goes_on: bool) -> AllImages:
        """Read the images of fit and the pool, like those before if fit goes on."""
        reader = self._reader()
        source = reader.next(X, self._fitted) if goes_on else reader.first(X)
        images: AllImages = source.images
        skipped = source.skipped
        if X_unlabeled is not None:
            pool = self._read_pool(X_unlabeled, source)
            images = JoinedImages([source.images, pool.images])
            skipped = source.skipped + pool.skipped
        if source.files is not None:
            self.files_ = source.files
        elif hasattr(self, "files_"):
            del self.files_
        if not goes_on:
            self._fitted = source.fitted
            self.n_features_in_ = source.fitted.layout.n_values
            self.image_shape_ = source.fitted.layout.shape
            self.pixel_range_ = source.fitted.pixel_range
        self.skipped_ = skipped
        return images

    def _read_pool(self, X_unlabeled: Any, source: Source) -> Source:
        """Read the pool, as X is read."""
        is_wrapped = isinstance(X_unlabeled, UnlabeledPool)
        given = X_unlabeled.X if is_wrapped else X_unlabeled
        try:
            pool = self._reader().more(given, source.fitted)
        except (ValueError, TypeError) as error:
            error.add_note("This is about X_unlabeled, which is read as X is.")
            raise
        if pool.n_given == source.n_given and not is_wrapped:
            _warn_of_equal_length(pool.n_given)
        return pool


def _warn_of_equal_length(n_images: int) -> None:
    """Warn of a pool that may have been cut along with X."""
    warn(
        f"X_unlabeled has {n_images} images, as many as X: if this is a fold of "
        "cross-validation, the pool has been cut like X. UnlabeledPool(X_unlabeled) "
        "keeps it whole, and silences this warning.",
        PoolWarning,
    )


class ShowsImages(ReadsImages):
    """Reads X and draws views of it by what fit has learned."""

    image_shape_: tuple[int, int, int]
    encoder_: nn.Sequential
    views_: Any

    def read_images(self, X: Any, indices: ArrayLike | None = None) -> Tensor:
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
        images = self._reader().stream(X, self._fitted)
        chosen = np.arange(len(images)) if indices is None else np.asarray(indices)
        return images[chosen]

    def sample_views(
        self, X: Any, random_state: int | np.random.RandomState | None = None
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
        view_1 : Tensor of shape (n_images, n_channels, height, width)
            Views in [0, 1], float32, on the device of `encoder_`.
        view_2 : Tensor of shape (n_images, n_channels, height, width)
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
        seed = int(check_random_state(random_state).randint(2**31 - 1))
        device = next(iter(self.encoder_.state_dict().values())).device
        # Callables may draw from torch's global state, which is put back.
        with seeded_torch(seed, device):
            pair, _ = views_for(self.views_, self.image_shape_)
            generator = Generator(device).manual_seed(seed)
            with torch.no_grad():
                return pair(images.to(device), generator)


# What the networks and the state of the optimizer are made of.
OF_NETWORKS = (
    "encoder",
    "weights",
    "readout",
    "projection_dim",
    "hidden_dim",
    "optimizer",
)


class TrainsEncoder(ReadsImages):
    """Trains `encoder_` by the parameters of the estimator.

    Where a later call is to go on, the state of the training is kept as `_state`,
    arrays in place of its tensors. Without it heads and optimizer begin anew.
    """

    checkpoint: str | os.PathLike[str] | None
    encoder_: Any
    _state: State

    def _forget(self) -> None:
        """Leave nothing of an earlier fit behind, whatever fails from here on."""
        for name in list(vars(self)):
            if name.endswith("_") or name in {"_arrays", "_state"}:
                delattr(self, name)

    def _train(self, X: Any, X_unlabeled: Any = None, *, is_partial: bool) -> None:
        """Train from the start, or from where the last training stood."""
        estimator: Any = self
        estimator._validate_params()  # noqa: SLF001  scikit-learn's
        device = resolve_device(estimator.device)
        check_callbacks(estimator.callbacks)
        goes_on = hasattr(self, "encoder_")
        if goes_on:
            self._check_networks()
        processes = join(device)
        images = self._read(X, X_unlabeled, goes_on=goes_on)
        checkpoints = None if is_partial else self._checkpoints(images)
        processes.check_same(lambda: self._about(images, device))
        seed = int(check_random_state(estimator.random_state).randint(2**31 - 1))
        seed = processes.first(seed)
        with seeded_torch(seed):  # a callable may draw from torch's global state
            views, self.views_ = views_for(estimator.views, images.shape)
        encoder = self._go_on(seed) if goes_on else self._begin(images, seed)
        with seeded_torch(seed):
            self._n_features_out = representation_dim(encoder, images.shape)
        settings = TrainingSettings.of(
            estimator,
            n_images=len(images),
            image_shape=images.shape,
            representation_dim=self._n_features_out,
            device=device,
            seed=seed,
            is_drawing=not isinstance(estimator.encoder, str)
            or draws_globally(encoder),
            is_pretrained=estimator.weights is not None
            or is_complete(estimator.encoder),
            n_epochs=self._n_kept() + 1 if is_partial else None,
            checkpoints=checkpoints,
            read_images=lambda X: self._reader().stream(X, self._fitted)[:],
            processes=processes,
        )
        lr = settings.schedule.lr
        warn_of_risks(encoder, estimator.optimizer, lr, estimator.batch_size)
        training = Training(encoder, images.to(device), views, settings)
        self._run(training, keeps_state=is_partial or estimator.warm_start)

    def _begin(self, images: AllImages, seed: int) -> nn.Sequential:
        """Build the encoder, and note what all later training has to agree with."""
        estimator: Any = self
        given = estimator.encoder, images.shape
        statistics = channel_statistics(images)
        start = None
        if estimator.weights is not None:
            with seeded_torch(seed):
                start = pretrained_start(
                    *given, statistics, estimator.readout, estimator.weights
                )
            statistics = list(start.mean), list(start.std)
        self._specification = EncoderSpecification(
            *given,
            *statistics,
            estimator.readout,
            keeps_stem=start is not None and start.keeps_stem,
        )
        encoder = self._specification.build(seed)
        self._networks = describe_parameters(estimator, OF_NETWORKS)
        if start is not None:
            start.load(encoder)
        return encoder

    def _n_kept(self) -> int:
        """Count the epochs of the state that is kept."""
        return len(self._state["history"]) if hasattr(self, "_state") else 0

    def _go_on(self, seed: int) -> nn.Sequential:
        """Build the encoder as it was left."""
        encoder = self._specification.build(seed)
        encoder.load_state_dict(self.encoder_.state_dict())
        return encoder

    def _check_networks(self) -> None:
        """Refuse to go on with other networks than those that were trained."""
        for name, text in describe_parameters(self, OF_NETWORKS).items():
            if text != self._networks[name]:
                raise ValueError(
                    f"{name} was {self._networks[name]} when training began and is "
                    f"{text} now. To go on, put it back; to begin anew, call fit with "
                    "warm_start=False, or clone the estimator."
                )

    def _about(self, images: AllImages, device: torch.device) -> dict[str, str]:
        """Describe all that processes which train together have to agree on."""
        names = ("checkpoint", "checkpoint_minutes", "warm_start")
        return {
            **fingerprint(self, images),
            **describe_parameters(self, names),
            "n_iter_": str(getattr(self, "n_iter_", 0)),
            "the kind of device": device.type,
        }

    def _checkpoints(self, images: AllImages) -> Checkpoints | None:
        """Say where the state of this training is kept."""
        estimator: Any = self
        if estimator.checkpoint is None:
            return None
        if not os.fspath(estimator.checkpoint):
            raise ValueError("checkpoint must be None or name a folder. Got ''.")
        return Checkpoints(
            Path(estimator.checkpoint).expanduser(),
            float(estimator.checkpoint_minutes),
            fingerprint(estimator, images),
        )

    def _run(self, training: Training, *, keeps_state: bool) -> None:
        """Train, and keep what comes out of it."""
        with ExitStack() as held:
            self._resume(training, held, keeps_state=keeps_state)
            self.history_ = training.run()
        for name in ("lr", "weight_decay", "momentum", "warmup_epochs"):
            setattr(self, f"{name}_", getattr(training.settings.schedule, name))
        self.n_iter_ = len(training.net.history)
        self.encoder_ = training.encoder
        self._arrays = encoder_arrays(self.encoder_, {})
        if keeps_state:
            self._state = mapped(training.state(), torch.Tensor, as_array)

    def _resume(
        self, training: Training, held: ExitStack, *, keeps_state: bool
    ) -> None:
        """Go back to the newest state, in a file or kept; hold the folder."""
        checkpoints, state = training.settings.checkpoints, None
        if checkpoints is not None:

            def take() -> State | None:
                held.enter_context(checkpoints.locked())
                return checkpoints.newest()

            state = training.settings.processes.ask_first(take)
        kept = getattr(self, "_state", None)
        if kept is not None and (state is None or state["step"] <= kept["step"]):
            # Copied, since a memory map may be read-only, and training may fail.
            training.load(mapped(kept, np.ndarray, torch.tensor))
        elif checkpoints is not None and state is not None:
            checkpoints.restore(training, state)
        if keeps_state and (kept is not None or state is not None):
            training.extend()


def as_array(tensor: torch.Tensor) -> np.ndarray:
    """Take a tensor to the memory of the CPU, where it may share it."""
    return tensor.detach().cpu().numpy()


def mapped(tree: Any, kind: type, function: Callable[[Any], Any]) -> Any:
    """Apply a function to all values of a kind in nested dicts and lists."""
    if isinstance(tree, kind):
        return function(tree)
    if isinstance(tree, dict):
        return {key: mapped(value, kind, function) for key, value in tree.items()}
    if isinstance(tree, list | tuple):
        return [mapped(value, kind, function) for value in tree]
    return tree
