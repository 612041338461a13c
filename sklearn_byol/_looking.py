"""What an estimator's encoder is shown: the images of X, and views of them."""

from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted
from torch import Generator, Tensor, nn

from sklearn_byol._reading import ReadsImages
from sklearn_byol.training import seeded_torch
from sklearn_byol.views import views_for

__all__ = ["ShowsImages"]


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
